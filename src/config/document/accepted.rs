//! The sections `[[accepted]]` of a baseline: findings that were there when it was written.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::context::Context;
use super::suppress::{expiry, statement, suppressible};
use super::value::{refuse_unknown, tables, text};
use crate::config::accepted::Accepted;

const KEYS: [&str; 4] = ["fingerprint", "finding", "statement", "expired_at"];

/// Reads all sections of a baseline.
pub(super) fn accepted(context: &mut Context<'_>, document: &DeTable<'_>) -> Vec<Accepted> {
    let mut all: Vec<Accepted> = Vec::new();
    for (key, value) in document {
        if key.get_ref() != "accepted" {
            let what = format!("a baseline has no `{}`; it has [[accepted]] sections only", key.get_ref());
            context.fault(key.span(), what);
            continue;
        }
        for (table, span) in tables(context, "accepted", value) {
            let Some(one) = section(context, table, span.clone()) else { continue };
            if let Some(first) = all.iter().find(|it| it.fingerprint == one.fingerprint) {
                let what = format!("{} is accepted at {} already: remove one of them", one.fingerprint, first.origin);
                context.fault(span, what);
            } else {
                all.push(one);
            }
        }
    }
    all
}

fn section(context: &mut Context<'_>, table: &DeTable<'_>, span: Range<usize>) -> Option<Accepted> {
    refuse_unknown(context, table, "an accepted finding", &KEYS);
    let fingerprint = if let Some(value) = table.get("fingerprint") {
        context.accept(value.span(), fingerprint(value))
    } else {
        let what = "an accepted finding needs its `fingerprint`; `tokio-canary check --update-baseline` adds it";
        context.fault(span.clone(), what);
        None
    };
    let finding = table.get("finding").map(|value| {
        let text = text(value.get_ref()).map_err(|error| format!("`finding` {error}"));
        context.accept(value.span(), text)
    });
    let statement = statement(context, table, span.clone(), "an accepted finding");
    let expires = table.get("expired_at").map(|value| context.accept(value.span(), expiry(value.get_ref())));
    Some(Accepted {
        fingerprint: fingerprint?,
        finding: finding.map_or(Some(None), |it| it.map(Some))?,
        statement: statement?,
        expires: expires.map_or(Some(None), |it| it.map(Some))?,
        origin: context.origin(span),
    })
}

/// A fingerprint of a detector whose findings can be accepted.
fn fingerprint(value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    let text = text(value.get_ref()).map_err(|error| format!("`fingerprint` {error}"))?;
    let (id, class) = text.split_once(':').unwrap_or((&text, ""));
    suppressible(id)?;
    if class.len() == 16 && class.bytes().all(|it| it.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err(format!(
        "`{text}` is not a fingerprint: write all of it, as in {id}:3f2a0011223344ff; ndjson and `witness` show it"
    ))
}
