//! How late we attached to a target, in words.

use std::time::Duration;

use crate::diagnosis::Diagnosis;
use crate::words;

/// How late we attached to a target, and what it remembered of the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttachmentView {
    /// How long the process had been running by then, at least.
    pub after_start: Duration,
    /// How long the target keeps what has ended, at least.
    pub remembers: Duration,
    /// Whether acquisitions that still matter may be forgotten. A target that reports its holders has forgotten none of those.
    pub may_have_forgotten: bool,
}

impl AttachmentView {
    /// How late we attached to the target of a diagnosis.
    pub fn of(diagnosis: &Diagnosis) -> Self {
        let evidence = diagnosis.evidence();
        let attachment = evidence.attachment();
        Self {
            after_start: attachment.after_start,
            remembers: attachment.remembers,
            may_have_forgotten: attachment.may_have_forgotten() && evidence.process().is_none(),
        }
    }

    /// What may be missing because of that; nothing if we were early enough.
    pub fn sentence(&self) -> Option<String> {
        self.may_have_forgotten.then(|| {
            let kept = match self.remembers {
                Duration::ZERO => String::new(),
                kept => format!(" (the target keeps at least {})", words::age(kept)),
            };
            format!(
                "Attached at least {} after the process started: earlier acquisitions of locks may be forgotten{kept}.",
                words::age(self.after_start)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_start_says_what_may_be_forgotten() {
        let second = Duration::from_secs(1);
        let of = |remembers, may_have_forgotten| {
            AttachmentView { after_start: 190 * second, remembers, may_have_forgotten }.sentence()
        };
        assert_eq!(of(300 * second, false), None);
        assert_eq!(
            of(5 * second, true).as_deref(),
            Some(
                "Attached at least 3m 10s after the process started: earlier acquisitions of locks may be forgotten (the target keeps at \
                 least 5 s)."
            )
        );
        assert!(of(Duration::ZERO, true).is_some_and(|sentence| sentence.ends_with("may be forgotten.")));
    }
}
