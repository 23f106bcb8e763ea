//! The configuration in force as a file that could be its only source, with where each value comes from in comments.

mod receivers;

use std::fmt::Write;

use crate::config::options::OPTIONS;
use crate::config::origin::{Origin, Sourced};
use crate::config::output::Output;
use crate::config::quote::quoted;
use crate::config::resolved::Config;
use crate::config::word::Word;
use crate::detect::detectors::DETECTORS;
use crate::detect::settings::{AnySetting, Value};
use crate::detect::suppression::{Pattern, Suppression};
use crate::report::sanitize;

/// The values that somebody set, or all of them.
pub fn show(config: &Config, all: bool) -> String {
    let mut text = String::from("# The values in force, each with its origin.\n");
    text.push_str("# Later wins: default < your own file < ./tokio-canary.toml < --config < environment < flags.\n");
    for file in config.files() {
        line(&mut text, &format!("# Read: {}", sanitize::plain(&file.display().to_string())));
    }
    let heading = text.len();
    options(&mut text, config, all);
    detectors(&mut text, config, all);
    outputs(&mut text, config, all);
    receivers::receivers(&mut text, config.receivers());
    for (suppression, is_expired) in config.sourced_suppressions() {
        suppress(&mut text, suppression, is_expired);
    }
    if text.len() == heading {
        text.push_str("# Everything has its default value: `tokio-canary config show --all` prints it.\n");
    }
    text
}

fn options(text: &mut String, config: &Config, all: bool) {
    let targets = config.sourced_targets();
    let mut lines = Vec::new();
    if all || targets.origin != Origin::Default {
        let names = targets.value.iter().map(|target| quoted(&target.to_string()));
        let help = "targets of a command that names none";
        lines.push(assignment("targets", &list(names), &targets.origin, help, all));
    }
    for option in OPTIONS {
        lines.extend(setting(*option, config.option(*option), all));
    }
    section(text, "", lines);
}

fn detectors(text: &mut String, config: &Config, all: bool) {
    for detector in DETECTORS {
        let lines = detector.all_settings().filter_map(|it| setting(it, config.setting(detector.id, it), all));
        section(text, &format!("[detectors.{}]", detector.id), lines.collect());
    }
}

fn outputs(text: &mut String, config: &Config, all: bool) {
    for Sourced { value: Output { format, path }, origin } in config.sourced_outputs() {
        if all || *origin != Origin::Default {
            let path = path.as_ref().map(|path| format!("path = {}", quoted(&path.display().to_string())));
            let lines = std::iter::once(format!("format = {}", quoted(format.word()))).chain(path);
            section(text, &format!("[[output]]{}", comment(origin)), lines.collect());
        }
    }
}

fn suppress(text: &mut String, suppression: &Sourced<Suppression>, is_expired: bool) {
    let Sourced { value: Suppression { detectors, names, locations, statement, expires, .. }, origin } = suppression;
    let mut lines = Vec::new();
    let patterns = |patterns: &[Pattern]| patterns.iter().map(Pattern::to_string).collect::<Vec<_>>();
    let detectors: Vec<String> = detectors.iter().map(|&id| id.to_owned()).collect();
    for (key, values) in [("detector", detectors), ("name", patterns(names)), ("location", patterns(locations))] {
        match values.as_slice() {
            [] => {}
            [one] => lines.push(format!("{key} = {}", quoted(one))),
            several => lines.push(format!("{key} = {}", list(several.iter().map(|value| quoted(value))))),
        }
    }
    lines.push(format!("statement = {}", quoted(statement)));
    if let Some(at) = expires {
        let note = if is_expired { "  # expired: its findings count again" } else { "" };
        lines.push(format!("expired_at = {}{note}", humantime::format_rfc3339_seconds(*at)));
    }
    section(text, &format!("[[suppress]]{}", comment(origin)), lines);
}

/// The line of a setting, if it is to be shown.
fn setting(setting: &dyn AnySetting, value: Sourced<Value>, all: bool) -> Option<String> {
    let Sourced { value, origin } = value;
    if origin == Origin::Default && !all {
        return None;
    }
    let (key, help) = (setting.key(), setting.help());
    Some(match toml(setting, &value) {
        Some(toml) => assignment(key, &toml, &origin, help, all),
        None => format!("# {help}\n# {key} is not set"),
    })
}

fn assignment(key: &str, value: &str, origin: &Origin, help: &str, all: bool) -> String {
    let help = if all { format!("# {help}\n") } else { String::new() };
    format!("{help}{key} = {value}{}", comment(origin))
}

