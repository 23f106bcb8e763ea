//! One file of the configuration, from its text to what it says.

mod accepted;
mod context;
mod receivers;
mod suppress;
mod value;

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::context::Context;
use self::value::{given, read_each, refuse_unknown, tables, text};
use super::accepted::Accepted;
use super::fault::Fault;
use super::layer::{Layer, OptionValue, target};
use super::options::{OPTIONS, option};
use super::origin::{Origin, Sourced};
use super::output::{Format, Output, shared_place};
use super::receiver::Kind;
use super::word::{self, Word};
use crate::detect::assignment::{Assignment, detector};
use crate::detect::detectors;
use crate::detect::settings::Type;
use crate::spelling;

/// What a file may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Everything: its user chose it.
    All,
    /// Thresholds and suppressions only: it comes with a checkout.
    Thresholds,
}

/// Sections that every file may have, and those for which it needs all rights.
const SECTIONS: [&str; 2] = ["detectors", "suppress"];
const MORE_SECTIONS: [&str; 5] = ["targets", "output", "alertmanager", "webhook", "on-transition"];

/// What a file says, and what is wrong with it.
pub(super) fn read(content: &str, path: &Arc<str>, rights: Rights) -> (Layer, Vec<Fault>) {
    let mut layer = Layer::default();
    let faults = read_with(content, path, &mut |context, document| top(context, document, rights, &mut layer));
    (layer, faults)
}

/// What a baseline says, and what is wrong with it.
pub(super) fn read_baseline(content: &str, path: &Arc<str>) -> (Vec<Accepted>, Vec<Fault>) {
    let mut all = Vec::new();
    let faults = read_with(content, path, &mut |context, document| all = accepted::accepted(context, document));
    (all, faults)
}

/// Parses a file, lets somebody read it as far as its parts mean what they seem to, and returns what is wrong with it.
fn read_with(content: &str, path: &Arc<str>, read: &mut dyn FnMut(&mut Context<'_>, &DeTable<'_>)) -> Vec<Fault> {
    let (document, errors) = DeTable::parse_recoverable(content);
    let mut syntax = Context::new(path, content);
    for error in &errors {
        let span = error.span().unwrap_or_default();
        syntax.fault(span.clone(), in_words(error.message(), syntax.text(span)));
    }
    let mut faults = syntax.faults();
    // Where something is missing, a bracket for example, what follows may mean something else than its writer thinks.
    if errors.iter().all(|error| error.span().is_some_and(|span| !span.is_empty())) {
        let mut context = Context::new(path, content);
        read(&mut context, document.get_ref());
        let is_known = |fault: &Fault| faults.iter().any(|known| known.origin == fault.origin);
        let more: Vec<Fault> = context.faults().into_iter().filter(|fault| !is_known(fault)).collect();
        faults.extend(more);
    }
    faults.sort_by_key(|fault| match fault.origin {
        Origin::File { line, .. } => line,
        _ => None,
    });
    faults
}

/// What the parser says, with what was written where that helps.
fn in_words(message: &str, written: &str) -> String {
    if message.starts_with("string values must be quoted") && !written.is_empty() {
        return format!("`{written}` needs quotes: \"{written}\"");
    }
    format!("not valid TOML: {message}")
}

fn top(context: &mut Context<'_>, document: &DeTable<'_>, rights: Rights, layer: &mut Layer) {
    for (key, value) in document {
        let (name, span) = (key.get_ref().as_ref(), key.span());
        match name {
            "detectors" => detector_settings(context, value, layer),
            "suppress" => {
                for (table, span) in tables(context, name, value) {
                    layer.suppressions.extend(suppress::suppression(context, table, span));
                }
            }
            _ if rights == Rights::Thresholds => context.fault(span, not_here(name)),
            "targets" => {
                let origin = context.origin(span);
                layer.targets = read_each(context, name, value, target).map(|targets| Sourced::new(targets, origin));
            }
            "output" => outputs(context, value, layer),
            _ => match (option(name), Kind::ALL.iter().find(|kind| kind.word() == name)) {
                (None, Some(kind)) => layer.receivers.extend(receivers::receivers(context, *kind, value)),
                (Some(option), _) => {
                    let read = given(value.get_ref()).map_err(|error| format!("{name}: {error}"));
                    let read = read.and_then(|given| OptionValue::new(option, &given));
                    let origin = context.origin(span);
                    layer.options.extend(context.accept(value.span(), read).map(|value| Sourced::new(value, origin)));
                }
                (None, None) => context.fault(span, unknown(name)),
            },
        }
    }
}

