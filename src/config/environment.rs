//! The environment: `TOKIO_CANARY_RETAIN=20s`, `TOKIO_CANARY_BLOCKED_WORKER__CRITICAL=2s`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::fault::Fault;
use super::layer::{Layer, OptionValue, target};
use super::options::{OPTIONS, option};
use super::origin::{Origin, Sourced};
use super::output::{Output, shared_place};
use super::receiver::{ALERTMANAGER_TOKEN, EVENT_PREFIX, Kind, Receiver, WEBHOOK_SECRET, WEBHOOK_TOKEN};
use super::word::Word;
use crate::detect::assignment::{Assignment, detector};
use crate::detect::settings::Given;
use crate::spelling;

const PREFIX: &str = "TOKIO_CANARY_";
/// The variables that hold secrets.
const SECRETS: [&str; 3] = [ALERTMANAGER_TOKEN, WEBHOOK_SECRET, WEBHOOK_TOKEN];

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Environment {
    /// Its values.
    pub(super) layer: Layer,
    /// The file to read, as `--config` would name it.
    pub(super) config: Option<PathBuf>,
}

/// The variable of an option: `TOKIO_CANARY_FAIL_ON` of `fail-on`.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('-', "_").to_uppercase())
}

/// Reads the variables that are ours. An empty one counts as not set.
pub(super) fn read(variables: &[(OsString, OsString)], faults: &mut Vec<Fault>) -> Environment {
    let mut environment = Environment::default();
    let ours = |(name, value): &(OsString, OsString)| {
        let name = name.to_str()?;
        Some((name.to_owned(), name.strip_prefix(PREFIX)?.to_owned(), value.clone())).filter(|_| !value.is_empty())
    };
    let mut ours: Vec<(String, String, OsString)> = variables.iter().filter_map(ours).collect();
    ours.sort();
    for (name, rest, value) in ours {
        // Their values stay where they are. Those of events are what a command of ours was given.
        if SECRETS.contains(&name.as_str()) || name.starts_with(EVENT_PREFIX) {
            continue;
        }
        let origin = Origin::Variable(name);
        if let Err(what) = read_one(&rest, value, &origin, &mut environment) {
            faults.push(Fault::new(origin, what));
        }
    }
    environment
}

fn read_one(rest: &str, value: OsString, origin: &Origin, environment: &mut Environment) -> Result<(), String> {
    let layer = &mut environment.layer;
    let name = rest.to_lowercase().replace('_', "-");
    if rest == "CONFIG" {
        environment.config = Some(value.into());
        return Ok(());
    }
    let text = || value.to_str().map(str::to_owned).ok_or("is not UTF-8");
    if let Some((id, key)) = name.split_once("--") {
        let assignment = Assignment::new(detector(id)?, key, &Given::Text(text()?))?;
        layer.settings.push(Sourced::new(assignment, origin.clone()));
    } else if let Some(option) = option(&name) {
        layer.options.push(Sourced::new(OptionValue::new(option, &Given::Text(text()?))?, origin.clone()));
    } else if name == "targets" {
        let targets = listed(&text()?).map(target).collect::<Result<_, _>>()?;
        layer.targets = Some(Sourced::new(targets, origin.clone()));
    } else if name == "output" {
        let outputs: Vec<Output> = listed(&text()?).map(str::parse).collect::<Result<_, _>>()?;
        if let Some((_, place)) = shared_place(&outputs) {
            return Err(format!("two outputs write to {place}"));
        }
        layer.outputs.extend(outputs.into_iter().map(|output| Sourced::new(output, origin.clone())));
    } else if let Some(kind) = Kind::ALL.iter().find(|kind| kind.word() == name) {
        let named = |name: &str| Ok(Sourced::new(Receiver::named(*kind, name)?, origin.clone()));
        layer.receivers.extend(listed(&text()?).map(named).collect::<Result<Vec<_>, String>>()?);
    } else if let Some(right) = misspelt(&name) {
        return Err(format!("there is no such option; did you mean `{}`?", variable(right)));
    }
    Ok(())
}

fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// The option that a variable is probably meant for. Others of our prefix may be anything: the version that an image installs, or what
/// Kubernetes tells of a Service of our name, such as `TOKIO_CANARY_SERVICE_HOST` and `TOKIO_CANARY_PORT_6669_TCP`.
fn misspelt(name: &str) -> Option<&'static str> {
    let is_of_kubernetes = name.starts_with("service-") || name == "port" || name.starts_with("port-");
    let receivers = Kind::ALL.iter().map(|kind| kind.word());
    let secrets = SECRETS.iter().filter_map(|secret| secret.strip_prefix(PREFIX));
    let names = OPTIONS.iter().map(|option| option.key()).chain(["config", "output", "targets"]);
    let names = names.chain(receivers).chain(secrets);
    if is_of_kubernetes { None } else { spelling::nearest(name, names) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(variables: &[(&str, &str)]) -> (Environment, Vec<String>) {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut faults = Vec::new();
        let environment = read(&variables, &mut faults);
        (environment, faults.iter().map(Fault::to_string).collect())
    }

    #[test]
    fn variables_set_what_they_name() {
        let (environment, faults) = read_all(&[
            ("TOKIO_CANARY_BLOCKED_WORKER__START_UP", "9s"),
            ("TOKIO_CANARY_VANISHED_SINGLETON__EXPECT", "a, b"),
            ("TOKIO_CANARY_MIN_UPDATES", "7"),
            ("TOKIO_CANARY_TARGETS", "localhost:1, localhost:2"),
            ("TOKIO_CANARY_OUTPUT", "text,ndjson=a.ndjson"),
            ("TOKIO_CANARY_CONFIG", "a.toml"),
            ("TOKIO_CANARY_RETAIN", ""),
        ]);
        assert_eq!(faults, [""; 0]);
        let layer = environment.layer;
        let settings: Vec<String> = layer
            .settings
            .iter()
            .map(|it| format!("{}.{}={:?}", it.value.detector.id, it.value.setting.key(), it.value.value))
            .collect();
        assert_eq!(
            settings,
            ["blocked-worker.start-up=Duration(9s)", "vanished-singleton.expect=Names([\"a\", \"b\"])"]
        );
        assert_eq!(layer.options.iter().map(|it| it.value.option.key()).collect::<Vec<_>>(), ["min-updates"]);
        assert_eq!(layer.targets.map(|it| it.value.len()), Some(2));
        assert_eq!(layer.outputs.len(), 2);
        assert_eq!(environment.config, Some(PathBuf::from("a.toml")));
    }

    #[test]
    fn what_is_wrong_names_the_variable() {
        for (name, value, says) in [
            (
                "TOKIO_CANARY_BLOCKED_WORKR__CRITICAL",
                "2s",
                "TOKIO_CANARY_BLOCKED_WORKR__CRITICAL: there is no detector `blocked-workr`; did you mean `blocked-worker`?",
            ),
            (
                "TOKIO_CANARY_DEADLOCK__ENABLE",
                "false",
                "TOKIO_CANARY_DEADLOCK__ENABLE: deadlock has no setting `enable`; did you mean `enabled`?",
            ),
            ("TOKIO_CANARY_PUMP", "off", "TOKIO_CANARY_PUMP: pump: `off` is neither true nor false"),
            (
                "TOKIO_CANARY_FAIL_NO",
                "info",
                "TOKIO_CANARY_FAIL_NO: there is no such option; did you mean `TOKIO_CANARY_FAIL_ON`?",
            ),
            (
                "TOKIO_CANARY_TARGET",
                "localhost",
                "TOKIO_CANARY_TARGET: there is no such option; did you mean `TOKIO_CANARY_TARGETS`?",
            ),
            ("TOKIO_CANARY_OUTPUT", "text,ndjson", "TOKIO_CANARY_OUTPUT: two outputs write to standard output"),
        ] {
            assert_eq!(read_all(&[(name, value)]).1, [says]);
        }
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        for name in [
            "TOKIO_CANARY_VERSION",
            "TOKIO_CANARY_IMAGE",
            "TOKIO_CANARY_HOME",
            "TOKIO_CANARY_PORT",
            "TOKIO_CANARY_PORT_6669_TCP_ADDR",
            "TOKIO_CANARY_SERVICE_HOST",
            "TOKIO_CANARY_SERVICE_PORT_CONSOLE",
            "TOKIO_CONSOLE_RETENTION",
            "tokio_canary_retain",
        ] {
            let (environment, faults) = read_all(&[(name, "tcp://10.0.0.1:6669")]);
            assert!(faults.is_empty() && environment.layer.options.is_empty(), "{name}: {faults:?}");
        }
    }
}
