//! Values of TOML as settings and lists take them.

use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::context::Context;
use crate::detect::settings::Given;

/// A value as the type of a setting reads it.
pub(super) fn given(value: &DeValue<'_>) -> Result<Given, String> {
    match value {
        DeValue::String(text) => Ok(Given::Text(text.to_string())),
        DeValue::Integer(number) => Ok(Given::Bare(decimal(number))),
        DeValue::Float(number) => Ok(Given::Bare(number.as_str().to_owned())),
        DeValue::Boolean(on) => Ok(Given::Bare(on.to_string())),
        DeValue::Datetime(date) => Ok(Given::Bare(date.to_string())),
        DeValue::Array(items) => texts(items).map(Given::List),
        DeValue::Table(_) => Err("takes a value, not a section".to_owned()),
    }
}

/// One text in quotes, or a list of them, each with its place.
fn one_or_more(value: &Spanned<DeValue<'_>>) -> Result<Vec<Spanned<String>>, String> {
    let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) if text.trim().is_empty() => Err("is empty".to_owned()),
        DeValue::String(text) => Ok(Spanned::new(item.span(), text.to_string())),
        _ => Err("takes a text in quotes, or a list of such".to_owned()),
    };
    match value.get_ref() {
        DeValue::Array(items) if items.is_empty() => Err("is empty".to_owned()),
        DeValue::Array(items) => items.iter().map(text).collect(),
        _ => Ok(vec![text(value)?]),
    }
}

/// Reads each of the texts of a key; what is wrong with one of them does not hide what is wrong with the next.
pub(super) fn read_each<T>(
    context: &mut Context<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    let texts = context.accept(value.span(), one_or_more(value).map_err(|error| format!("`{key}` {error}")))?;
    let read: Vec<Option<T>> = texts.iter().map(|text| context.accept(text.span(), read(text.get_ref()))).collect();
    read.into_iter().collect()
}

/// A text in quotes that says something.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) if text.trim().is_empty() => Err("is empty".to_owned()),
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err("takes a text in quotes".to_owned()),
    }
}

fn texts(items: &DeArray<'_>) -> Result<Vec<String>, String> {
    let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        _ => Err("takes a list of texts in quotes".to_owned()),
    };
    items.iter().map(text).collect()
}

/// The number in the form in which settings are written; one that no setting takes stays as it is.
fn decimal(number: &DeInteger<'_>) -> String {
    i64::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |number| number.to_string())
}

/// The tables of `[[name]]`; anything else of this name is a fault.
pub(super) fn tables<'a, 'i>(
    context: &mut Context<'_>,
    name: &str,
    value: &'a Spanned<DeValue<'i>>,
) -> Vec<(&'a DeTable<'i>, std::ops::Range<usize>)> {
    let wrong = format!("`{name}` is a list of sections: begin each with [[{name}]]");
    let DeValue::Array(items) = value.get_ref() else {
        context.fault(value.span(), wrong);
        return Vec::new();
    };
    let mut tables = Vec::new();
    for item in items {
        match item.get_ref() {
            DeValue::Table(table) => tables.push((table, item.span())),
            _ => context.fault(item.span(), wrong.as_str()),
        }
    }
    tables
}

/// Notes every key of a section that it does not have.
pub(super) fn refuse_unknown(context: &mut Context<'_>, table: &DeTable<'_>, what: &str, known: &[&str]) {
    for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
        let name = key.get_ref();
        let hint = crate::spelling::hint(name, known.iter().copied(), || format!("it has {}", known.join(", ")));
        context.fault(key.span(), format!("{what} has no `{name}`{hint}"));
    }
}