/// What to say of something for which a file has no right.
fn not_here(name: &str) -> String {
    match spelling::nearest(name, SECTIONS) {
        Some(right) => format!("there is no section `{name}`; did you mean `{right}`?"),
        None if detectors::detector(name).is_some() => unknown(name),
        None => format!(
            "`{name}` is not allowed here: a file that comes with a checkout may set thresholds ([detectors.…]) and suppressions \
             ([[suppress]]), but not run commands, open listeners, name receivers or hold secrets; move it to your own file, or to one \
             that you pass with --config"
        ),
    }
}

fn unknown(name: &str) -> String {
    if let Some(detector) = detectors::detector(name) {
        return format!("there is no section `{name}`; did you mean `detectors.{}`?", detector.id);
    }
    let names = || SECTIONS.into_iter().chain(MORE_SECTIONS).chain(OPTIONS.iter().map(|option| option.key()));
    let all = || format!("there are {}", names().collect::<Vec<_>>().join(", "));
    format!("there is no option or section `{name}`{}", spelling::hint(name, names(), all))
}

fn detector_settings(context: &mut Context<'_>, value: &Spanned<DeValue<'_>>, layer: &mut Layer) {
    let DeValue::Table(sections) = value.get_ref() else {
        return context
            .fault(value.span(), "`detectors` takes a section for each detector, such as [detectors.deadlock]");
    };
    for (id, section) in sections {
        let Some(detector) = context.accept(id.span(), detector(id.get_ref())) else { continue };
        let DeValue::Table(settings) = section.get_ref() else {
            context.fault(id.span(), format!("`detectors.{0}` is a section: [detectors.{0}]", detector.id));
            continue;
        };
        for (key, value) in settings {
            let (name, span) = (key.get_ref(), key.span());
            let read = given(value.get_ref()).map_err(|error| format!("{}.{name}: {error}", detector.id));
            let read = read.and_then(|given| Assignment::new(detector, name, &given));
            let origin = context.origin(span.clone());
            layer.settings.extend(context.accept(span, read).map(|value| Sourced::new(value, origin)));
        }
    }
}

fn outputs(context: &mut Context<'_>, value: &Spanned<DeValue<'_>>, layer: &mut Layer) {
    let mut spans = Vec::new();
    for (table, span) in tables(context, "output", value) {
        if let Some(output) = output(context, table, span.clone()) {
            layer.outputs.push(Sourced::new(output, context.origin(span.clone())));
            spans.push(span);
        }
    }
    if let Some((index, place)) = shared_place(layer.outputs.iter().map(|output| &output.value)) {
        context.fault(spans[index].clone(), format!("two outputs write to {place}: give one of them another `path`"));
    }
}

