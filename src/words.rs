//! Numbers in words: one style for durations, counts, shares and sizes, and one place that knows singular from plural.

use std::time::Duration;

/// A duration with the unit and the digits that a reader needs: `850 ms`, `2.1 s`, `4m 10s`, `2h 01m`.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let whole = duration.saturating_add(Duration::from_millis(500)).as_secs();
    match seconds {
        _ if duration.is_zero() => "0 s".to_owned(),
        _ if seconds < 0.000_000_5 => "<1 µs".to_owned(),
        _ if seconds < 0.000_999_5 => format!("{:.0} µs", seconds * 1e6),
        _ if seconds < 0.009_95 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 0.999_5 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 59.95 => format!("{seconds:.1} s"),
        _ if whole < 3_600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ if whole < 86_400 => format!("{}h {:02}m", whole / 3_600, whole / 60 % 60),
        _ => format!("{}d {:02}h", whole / 86_400, whole / 3_600 % 24),
    }
}

/// A limit as its user would write it: `1 s` where a measured duration would be `1.0 s`, and `5 min` where it would be `5m 00s`.
pub fn limit(limit: Duration) -> String {
    let text = duration(limit);
    let whole = [(".0 s", " s"), (".0 ms", " ms"), ("m 00s", " min"), ("h 00m", " h")];
    let short = whole.iter().find_map(|(long, short)| Some(text.strip_suffix(long)?.to_owned() + short));
    short.unwrap_or(text)
}

/// A time that has passed, as one says it: `3 s`, `10.6 s`, `4m 10s`.
pub fn age(age: Duration) -> String {
    limit(age)
}

/// A count in at most four digits: `9999`, `47.2M`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn number(count: impl TryInto<u64>) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    match count as f64 {
        _ if count < 10_000 => count.to_string(),
        some if some < 999_500.0 => format!("{}k", three_digits(some / 1e3)),
        many if many < 999_500_000.0 => format!("{}M", three_digits(many / 1e6)),
        most => format!("{}G", three_digits(most / 1e9)),
    }
}

/// A rate or another number that is not a count: `0.4`, `12.5`, `9500`, `47.2k`.
pub fn decimal(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "-".to_owned(),
        small if small.abs() < 99.95 => trim(format!("{small:.1}")),
        some if some.abs() < 9_999.5 => format!("{some:.0}"),
        many if many.abs() < 999_500.0 => format!("{}k", three_digits(many / 1e3)),
        most => format!("{}M", three_digits(most / 1e6)),
    }
}

/// An amount in a second that may be a small part of one: `<0.01`, `0.93`, `0.5`, `1.2`, `512`.
pub fn rate(value: f64) -> String {
    if value > 0.0 && value < 0.005 {
        return "<0.01".to_owned();
    }
    if value.abs() < 0.995 { trim_zeros(format!("{value:.2}")) } else { decimal(value) }
}

fn trim_zeros(text: String) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn three_digits(value: f64) -> String {
    trim(if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") })
}

fn trim(mut text: String) -> String {
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    text
}

/// A number of things: `1 task`, `12 tasks`, `3 entries`, `47.2M polls`.
pub fn count(count: impl TryInto<u64>, noun: &str) -> String {
    match count.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {noun}"),
        count => format!("{} {}", number(count), plural(noun)),
    }
}

/// The word that fits a number: `agree(1, "waits", "wait")` is `waits`.
pub fn agree<'a>(count: usize, one: &'a str, several: &'a str) -> &'a str {
    if count == 1 { one } else { several }
}

/// Sentences, each beginning with a capital letter, also where it begins with the name of a thing.
pub fn sentences(text: &str) -> String {
    let mut begins = true;
    let mut before = ' ';
    let capitalised = text.chars().map(|char| {
        let shown = if begins { char.to_ascii_uppercase() } else { char };
        begins = begins && char.is_whitespace() || before == '.' && char == ' ';
        before = char;
        shown
    });
    capitalised.collect()
}

/// The plural of a noun, or of the first noun of `noun of something`.
fn plural(noun: &str) -> String {
    if let Some((first, rest)) = noun.split_once(" of ") {
        return format!("{} of {rest}", plural(first));
    }
    match noun {
        _ if noun.ends_with('y') && !noun.ends_with("ay") => format!("{}ies", &noun[..noun.len() - 1]),
        _ if noun.ends_with(['s', 'x']) || noun.ends_with("ch") => format!("{noun}es"),
        _ => format!("{noun}s"),
    }
}

/// A measured value with its unit, which is `s`, `ratio`, `bytes`, a noun in the plural, or one of these `/s`: `850 ms`, `30 %`, `1 poll`,
/// `80 B/s`. A value without a unit is a number.
pub fn measure(value: f64, unit: &str) -> String {
    let (noun, per) = unit.strip_suffix("/s").map_or((unit, ""), |noun| (noun, "/s"));
    match (noun, Duration::try_from_secs_f64(value)) {
        ("s", Ok(time)) => duration(time),
        ("ratio", _) => percent(value),
        ("bytes", _) => format!("{}{per}", amount(value)),
        ("", _) => decimal(value),
        _ if decimal(value) == "1" => format!("1 {}{per}", singular(noun)),
        _ => format!("{} {unit}", decimal(value)),
    }
}

