//! The sections `[[suppress]]`: findings that do not count.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use toml::de::{DeTable, DeValue};
use toml::value::{Datetime, Offset};

use super::context::Context;
use super::value::{read_each, refuse_unknown, text};
use crate::config::origin::Sourced;
use crate::detect::assignment::detector;
use crate::detect::suppression::{Pattern, Suppression, is_suppressible};

const KEYS: [&str; 5] = ["detector", "name", "location", "statement", "expired_at"];

/// Reads one section, unless something is wrong with it.
pub(super) fn suppression(
    context: &mut Context<'_>,
    table: &DeTable<'_>,
    span: Range<usize>,
) -> Option<Sourced<Suppression>> {
    refuse_unknown(context, table, "a suppression", &KEYS);
    // Each key is read, also after one that is wrong: all faults are told at once.
    let detectors = list(context, table, "detector", suppressible);
    let names = list(context, table, "name", |text| Ok(Pattern::new(text)));
    let locations = list(context, table, "location", |text| Ok(Pattern::new(text)));
    let statement = statement(context, table, span.clone(), "a suppression");
    let expires = match table.get("expired_at") {
        Some(value) => context.accept(value.span(), expiry(value.get_ref())).map(Some),
        None => Some(None),
    };
    let (detectors, names, locations) = (detectors?, names?, locations?);
    if detectors.is_empty() && names.iter().chain(&locations).all(Pattern::is_any) {
        let what = "a suppression needs a `detector`, or a `name` or `location` other than `*`: this one would cover every finding";
        context.fault(span, what);
        return None;
    }
    let (fingerprints, statement, expires) = (Vec::new(), statement?, expires?);
    let suppression = Suppression { detectors, names, locations, fingerprints, statement, expires };
    Some(Sourced::new(suppression, context.origin(span)))
}

/// Why something is acceptable, which has to be said of `what`.
pub(super) fn statement(
    context: &mut Context<'_>,
    table: &DeTable<'_>,
    span: Range<usize>,
    what: &str,
) -> Option<String> {
    let Some(value) = table.get("statement") else {
        context.fault(span, format!("{what} needs a `statement` that says why"));
        return None;
    };
    context.accept(value.span(), text(value.get_ref()).map_err(|error| format!("`statement` {error}: say why")))
}

/// The values of a key, each of them read; none if there is no such key.
fn list<T>(
    context: &mut Context<'_>,
    table: &DeTable<'_>,
    key: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    table.get(key).map_or_else(|| Some(Vec::new()), |value| read_each(context, key, value, read))
}

/// The detector of this name, if its findings can be suppressed.
pub(super) fn suppressible(id: &str) -> Result<&'static str, String> {
    let detector = detector(id)?;
    if is_suppressible(detector) {
        return Ok(detector.id);
    }
    Err(format!(
        "{id} cannot be suppressed: it reports a doubt about the feed, and a verdict that ignores it would be a guess; \
         `tokio-canary explain {id}` says what to do"
    ))
}

/// From when on something counts again.
pub(super) fn expiry(value: &DeValue<'_>) -> Result<SystemTime, String> {
    let form = "write a date without quotes, as in expired_at = 2027-01-31";
    match value {
        DeValue::Datetime(date) => {
            instant(*date).ok_or_else(|| format!("`expired_at` has no day, or one before 1970: {form}"))
        }
        DeValue::String(text) => Err(format!("`expired_at` is the text \"{text}\": {form}")),
        _ => Err(format!("`expired_at` is not a date: {form}")),
    }
}

/// The point in time of a date: its beginning where no time is given, in UTC where no offset is.
fn instant(date: Datetime) -> Option<SystemTime> {
    let day = date.date?;
    let time = date.time.map_or_else(
        || "00:00:00".to_owned(),
        |it| format!("{:02}:{:02}:{:02}", it.hour, it.minute, it.second.unwrap_or_default()),
    );
    let utc = humantime::parse_rfc3339(&format!("{day}T{time}Z")).ok()?;
    let minutes = match date.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes),
        Some(Offset::Z) | None => 0,
    };
    let offset = Duration::from_secs(minutes.unsigned_abs() * 60);
    if minutes > 0 { utc.checked_sub(offset) } else { utc.checked_add(offset) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_points_in_time() {
        let seconds = |text: &str| {
            let date: Datetime = text.parse().expect("a date");
            instant(date).map(|it| it.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs())
        };
        for (text, expected) in [
            ("1970-01-02", Some(86_400)),
            ("1970-01-02T01:00:00Z", Some(90_000)),
            ("1970-01-02T01:00:00", Some(90_000)),
            ("1970-01-02 01:00:05.5+01:00", Some(86_405)),
            ("1970-01-02T01:00:00-02:30", Some(99_000)),
            ("2028-02-29", Some(1_835_395_200)),
            ("12:00:00", None),
            ("1969-12-31", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
