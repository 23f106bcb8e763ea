//! Who gets alerts: an Alertmanager, a webhook, or a command of the user.

mod url;

use std::path::PathBuf;
use std::time::Duration;

use super::word::Word;

pub use self::url::{Address, Url};
pub use crate::secret::Secret;

/// The variable of the key with which webhooks that the command line or the environment names are signed.
pub const WEBHOOK_SECRET: &str = "TOKIO_CANARY_WEBHOOK_SECRET";
/// The variable of the token for webhooks that the command line or the environment names.
pub const WEBHOOK_TOKEN: &str = "TOKIO_CANARY_WEBHOOK_BEARER_TOKEN";
/// The variable of the token for Alertmanagers that the command line or the environment names.
pub const ALERTMANAGER_TOKEN: &str = "TOKIO_CANARY_ALERTMANAGER_BEARER_TOKEN";

/// How the variables begin that a command gets. No option begins like this.
pub const EVENT_PREFIX: &str = "TOKIO_CANARY_ALERT_";

/// How often an alert that fires is sent to an Alertmanager again, unless configured.
pub const RESEND: Duration = Duration::from_secs(60);
/// How long a command may run, unless configured.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// What kind of receiver: the name of its section, its flag and its variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Prometheus Alertmanager, by its API v2.
    Alertmanager,
    /// Anything that understands the webhooks of Alertmanager.
    Webhook,
    /// A command that is run for each transition.
    OnTransition,
}

impl Word for Kind {
    const NOUN: &'static str = "a kind of receiver";
    const ALL: &'static [Self] = &[Self::Alertmanager, Self::Webhook, Self::OnTransition];

    fn word(self) -> &'static str {
        match self {
            Self::Alertmanager => "alertmanager",
            Self::Webhook => "webhook",
            Self::OnTransition => "on-transition",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Alertmanager => "Prometheus Alertmanager, by its API v2",
            Self::Webhook => "An HTTP endpoint that takes the webhooks of Alertmanager",
            Self::OnTransition => "A command that is run for each transition",
        }
    }
}

/// Labels that the user adds to every alert.
pub type Labels = Vec<(String, String)>;

/// Who gets alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receiver {
    /// Prometheus Alertmanager.
    Alertmanager(Alertmanager),
    /// A webhook.
    Webhook(Webhook),
    /// A command.
    Command(Command),
}

/// Prometheus Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alertmanager {
    /// Its base URL, without `/api/v2/alerts`.
    pub endpoint: Endpoint,
    /// Labels that every alert gets.
    pub labels: Labels,
    /// How often an alert that fires is sent again.
    pub resend: Duration,
}

/// An HTTP endpoint that takes the webhooks of Alertmanager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where the alerts are sent.
    pub endpoint: Endpoint,
    /// Labels that every alert gets.
    pub labels: Labels,
    /// The key of the signature, if they are signed.
    pub secret: Option<Secret>,
}

/// A command that is run for each transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// How long it may run.
    pub limit: Duration,
}

/// An HTTP endpoint and what it needs to let us in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// Who we are.
    pub credentials: Option<Credentials>,
    /// The certificates to trust instead of those of the system, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// Who we are, for an HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token.
    Bearer(Secret),
    /// A user and a password.
    Basic {
        /// The user.
        username: String,
        /// Where the password is.
        password: Secret,
    },
}

impl Endpoint {
    /// One that asks for nothing.
    pub fn open(address: Address) -> Self {
        Self { address, credentials: None, ca_file: None }
    }

    /// The secrets that it needs.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let credentials = self.credentials.as_ref().map(|it| match it {
            Credentials::Bearer(secret) | Credentials::Basic { password: secret, .. } => secret,
        });
        let address = match &self.address {
            Address::Hidden(secret) => Some(secret),
            Address::Plain(_) => None,
        };
        credentials.into_iter().chain(address)
    }
}

