//! Targets that left before the end of a run: what was seen of them counts.

use std::collections::VecDeque;

use crate::diagnosis::Verdict;
use crate::fleet::{Member, TargetId};
use crate::report::verdict::VerdictView;

/// The targets that left.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// Those whose last state is kept, the last one at the end.
    members: VecDeque<Member>,
    most: usize,
    forgotten: usize,
    has_findings: bool,
}

impl Departed {
    /// Keeps this many of them, and only the verdicts of the others.
    pub(super) fn keeping(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// Those that are kept.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> + Clone {
        self.members.iter()
    }

    /// How many more there were, and whether one of those had findings that count.
    pub(super) fn forgotten(&self) -> (usize, bool) {
        (self.forgotten, self.has_findings)
    }

    /// Takes one in, whose verdict this is, and returns what there is to say, and which one is not kept any more.
    pub(super) fn take(
        &mut self,
        member: Member,
        verdict: impl Fn(&Member) -> VerdictView,
    ) -> (String, Option<TargetId>) {
        let view = verdict(&member).having_left();
        let sentence = format!(
            "{}: left. It had {}.{}",
            member.diagnosis().target(),
            view.fired_in_words(),
            view.worst_in_words()
        );
        self.members.push_back(member);
        let oldest = (self.members.len() > self.most).then(|| self.members.pop_front()).flatten();
        if let Some(oldest) = &oldest {
            self.forgotten += 1;
            self.has_findings |= verdict(oldest).verdict == Verdict::Findings;
        }
        (sentence, oldest.map(|it| it.id()))
    }
}
