//! Receivers as sections of a file: of a secret, where it is.

use humantime::format_duration;

use super::{comment, list, quoted, section};
use crate::config::origin::Sourced;
use crate::config::receiver::{Address, Credentials, Endpoint, Labels, Receiver, Secret};
use crate::config::word::Word;

/// A section for each receiver.
pub(super) fn receivers(text: &mut String, receivers: &[Sourced<Receiver>]) {
    for Sourced { value, origin } in receivers {
        let lines = match value {
            Receiver::Alertmanager(it) => {
                let resend = format!("resend = \"{}\"", format_duration(it.resend));
                endpoint(&it.endpoint).into_iter().chain(labels(&it.labels)).chain([resend]).collect()
            }
            Receiver::Webhook(it) => {
                let secret = it.secret.as_ref().map(|secret| place("secret", secret));
                endpoint(&it.endpoint).into_iter().chain(labels(&it.labels)).chain(secret).collect()
            }
            Receiver::Command(it) => {
                let command = list(it.argv.iter().map(|word| quoted(word)));
                vec![format!("command = {command}"), format!("timeout = \"{}\"", format_duration(it.limit))]
            }
        };
        section(text, &format!("[[{}]]{}", value.kind().word(), comment(origin)), lines);
    }
}

fn endpoint(endpoint: &Endpoint) -> Vec<String> {
    let mut lines = vec![match &endpoint.address {
        Address::Plain(url) => format!("url = {}", quoted(&url.to_string())),
        Address::Hidden(secret) => place("url", secret),
    }];
    match &endpoint.credentials {
        Some(Credentials::Bearer(token)) => lines.push(place("bearer-token", token)),
        Some(Credentials::Basic { username, password }) => {
            lines.extend([format!("username = {}", quoted(username)), place("password", password)]);
        }
        None => {}
    }
    lines.extend(endpoint.ca_file.as_ref().map(|path| format!("ca-file = {}", quoted(&path.display().to_string()))));
    lines
}

fn place(key: &str, secret: &Secret) -> String {
    match secret {
        Secret::File(path) => format!("{key}-file = {}", quoted(&path.display().to_string())),
        Secret::Variable(name) => format!("{key}-env = {}", quoted(name)),
    }
}

fn labels(labels: &Labels) -> Option<String> {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name} = {}", quoted(value))).collect();
    (!pairs.is_empty()).then(|| format!("labels = {{ {} }}", pairs.join(", ")))
}