impl Receiver {
    /// One as a flag or a variable names it, without anything else.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn named(kind: Kind, name: &str) -> Result<Self, String> {
        let endpoint = || name.parse().map(|url| Endpoint::open(Address::Plain(url)));
        Ok(match kind {
            Kind::Alertmanager => {
                Self::Alertmanager(Alertmanager { endpoint: endpoint()?, labels: Labels::new(), resend: RESEND })
            }
            Kind::Webhook => Self::Webhook(Webhook { endpoint: endpoint()?, labels: Labels::new(), secret: None }),
            Kind::OnTransition if name.trim().is_empty() => return Err("the command is empty".to_owned()),
            Kind::OnTransition => Self::Command(Command { argv: vec![name.to_owned()], limit: COMMAND_LIMIT }),
        })
    }

    /// What kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Alertmanager(_) => Kind::Alertmanager,
            Self::Webhook(_) => Kind::Webhook,
            Self::Command(_) => Kind::OnTransition,
        }
    }

    /// The secrets that it needs.
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Alertmanager(it) => it.endpoint.secrets().collect(),
            Self::Webhook(it) => it.endpoint.secrets().chain(&it.secret).collect(),
            Self::Command(_) => Vec::new(),
        }
    }

    /// Takes the secrets that the environment has for receivers which have no section for them.
    pub(super) fn take_secrets(&mut self, is_set: impl Fn(&str) -> bool) {
        let secret = |name: &str| is_set(name).then(|| Secret::Variable(name.to_owned()));
        match self {
            Self::Alertmanager(it) => it.endpoint.credentials = secret(ALERTMANAGER_TOKEN).map(Credentials::Bearer),
            Self::Webhook(it) => {
                it.endpoint.credentials = secret(WEBHOOK_TOKEN).map(Credentials::Bearer);
                it.secret = secret(WEBHOOK_SECRET);
            }
            Self::Command(_) => {}
        }
    }
}

/// Checks a label that the user adds.
///
/// # Errors
/// What is wrong with its name.
pub(super) fn label(name: &str) -> Result<(), String> {
    let is_plain =
        |(place, it): (usize, char)| it == '_' || it.is_ascii_alphabetic() || place > 0 && it.is_ascii_digit();
    if name.is_empty() || !name.chars().enumerate().all(is_plain) {
        return Err(format!("`{name}` is not the name of a label: it takes letters, digits and `_`"));
    }
    if OWN_LABELS.contains(&name) {
        return Err(format!("the label `{name}` is set by the tool; choose another name"));
    }
    Ok(())
}

/// The labels that the tool sets itself. Alerts have their values in this order.
pub const OWN_LABELS: [&str; 9] =
    ["alertname", "severity", "job", "instance", "detector", "family", "grade", "location", "fingerprint"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_known_by_what_a_flag_says() {
        let webhook = Receiver::named(Kind::Webhook, "https://hooks.example/a?b=c").expect("right");
        assert_eq!(webhook.kind(), Kind::Webhook);
        assert!(Receiver::named(Kind::Alertmanager, "alertmanager:9093").is_err_and(|it| it.contains("http://")));
        assert_eq!(Receiver::named(Kind::OnTransition, " "), Err("the command is empty".to_owned()));
    }

    #[test]
    fn only_receivers_without_a_section_take_secrets_of_the_environment() {
        let mut webhook = Receiver::named(Kind::Webhook, "https://hooks.example").expect("right");
        webhook.take_secrets(|name| name == WEBHOOK_SECRET);
        assert_eq!(webhook.secrets(), [&Secret::Variable(WEBHOOK_SECRET.to_owned())]);
    }

    #[test]
    fn labels_are_those_of_prometheus_and_none_of_ours() {
        assert_eq!(label("team_1"), Ok(()));
        for wrong in ["", "1a", "a-b", "a b", "severity"] {
            assert!(label(wrong).is_err(), "{wrong}");
        }
    }
}
