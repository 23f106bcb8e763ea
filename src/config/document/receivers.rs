//! `[[alertmanager]]`, `[[webhook]]` and `[[on-transition]]`: who gets alerts.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::context::Context;
use super::value::{given, refuse_unknown, tables, text};
use crate::config::options::Period;
use crate::config::origin::Sourced;
use crate::config::receiver::{
    Address, Alertmanager, COMMAND_LIMIT, Command, Credentials, Endpoint, Kind, Labels, RESEND, Receiver, Secret,
    Webhook, label,
};
use crate::config::word::Word;
use crate::detect::settings::{Given, Type};

/// The keys of every endpoint.
const ENDPOINT: [&str; 9] = [
    "url",
    "url-file",
    "url-env",
    "bearer-token-file",
    "bearer-token-env",
    "username",
    "password-file",
    "password-env",
    "ca-file",
];

/// The longest interval at which alerts are sent again.
const SELDOM: Duration = Duration::from_secs(24 * 60 * 60);

/// Something is wrong, and the context knows it.
struct Noted;

/// Reads all sections of a kind.
pub(super) fn receivers(context: &mut Context<'_>, kind: Kind, value: &Spanned<DeValue<'_>>) -> Vec<Sourced<Receiver>> {
    let mut receivers = Vec::new();
    for (table, span) in tables(context, kind.word(), value) {
        let receiver = match kind {
            Kind::Alertmanager => alertmanager(context, table, &span),
            Kind::Webhook => webhook(context, table, &span),
            Kind::OnTransition => command(context, table, &span),
        };
        receivers.extend(receiver.map(|receiver| Sourced::new(receiver, context.origin(span))));
    }
    receivers
}

fn alertmanager(context: &mut Context<'_>, table: &DeTable<'_>, span: &Range<usize>) -> Option<Receiver> {
    refuse_unknown(context, table, "an Alertmanager", &[&ENDPOINT[..], &["labels", "resend"]].concat());
    let (endpoint, labels) = (endpoint(context, table, span), labels(context, table));
    let resend = duration(context, table, "resend", RESEND).filter(|resend| {
        let is_often = *resend <= SELDOM;
        if !is_often {
            let span = table.get("resend").map(Spanned::span).unwrap_or_default();
            context.fault(span, "`resend` must be at most 24h");
        }
        is_often
    });
    Some(Receiver::Alertmanager(Alertmanager { endpoint: endpoint?, labels: labels?, resend: resend? }))
}

fn webhook(context: &mut Context<'_>, table: &DeTable<'_>, span: &Range<usize>) -> Option<Receiver> {
    refuse_unknown(context, table, "a webhook", &[&ENDPOINT[..], &["labels", "secret-file", "secret-env"]].concat());
    let (endpoint, labels) = (endpoint(context, table, span), labels(context, table));
    let secret = secret(context, table, "secret").ok();
    Some(Receiver::Webhook(Webhook { endpoint: endpoint?, labels: labels?, secret: secret? }))
}

fn command(context: &mut Context<'_>, table: &DeTable<'_>, span: &Range<usize>) -> Option<Receiver> {
    refuse_unknown(context, table, "a command", &["command", "timeout"]);
    let limit = duration(context, table, "timeout", COMMAND_LIMIT);
    let Some(value) = table.get("command") else {
        context.fault(
            span.clone(),
            "a command needs a `command`: the program and its arguments, as in [\"page\", \"--now\"]",
        );
        return None;
    };
    let argv = given(value.get_ref()).and_then(|given| match given {
        Given::Text(program) => Ok(vec![program]),
        Given::List(argv) => Ok(argv),
        Given::Bare(_) => Err("takes a text in quotes, or a list of such".to_owned()),
    });
    let argv = argv.and_then(|argv| match argv.first() {
        Some(program) if !program.trim().is_empty() => Ok(argv),
        _ => Err("is empty".to_owned()),
    });
    let argv = context.accept(value.span(), argv.map_err(|error| format!("`command` {error}")));
    Some(Receiver::Command(Command { argv: argv?, limit: limit? }))
}

