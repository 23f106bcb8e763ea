//! What is said to a person on standard error, which is not data.

use std::env;
use std::io::{self, Write};

use crate::fleet::{Change, Fleet, Step};
use crate::report::connection::ConnectionView;
use crate::report::sanitize::Charset;
use crate::report::target::QualityView;

/// Says something on standard error, if there still is one: a terminal that has hung up is no reason to panic.
pub(super) fn note(sentence: &str) {
    let charset = Charset::of_terminal(|name| env::var(name).ok());
    let _ = writeln!(io::stderr(), "tokio-canary: {}", charset.line(sentence));
}

/// Says how the connection to a target does, if that is what a step changed.
pub(super) fn note_connection(step: &Step, fleet: &Fleet) {
    let Step::Arrived { target, at, changes } = step else { return };
    let is_connection = |change: &Change| matches!(change, Change::Connection);
    if let Some(member) = fleet.member(*target).filter(|_| changes.iter().any(is_connection)) {
        let connection = ConnectionView::of(member.diagnosis(), *at);
        note(&format!("{}: {}", member.diagnosis().target(), connection.sentence));
    }
}

/// Says that a target lags, whether it catches up, and what is not judged, if that is what a step changed.
pub(super) fn note_lag(step: &Step, fleet: &Fleet) {
    let Step::Arrived { target, changes, .. } = step else { return };
    let is_quality = |change: &Change| matches!(change, Change::Quality);
    if let Some(member) = fleet.member(*target).filter(|_| changes.iter().any(is_quality))
        && let Some(sentence) = QualityView::of(member.diagnosis()).lag_sentence()
    {
        note(&format!("{}: {sentence}", member.diagnosis().target()));
    }
}