/// The singular of a noun that [`plural`] made.
fn singular(noun: &str) -> String {
    match noun {
        _ if noun.ends_with("ies") => format!("{}y", &noun[..noun.len() - 3]),
        _ if ["ses", "xes", "ches"].iter().any(|end| noun.ends_with(end)) => noun[..noun.len() - 2].to_owned(),
        _ => noun.strip_suffix('s').unwrap_or(noun).to_owned(),
    }
}

/// An amount of memory: `900 B`, `12.5 kB`, `1.2 GB`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(bytes: impl TryInto<u64>) -> String {
    amount(bytes.try_into().unwrap_or(u64::MAX) as f64)
}

fn amount(bytes: f64) -> String {
    match bytes {
        few if few < 999.5 => format!("{few:.0} B"),
        some if some < 999_950.0 => format!("{} kB", three_digits(some / 1e3)),
        many if many < 999_950_000.0 => format!("{} MB", three_digits(many / 1e6)),
        most => format!("{} GB", three_digits(most / 1e9)),
    }
}

/// A share in per cent: `30 %`, `0.4 %`.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        tiny if tiny > 0.0 && tiny < 0.05 => "<0.1 %".to_owned(),
        small if small != 0.0 && small.abs() < 0.95 => format!("{small:.1} %"),
        value => format!("{value:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well_around_every_change_of_unit() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.000_000_2, "<1 µs"),
            (0.000_35, "350 µs"),
            (0.000_999_6, "1.0 ms"),
            (0.003_42, "3.4 ms"),
            (0.009_96, "10 ms"),
            (0.85, "850 ms"),
            (0.999_6, "1.0 s"),
            (2.1, "2.1 s"),
            (59.96, "1m 00s"),
            (250.0, "4m 10s"),
            (3_599.6, "1h 00m"),
            (7_260.0, "2h 01m"),
            (100_000.0, "1d 03h"),
        ] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), text, "{seconds}");
        }
        let limits = [1_000, 1_500, 50, 2, 60_000, 150_000, 7_200_000].map(|it| limit(Duration::from_millis(it)));
        assert_eq!(limits, ["1 s", "1.5 s", "50 ms", "2 ms", "1 min", "2m 30s", "2 h"]);
    }

    #[test]
    fn nothing_is_counted_in_the_wrong_number() {
        let counts = [(1, "poll"), (0, "task"), (12, "task"), (3, "entry"), (2, "way of entry"), (47_180_000, "poll")];
        let texts = counts.map(|(number, noun)| count(number, noun));
        assert_eq!(texts, ["1 poll", "0 tasks", "12 tasks", "3 entries", "2 ways of entry", "47.2M polls"]);
        assert_eq!((agree(1, "waits", "wait"), agree(2, "waits", "wait")), ("waits", "wait"));
    }

    #[test]
    fn a_measured_value_agrees_with_its_unit() {
        for (value, unit, text) in [
            (0.85, "s", "850 ms"),
            (0.3, "ratio", "30 %"),
            (1.0, "polls", "1 poll"),
            (2.0, "tasks", "2 tasks"),
            (1.0, "entries/s", "1 entry/s"),
            (7.66, "grants/s", "7.7 grants/s"),
            (80.0, "bytes/s", "80 B/s"),
            (1.0, "batches", "1 batch"),
            (47_180_000.0, "polls", "47.2M polls"),
            (-0.5, "", "-0.5"),
            (f64::NAN, "s", "- s"),
        ] {
            assert_eq!(measure(value, unit), text);
        }
        for noun in ["task", "entry", "box", "process", "batch"] {
            assert_eq!(singular(&plural(noun)), noun);
        }
    }

    #[test]
    fn other_numbers_have_few_digits() {
        assert_eq!(
            [1, 999, 12_480, 3_000_000, 1_200_000_000].map(bytes),
            ["1 B", "999 B", "12.5 kB", "3 MB", "1.2 GB"]
        );
        assert_eq!([0.3, 0.004, 0.000_04, 0.0, 3.1].map(percent), ["30 %", "0.4 %", "<0.1 %", "0 %", "310 %"]);
        assert_eq!([7.0, 7.66, 512.4, 47_200.0].map(decimal), ["7", "7.7", "512", "47.2k"]);
        let rates = [0.0, 0.004, 0.5, 0.926, 0.996, 1.24, 40.0].map(rate);
        assert_eq!(rates, ["0", "<0.01", "0.5", "0.93", "1", "1.2", "40"]);
        assert_eq!([9_999, 10_000, 999_499, 999_500].map(number), ["9999", "10k", "999k", "1M"]);
    }
}
