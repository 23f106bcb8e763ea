//! Exit codes: what each means, and which one wins.

use crate::feed::recording::RecordError;

/// Healthy, or simply done.
pub(super) const SUCCESS: u8 = 0;
/// A finding counts, or what was asked for does not show.
pub(super) const FINDINGS: u8 = 1;
/// Wrong arguments or settings.
pub(super) const USAGE: u8 = 2;
/// It could not be judged.
pub(super) const INCONCLUSIVE: u8 = 3;
/// The tool itself failed.
pub(super) const INTERNAL: u8 = 4;

/// In this order: what was asked for wrongly, what failed, what was found (1), what could not be judged (3).
const PRECEDENCE: [u8; 4] = [USAGE, INTERNAL, FINDINGS, INCONCLUSIVE];

/// The code of a run of which several things hold.
pub(super) fn worst_of(codes: impl IntoIterator<Item = u8>) -> u8 {
    let codes: Vec<u8> = codes.into_iter().collect();
    PRECEDENCE.into_iter().find(|code| codes.contains(code)).unwrap_or(SUCCESS)
}

/// A mistake in what was asked for, as opposed to a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

impl From<anyhow::Error> for UsageError {
    fn from(error: anyhow::Error) -> Self {
        // These say their causes themselves.
        Self(error.to_string())
    }
}

/// Whether the user can correct it by asking for something else.
pub(super) fn is_usage(error: &anyhow::Error) -> bool {
    let unwritable = matches!(error.downcast_ref(), Some(RecordError::Exists { .. } | RecordError::Create { .. }));
    unwritable || error.is::<UsageError>()
}

/// An error and its causes in one sentence, each of them once.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.contains(cause.trim_end_matches('.')) {
            said = format!("{}: {cause}", said.trim_end_matches('.'));
        }
    }
    if said.ends_with(['.', '?', '!']) { said } else { format!("{said}.") }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let full = || io::Error::other("no space left");
        let known = RecordError::Create { path: "a".into(), source: full() };
        assert_eq!(sentence(&known.into()), "Cannot create the recording a: no space left.");
        let added = anyhow::Error::from(full()).context("Cannot write b");
        assert_eq!(sentence(&added), "Cannot write b: no space left.");
    }

    #[test]
    fn what_was_found_goes_before_what_could_not_be_judged_and_a_failure_before_both() {
        assert_eq!(worst_of([]), 0);
        assert_eq!(worst_of([0, 3, 1]), 1);
        assert_eq!(worst_of([3, 0]), 3);
        assert_eq!(worst_of([1, 4, 3]), 4);
        assert_eq!(worst_of([4, 2]), 2);
    }
}
