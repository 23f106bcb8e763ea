//! Numbers in the width of a column.

use std::time::Duration;

/// A duration in at most seven characters: `340ms`, `12.3s`, `4m10s`, `2h05m`, `3d04h`.
pub fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.is_zero() => "0".to_owned(),
        0 if duration.as_nanos() < 1_000 => format!("{}ns", duration.as_nanos()),
        0 if duration.as_micros() < 1_000 => format!("{}us", duration.as_micros()),
        0 if duration.as_millis() < 10 => format!("{:.1}ms", duration.as_secs_f64() * 1e3),
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A whole number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many things: `1 poll`, `1,203 polls`.
pub fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", grouped(number)) }
}

/// A count of what is in memory, for the functions here.
pub fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A measured number with the digits that tell something.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// A length in cells of a terminal.
pub fn cells(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fit_a_column() {
        for (nanos, text) in [
            (0, "0"),
            (999, "999ns"),
            (340_000, "340us"),
            (3_420_000, "3.4ms"),
            (999_900_000, "999ms"),
            (12_390_000_000, "12.3s"),
            (250_000_000_000, "4m10s"),
            (7_500_000_000_000, "2h05m"),
            (273_600_000_000_000, "3d04h"),
        ] {
            assert_eq!(short(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(
            (number(3.0), number(2.345), number(0.123), number(512.7)),
            ("3".into(), "2.3".into(), "0.12".into(), "513".into())
        );
    }
}