fn endpoint(context: &mut Context<'_>, table: &DeTable<'_>, span: &Range<usize>) -> Option<Endpoint> {
    let plain = match table.get("url") {
        Some(value) => {
            let url = text(value.get_ref()).map_err(|error| format!("`url` {error}")).and_then(|text| text.parse());
            Some(context.accept(value.span(), url))
        }
        None => None,
    };
    let hidden = secret(context, table, "url").ok()?;
    let address = match (plain, hidden) {
        (Some(url), None) => url.map(Address::Plain),
        (None, Some(secret)) => Some(Address::Hidden(secret)),
        (None, None) => {
            context.fault(span.clone(), "this receiver needs a `url`, or a `url-file` if the URL is a secret");
            None
        }
        (Some(_), Some(_)) => {
            let other = if table.contains_key("url-file") { "url-file" } else { "url-env" };
            let span = table.get(other).map(Spanned::span).unwrap_or_default();
            context.fault(span, format!("`url` and `{other}` exclude each other"));
            None
        }
    };
    let credentials = credentials(context, table, span).ok();
    let ca_file = optional(context, table, "ca-file").ok();
    Some(Endpoint { address: address?, credentials: credentials?, ca_file: ca_file?.map(Into::into) })
}

fn credentials(
    context: &mut Context<'_>,
    table: &DeTable<'_>,
    span: &Range<usize>,
) -> Result<Option<Credentials>, Noted> {
    let (token, password) = (secret(context, table, "bearer-token")?, secret(context, table, "password")?);
    match (token, optional(context, table, "username")?, password) {
        (None, None, None) => Ok(None),
        (Some(token), None, None) => Ok(Some(Credentials::Bearer(token))),
        (None, Some(username), Some(password)) => Ok(Some(Credentials::Basic { username, password })),
        (Some(_), _, _) => {
            context.fault(span.clone(), "a receiver takes a bearer token or a user with a password, not both");
            Err(Noted)
        }
        (None, _, _) => {
            context.fault(span.clone(), "`username` goes with `password-file` or `password-env`");
            Err(Noted)
        }
    }
}

/// A secret, by the file or the variable that holds it: never by its value.
fn secret(context: &mut Context<'_>, table: &DeTable<'_>, key: &str) -> Result<Option<Secret>, Noted> {
    let (file, variable) = (format!("{key}-file"), format!("{key}-env"));
    match (optional(context, table, &file)?, optional(context, table, &variable)?) {
        (None, None) => Ok(None),
        (Some(path), None) => Ok(Some(Secret::File(path.into()))),
        (None, Some(name)) => Ok(Some(Secret::Variable(name))),
        (Some(_), Some(_)) => {
            let span = table.get(variable.as_str()).map(Spanned::span).unwrap_or_default();
            context.fault(span, format!("`{file}` and `{variable}` exclude each other"));
            Err(Noted)
        }
    }
}

fn optional(context: &mut Context<'_>, table: &DeTable<'_>, key: &str) -> Result<Option<String>, Noted> {
    match table.get(key) {
        Some(value) => {
            let read = text(value.get_ref()).map_err(|error| format!("`{key}` {error}"));
            context.accept(value.span(), read).map(Some).ok_or(Noted)
        }
        None => Ok(None),
    }
}

fn duration(context: &mut Context<'_>, table: &DeTable<'_>, key: &str, default: Duration) -> Option<Duration> {
    let Some(value) = table.get(key) else { return Some(default) };
    let read = given(value.get_ref()).and_then(|given| Period::read(&given));
    context.accept(value.span(), read.map_err(|error| format!("{key}: {error}"))).map(|period| period.0)
}

fn labels(context: &mut Context<'_>, table: &DeTable<'_>) -> Option<Labels> {
    let Some(value) = table.get("labels") else { return Some(Labels::new()) };
    let DeValue::Table(given) = value.get_ref() else {
        context.fault(value.span(), "`labels` takes a section, such as { team = \"orders\" }");
        return None;
    };
    let mut labels = Labels::new();
    for (name, value) in given {
        let read = text(value.get_ref()).map_err(|error| format!("the label `{}` {error}", name.get_ref()));
        let read = label(name.get_ref()).and(read);
        labels.push((name.get_ref().to_string(), context.accept(value.span(), read)?));
    }
    Some(labels)
}
