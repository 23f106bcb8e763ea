//! What has happened to a target since a view of it was frozen.

use super::snapshot::Snapshot;
use crate::detect::severity::State;
use crate::fleet::Member;
use crate::words;

/// What has happened since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meanwhile {
    /// Findings that opened.
    pub opened: usize,
    /// Findings that were resolved.
    pub resolved: usize,
}

impl Meanwhile {
    /// The same in a few words; nothing where no finding opened or was resolved.
    pub fn in_words(self) -> Option<String> {
        let opened = (self.opened > 0).then(|| format!("{} opened", words::count(self.opened, "finding")));
        let resolved = (self.resolved > 0).then(|| format!("{} resolved", self.resolved));
        let parts: Vec<String> = opened.into_iter().chain(resolved).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    /// The same where there is little room: ` +1` for one that opened, ` -2` for two that were resolved.
    pub fn in_short(self) -> String {
        let some = |sign: char, count: usize| if count > 0 { format!(" {sign}{count}") } else { String::new() };
        some('+', self.opened) + &some('-', self.resolved)
    }
}

impl Snapshot<'_> {
    /// What has happened to the target since it was like this, as far as its journal reaches back.
    pub fn meanwhile(&self, before: &Member) -> Meanwhile {
        let since = before.diagnosis().now();
        let mut meanwhile = Meanwhile::default();
        for transition in self.member.journal().filter(|transition| transition.at > since) {
            match transition.finding.state {
                State::Firing => meanwhile.opened += 1,
                State::Resolved => meanwhile.resolved += 1,
                State::Pending => {}
            }
        }
        meanwhile
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happened_is_said() {
        assert_eq!(Meanwhile::default().in_words(), None);
        assert_eq!(Meanwhile { opened: 1, resolved: 0 }.in_words().as_deref(), Some("1 finding opened"));
        assert_eq!(Meanwhile { opened: 2, resolved: 3 }.in_words().as_deref(), Some("2 findings opened, 3 resolved"));
        assert_eq!(Meanwhile { opened: 0, resolved: 1 }.in_words().as_deref(), Some("1 resolved"));
        for (opened, resolved, short) in [(0, 0, ""), (1, 0, " +1"), (2, 3, " +2 -3"), (0, 1, " -1")] {
            assert_eq!(Meanwhile { opened, resolved }.in_short(), short);
        }
    }
}
