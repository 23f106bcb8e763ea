//! Who explains whom: a cause hides the symptoms that follow from it.

use std::time::Duration;

use super::finding::Scope;
use crate::model::time::Timestamp;

/// What had stood still for longer than this when a cause began is not explained by it.
const SHORTLY_BEFORE: Duration = Duration::from_secs(5);

/// How far a cause reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// What shares a lock, a channel or a task with it.
    Involved,
    /// What shares a spawn site with it.
    Site,
    /// What has made no progress since the cause began to stall others, but did shortly before.
    Stalled,
    /// Everything.
    All,
}

/// One row of the table.
struct Rule {
    cause: &'static str,
    hides: &'static [&'static str],
    reach: Reach,
}

const RULES: &[Rule] = &[
    Rule {
        cause: "deadlock",
        hides: &[
            "contended-lock",
            "growing-waiters",
            "task-pileup",
            "never-completes",
            "full-channel",
            "held-across-await",
            "lost-turn",
            "permit-leak",
            "cancelled-work",
            "abandoned-wait",
            "reader-convoy",
            "lock-order",
        ],
        reach: Reach::Involved,
    },
    Rule {
        cause: "futurelock",
        hides: &[
            "deadlock",
            "permit-leak",
            "contended-lock",
            "growing-waiters",
            "task-pileup",
            "never-completes",
            "full-channel",
            "held-across-await",
            "lost-turn",
            "cancelled-work",
            "abandoned-wait",
            "reader-convoy",
        ],
        reach: Reach::Involved,
    },
    Rule {
        cause: "permit-leak",
        hides: &[
            "contended-lock",
            "growing-waiters",
            "task-pileup",
            "never-completes",
            "lost-turn",
            "cancelled-work",
            "abandoned-wait",
        ],
        reach: Reach::Involved,
    },
    Rule {
        cause: "held-across-await",
        hides: &[
            "contended-lock",
            "growing-waiters",
            "task-pileup",
            "never-completes",
            "lost-turn",
            "cancelled-work",
            "abandoned-wait",
        ],
        reach: Reach::Involved,
    },
    Rule { cause: "growing-waiters", hides: &["contended-lock", "never-completes"], reach: Reach::Involved },
    Rule { cause: "abandoned-wait", hides: &["never-completes", "lost-turn"], reach: Reach::Involved },
    Rule {
        cause: "reader-convoy",
        hides: &["contended-lock", "held-across-await", "growing-waiters", "lost-turn"],
        reach: Reach::Involved,
    },
    Rule { cause: "blocking-pool-backlog", hides: &["task-pileup"], reach: Reach::Site },
    Rule {
        cause: "full-channel",
        hides: &["task-pileup", "never-completes", "growing-queue", "cancelled-work"],
        reach: Reach::Involved,
    },
    Rule {
        cause: "task-pileup",
        hides: &["contended-lock", "growing-waiters", "never-completes", "abandoned-wait"],
        reach: Reach::Involved,
    },
    Rule { cause: "task-pileup", hides: &["never-completes"], reach: Reach::Site },
    Rule { cause: "lost-waker", hides: &["never-completes"], reach: Reach::Involved },
    Rule { cause: "lost-waker", hides: &["task-pileup"], reach: Reach::Site },
    Rule { cause: "blocked-worker", hides: &["long-polls"], reach: Reach::Site },
    Rule {
        cause: "blocked-worker",
        hides: &[
            "contended-lock",
            "held-across-await",
            "growing-waiters",
            "full-channel",
            "task-pileup",
            "growing-queue",
            "lagging-receiver",
            "abandoned-wait",
            "reader-convoy",
        ],
        reach: Reach::Stalled,
    },
    Rule {
        cause: "runtime-stalled",
        hides: &[
            "contended-lock",
            "held-across-await",
            "growing-waiters",
            "full-channel",
            "task-pileup",
            "growing-queue",
            "lagging-receiver",
            "abandoned-wait",
            "reader-convoy",
        ],
        reach: Reach::Stalled,
    },
    Rule { cause: "long-polls", hides: &["contended-lock", "lagging-receiver"], reach: Reach::Site },
    Rule { cause: "lagging-receiver", hides: &["growing-queue"], reach: Reach::Involved },
    Rule { cause: "long-polls", hides: &["scheduling-delay"], reach: Reach::Site },
    Rule { cause: "blocked-worker", hides: &["scheduling-delay"], reach: Reach::All },
    Rule { cause: "runtime-stalled", hides: &["scheduling-delay"], reach: Reach::All },
    Rule { cause: "busy-loop", hides: &["scheduling-delay"], reach: Reach::All },
    Rule { cause: "blocking-pool-backlog", hides: &["needless-spawn-blocking"], reach: Reach::Site },
    Rule { cause: "busy-loop", hides: &["waker-growth"], reach: Reach::Involved },
    Rule { cause: "quiet-feed", hides: &["partial-feed", "not-instrumented"], reach: Reach::All },
];

/// Whether a finding of one detector explains a symptom of another.
pub(super) fn explains(cause: (&str, &Scope), effect: (&str, &Scope)) -> bool {
    RULES
        .iter()
        .any(|rule| rule.cause == cause.0 && rule.hides.contains(&effect.0) && reaches(rule.reach, cause.1, effect.1))
}

fn reaches(reach: Reach, cause: &Scope, effect: &Scope) -> bool {
    match reach {
        Reach::Involved => shares(&cause.resources, &effect.resources) || shares(&cause.tasks, &effect.tasks),
        Reach::Site => shares(&cause.sites, &effect.sites),
        Reach::Stalled => cause.stalls_since.is_some_and(|since| {
            let stopped_with_it = |last: Timestamp| last <= since && since.since(last) <= SHORTLY_BEFORE;
            effect.last_progress.is_none_or(stopped_with_it)
        }),
        Reach::All => true,
    }
}

fn shares<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.iter().any(|it| other.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::detectors::detector;

    #[test]
    fn every_rule_names_detectors_that_exist_and_none_hides_its_own_cause() {
        for rule in RULES {
            assert!(detector(rule.cause).is_some(), "{}", rule.cause);
            for hidden in rule.hides {
                assert!(detector(hidden).is_some(), "{hidden}");
                assert!(
                    !RULES.iter().any(|other| other.cause == *hidden && other.hides.contains(&rule.cause)),
                    "{hidden}"
                );
            }
        }
    }

    #[test]
    fn a_blocked_worker_explains_only_what_stopped_with_it() {
        let at = |seconds: u64| Timestamp::from_nanos(seconds * 1_000_000_000);
        let cause = Scope { stalls_since: Some(at(100)), ..Scope::default() };
        for (last, explained) in [(200, false), (99, true), (40, false)] {
            let effect = Scope { last_progress: Some(at(last)), ..Scope::default() };
            assert_eq!(explains(("blocked-worker", &cause), ("contended-lock", &effect)), explained, "{last}");
        }
    }
}