/// A value as TOML; none if there is none.
fn toml(setting: &dyn AnySetting, value: &Value) -> Option<String> {
    Some(match value {
        Value::Unset => return None,
        Value::Count(_) | Value::Switch(_) => setting.written(value),
        // With a point or an exponent, without which a large one would be an integer that is out of range.
        Value::Number(number) | Value::Share(number) => format!("{number:?}"),
        Value::Names(names) => list(names.iter().map(|name| quoted(name))),
        Value::Duration(_) | Value::Text(_) | Value::Path(_) => quoted(&setting.written(value)),
    })
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

fn comment(origin: &Origin) -> String {
    format!("  # {}", sanitize::plain(&origin.to_string()))
}

fn section(text: &mut String, heading: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    text.push('\n');
    if !heading.is_empty() {
        line(text, heading);
    }
    for one in lines {
        line(text, &one);
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::config::{Flags, Sources};

    fn resolve(folder: &Path, own: &str, flags: Flags, variables: &[(&str, &str)]) -> Config {
        fs::write(folder.join("own.toml"), own).expect("it can be written");
        let sources = Sources {
            flags,
            variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            own_file: Some(folder.join("own.toml")),
            local_file: folder.join("tokio-canary.toml"),
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        };
        Config::resolve(sources).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn shown(config: &Config, folder: &Path, all: bool) -> String {
        show(config, all).replace(&folder.display().to_string(), "FOLDER")
    }

    const OWN: &str = r#"
targets = ["localhost:1"]
log-file = "a \"b\" \\ c"

[detectors.long-polls]
share = 0.5
mean = "90s 5ms"

[[output]]
format = "ndjson"
path = "out"

[[alertmanager]]
url = "http://am:9093"
username = "me"
password-env = "AM_PASSWORD"
labels = { team = "a\"b" }

[[webhook]]
url-file = "/run/url"
secret-file = "/run/key"
bearer-token-file = "/run/token"
ca-file = "ca.pem"

[[on-transition]]
command = ["page", "--now"]
timeout = "3s"

[[suppress]]
detector = "deadlock"
name = ["a*", "\u202Eb"]
statement = "why"
expired_at = 2027-01-14

[[suppress]]
location = "src/*"
statement = "why not"
expired_at = 2999-12-31T23:59:59+01:00
"#;

    #[test]
    fn what_was_set_is_shown_with_its_origin() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut flags = Flags::default();
        flags.expected.push("listener".to_owned());
        flags.settings.push("deadlock.enabled=false".to_owned());
        let config = resolve(folder.path(), OWN, flags, &[("TOKIO_CANARY_MIN_UPDATES", "7")]);
        insta::assert_snapshot!(shown(&config, folder.path(), false), @r#"
        # The values in force, each with its origin.
        # Later wins: default < your own file < ./tokio-canary.toml < --config < environment < flags.
        # Read: FOLDER/own.toml

        targets = ["http://localhost:1"]  # FOLDER/own.toml:2
        min-updates = 7  # TOKIO_CANARY_MIN_UPDATES
        log-file = "a \"b\" \\ c"  # FOLDER/own.toml:3

        [detectors.long-polls]
        mean = "1m 30s 5ms"  # FOLDER/own.toml:7
        share = 0.5  # FOLDER/own.toml:6

        [detectors.deadlock]
        enabled = false  # --set

        [detectors.vanished-singleton]
        expect = ["listener"]  # --expect

        [[output]]  # FOLDER/own.toml:9
        format = "ndjson"
        path = "out"

        [[alertmanager]]  # FOLDER/own.toml:13
        url = "http://am:9093/"
        username = "me"
        password-env = "AM_PASSWORD"
        labels = { team = "a\"b" }
        resend = "1m"

        [[on-transition]]  # FOLDER/own.toml:25
        command = ["page", "--now"]
        timeout = "3s"

        [[webhook]]  # FOLDER/own.toml:19
        url-file = "/run/url"
        bearer-token-file = "/run/token"
        ca-file = "ca.pem"
        secret-file = "/run/key"

        [[suppress]]  # FOLDER/own.toml:29
        detector = "deadlock"
        name = ["a*", "\U0000202Eb"]
        statement = "why"
        expired_at = 2027-01-14T00:00:00Z  # expired: its findings count again

        [[suppress]]  # FOLDER/own.toml:35
        location = "src/*"
        statement = "why not"
        expired_at = 2999-12-31T22:59:59Z
        "#);
    }

    #[test]
    fn what_is_shown_sets_the_same_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = resolve(folder.path(), OWN, Flags::default(), &[]);
        for all in [false, true] {
            let text = show(&first, all);
            let second = resolve(folder.path(), &text, Flags::default(), &[]);
            let without_comments = |config: &Config| {
                let text = show(config, true);
                let value = |line: &str| line.split("  # ").next().map(str::to_owned);
                text.lines().filter_map(value).collect::<Vec<_>>()
            };
            assert_eq!(without_comments(&second), without_comments(&first), "{text}");
        }
    }

    #[test]
    fn nothing_set_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = resolve(folder.path(), "", Flags::default(), &[]);
        assert!(
            show(&config, false)
                .ends_with("# Everything has its default value: `tokio-canary config show --all` prints it.\n")
        );
        let all = show(&config, true);
        assert!(all.contains("\n# fail-on is not set\n") && all.contains("\n[detectors.deadlock]\n"), "{all}");
        let detectors = all.lines().filter(|line| line.starts_with("[detectors.")).count();
        assert_eq!(detectors, DETECTORS.len());
    }
}