fn output(context: &mut Context<'_>, table: &DeTable<'_>, span: Range<usize>) -> Option<Output> {
    refuse_unknown(context, table, "an output", &["format", "path"]);
    let path = table
        .get("path")
        .map(|value| context.accept(value.span(), text(value.get_ref()).map_err(|error| format!("`path` {error}"))));
    let Some(format) = table.get("format") else {
        context.fault(span, format!("an output needs a `format`: {}", word::list::<Format>()));
        return None;
    };
    let read = text(format.get_ref()).map_err(|error| format!("`format` {error}"));
    let format = context.accept(format.span(), read.and_then(|text| Format::parse(&text)));
    // A path that is wrong must not turn the output into one to standard output.
    Some(Output { format: format?, path: path.map_or(Some(None), |path| path.map(|path| Some(path.into())))? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::settings::Value;

    fn read_text(text: &str, rights: Rights) -> (Layer, Vec<String>) {
        let (layer, faults) = read(text, &Arc::from("c.toml"), rights);
        (layer, faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn a_file_says_what_it_says() {
        let (layer, faults) = read_text(
            r#"
            targets = ["localhost:1", "unix:/run/app.sock"]
            min-updates = 1_0
            pump = false
            log-file = "canary.log"

            [detectors.blocked-worker]
            critical = "2s"
            enabled = false
            [detectors.long-polls]
            share = "5 %"
            polls = 0x10
            [detectors.vanished-singleton]
            expect = ["a, b", "c"]

            [[output]]
            format = "text"
            [[output]]
            format = "ndjson"
            path = "out.ndjson"

            [[suppress]]
            detector = ["deadlock", "contended-lock"]
            name = "refresh*"
            location = "src/cache.rs"
            statement = "known"
            expired_at = 2027-01-31
            "#,
            Rights::All,
        );
        assert_eq!(faults, [""; 0]);
        let options: Vec<_> = layer.options.iter().map(|it| (it.value.option.key(), it.value.value.clone())).collect();
        let expected = [
            ("log-file", Value::Path("canary.log".into())),
            ("min-updates", Value::Count(10)),
            ("pump", Value::Switch(false)),
        ];
        assert_eq!(options, expected);
        let mut settings: Vec<String> = layer
            .settings
            .iter()
            .map(|Sourced { value: it, origin }| {
                format!("{origin} {}.{}={:?}", it.detector.id, it.setting.key(), it.value)
            })
            .collect();
        settings.sort();
        let expected = [
            "c.toml:11 long-polls.share=Share(0.05)",
            "c.toml:12 long-polls.polls=Count(16)",
            "c.toml:14 vanished-singleton.expect=Names([\"a, b\", \"c\"])",
            "c.toml:8 blocked-worker.critical=Duration(2s)",
            "c.toml:9 blocked-worker.enabled=Switch(false)",
        ];
        assert_eq!(settings, expected);
        assert_eq!(layer.targets.map(|it| (it.value.len(), it.origin.to_string())), Some((2, "c.toml:2".to_owned())));
        let outputs: Vec<String> = layer.outputs.iter().map(|it| format!("{} {}", it.origin, it.value)).collect();
        assert_eq!(outputs, ["c.toml:16 text", "c.toml:18 ndjson=out.ndjson"]);
        let [Sourced { value: suppression, origin }] = layer.suppressions.as_slice() else { panic!("one is there") };
        assert_eq!(origin.to_string(), "c.toml:22");
        assert_eq!(suppression.detectors, ["deadlock", "contended-lock"]);
        assert_eq!((suppression.names.len(), suppression.locations.len()), (1, 1));
        assert_eq!(suppression.statement, "known");
        assert!(suppression.expires.is_some());
    }

    #[test]
    fn every_mistake_has_its_line_and_says_what_would_be_right() {
        for (text, says) in [
            ("fail-no = \"info\"", "there is no option or section `fail-no`; did you mean `fail-on`?"),
            (
                "colour = 1",
                "there is no option or section `colour`; there are detectors, suppress, targets, output, alertmanager, webhook, \
                 on-transition, targets-from, max-targets, fail-on, min-updates, min-activity, warmup, partial, baseline, exit-zero, wait-for-target, early-exit, \
                 retain, decode-limit, pump, ca, header, redact, path-prefix, theme, hyperlinks, heartbeat, listen, black-box, black-box-severity, black-box-before, black-box-after, \
                 black-box-memory, black-box-disk, rate-limit, rate-limit-max, log, log-file",
            ),
            ("fail-on = \"warn\"", "fail-on: `warn` is not a severity; did you mean `warning`?"),
            ("retain = 10", "retain: `10` is not a duration above zero; write it like 500ms, 30s or 2m"),
            ("retain = 10s", "`10s` needs quotes: \"10s\""),
            ("retain = [\"10s\"]", "retain: takes one value, not a list"),
            ("retain = { seconds = 10 }", "retain: takes a value, not a section"),
            ("min-updates = 2.5", "min-updates: `2.5` is not a whole number of zero or more"),
            ("min-updates = \"few\"", "min-updates: `few` is not a whole number of zero or more"),
            ("pump = 1", "pump: `1` is neither true nor false"),
            ("log-file = true", "log-file: takes a path in quotes"),
            ("log = 2027-01-31", "log: takes a text in quotes"),
            ("targets = 1", "`targets` takes a text in quotes, or a list of such"),
            ("targets = []", "`targets` is empty"),
            ("targets = \"no/such\"", "`no/such` is not a target: there is no such file"),
            ("detectors = 1", "`detectors` takes a section for each detector, such as [detectors.deadlock]"),
            ("detectors.deadlock = true", "`detectors.deadlock` is a section: [detectors.deadlock]"),
            ("[detectors.deadlok]", "there is no detector `deadlok`; did you mean `deadlock`?"),
            ("[detectors.mutex]", "there is no detector `mutex`; `tokio-canary explain` lists them"),
            ("[deadlock]", "there is no section `deadlock`; did you mean `detectors.deadlock`?"),
            ("[detector.deadlock]", "there is no option or section `detector`; did you mean `detectors`?"),
            (
                "detectors.blocked-worker.critcal = \"2s\"",
                "blocked-worker has no setting `critcal`; did you mean `critical`?",
            ),
            (
                "detectors.blocked-worker.start_up = \"2s\"",
                "blocked-worker has no setting `start_up`; did you mean `start-up`?",
            ),
            (
                "detectors.blocked-worker.critical = 2",
                "blocked-worker.critical: `2` is not a duration; write it like 500ms, 10s or 2m",
            ),
            ("detectors.vanished-singleton.expect = [1]", "vanished-singleton.expect: takes a list of texts in quotes"),
            ("suppress = 1", "`suppress` is a list of sections: begin each with [[suppress]]"),
            ("[suppress]", "`suppress` is a list of sections: begin each with [[suppress]]"),
            ("output = [1]", "`output` is a list of sections: begin each with [[output]]"),
            ("[[output]]", "an output needs a `format`: text, ndjson, brief, junit, github, sarif"),
            ("output = [{ format = 1 }]", "`format` takes a text in quotes"),
            ("output = [{ format = \"json\" }]", "`json` is not a format; did you mean `ndjson`?"),
            ("output = [{ format = \"text\", path = \"\" }]", "`path` is empty"),
            ("output = [{ format = \"text\", file = \"a\" }]", "an output has no `file`; it has format, path"),
            (
                "output = [{ format = \"text\" }, { format = \"ndjson\" }]",
                "two outputs write to standard output: give one of them another `path`",
            ),
            ("[detectors", "not valid TOML: unclosed table, expected `]`"),
            ("retain = ", "not valid TOML: string values must be quoted, expected literal string"),
            ("retain = \"1s\"\r\nretain = \"2s\"", "not valid TOML: duplicate key"),
        ] {
            let (_, faults) = read_text(&format!("# one\n\n{text}"), Rights::All);
            let line = if text.contains("\r\n") { 4 } else { 3 };
            assert_eq!(faults, [format!("c.toml:{line}: {says}")], "{text}");
        }
    }

    #[test]
    fn a_suppression_needs_a_reason_and_a_limit() {
        let limit = "a suppression needs a `detector`, or a `name` or `location` other than `*`: this one would cover every finding";
        for (text, says) in [
            ("statement = \"why\"", limit),
            ("statement = \"why\"\nname = \"*\"\nlocation = [\"**\"]", limit),
            ("name = \"a\"", "a suppression needs a `statement` that says why"),
            ("name = \"a\"\nstatement = \" \"", "`statement` is empty: say why"),
            ("name = \"a\"\nstatement = 1", "`statement` takes a text in quotes: say why"),
            ("statement = \"why\"\nname = \"\"", "`name` is empty"),
            ("statement = \"why\"\nlocation = []", "`location` is empty"),
            ("statement = \"why\"\nlocation = [1]", "`location` takes a text in quotes, or a list of such"),
            (
                "statement = \"why\"\ndetector = \"contended_lock\"",
                "there is no detector `contended_lock`; did you mean `contended-lock`?",
            ),
            (
                "statement = \"why\"\ndetector = \"partial-feed\"",
                "partial-feed cannot be suppressed: it reports a doubt about the feed, and a verdict that ignores it would be a guess; \
                 `tokio-canary explain partial-feed` says what to do",
            ),
            (
                "name = \"a\"\nstatement = \"why\"\nexpired-at = 2027-01-31",
                "a suppression has no `expired-at`; did you mean `expired_at`?",
            ),
            (
                "name = \"a\"\nstatement = \"why\"\nreason = \"why\"",
                "a suppression has no `reason`; it has detector, name, location, statement, expired_at",
            ),
            (
                "name = \"a\"\nstatement = \"why\"\nexpired_at = \"2027-01-31\"",
                "`expired_at` is the text \"2027-01-31\": write a date without quotes, as in expired_at = 2027-01-31",
            ),
            (
                "name = \"a\"\nstatement = \"why\"\nexpired_at = 12:00:00",
                "`expired_at` has no day, or one before 1970: write a date without quotes, as in expired_at = 2027-01-31",
            ),
            (
                "name = \"a\"\nstatement = \"why\"\nexpired_at = 2027",
                "`expired_at` is not a date: write a date without quotes, as in expired_at = 2027-01-31",
            ),
            (
                "name = \"a\"\nstatement = \"why\"\nexpired_at = 2027-02-31",
                "not valid TOML: invalid date, expected day between 01 and 28",
            ),
        ] {
            let (layer, faults) = read_text(&format!("[[suppress]]\n{text}"), Rights::All);
            let told: Vec<&str> = faults.iter().filter_map(|fault| fault.split_once(": ")).map(|(_, it)| it).collect();
            assert_eq!(told, [says], "{text}");
            assert!(layer.suppressions.len() <= 1);
        }
    }

    #[test]
    fn all_faults_are_told_at_once_and_in_order() {
        let (_, faults) = read_text(
            "[detectors.deadlock]\nenabled = 1\nhold = 2s\n\n[[suppress]]\ndetector = [\n  \"a\",\n  \"deadlok\",\n]\n\n[output]\n",
            Rights::All,
        );
        let lines: Vec<&str> = faults.iter().filter_map(|fault| fault.split(": ").next()).collect();
        assert_eq!(lines, ["c.toml:2", "c.toml:3", "c.toml:5", "c.toml:7", "c.toml:8", "c.toml:11"]);
        // After a bracket that is missing, nothing is certain.
        let (_, faults) = read_text("colour = 1\n[detectors\nenabled = 1\n", Rights::All);
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn a_file_of_a_checkout_sets_thresholds_and_suppressions_only() {
        let (layer, faults) = read_text(
            "[detectors.deadlock]\nhold = \"9s\"\n[[suppress]]\nname = \"a\"\nstatement = \"why\"",
            Rights::Thresholds,
        );
        assert_eq!((faults.len(), layer.settings.len(), layer.suppressions.len()), (0, 1, 1));
        for text in [
            "targets = [\"evil:1\"]",
            "log-file = \"/home/user/.profile\"",
            "fail-on = \"critical\"",
            "[[output]]\nformat = \"text\"\npath = \".bashrc\"",
            "command = \"rm\"",
            "[[receiver]]\nurl = \"http://evil\"",
        ] {
            let (layer, faults) = read_text(text, Rights::Thresholds);
            assert!(faults[0].contains("not allowed here: a file that comes with a checkout"), "{faults:?}");
            assert!(layer.targets.is_none() && layer.outputs.is_empty() && layer.options.is_empty(), "{layer:?}");
        }
        for (text, says) in [
            ("[detector.deadlock]", "did you mean `detectors`?"),
            ("[[supress]]", "did you mean `suppress`?"),
            ("[deadlock]", "did you mean `detectors.deadlock`?"),
        ] {
            let (_, faults) = read_text(text, Rights::Thresholds);
            assert!(faults[0].ends_with(says), "{faults:?}");
        }
    }
}
