//! How sides were compared, and why nothing more can be said, in words.

use crate::compare::{Comparison, Loss, Reason, Restarts, Side, Unit};
use crate::words;

/// How it was compared.
pub(super) fn method(comparison: &Comparison) -> String {
    if comparison.look == 0 {
        return "No numbers were compared.".to_owned();
    }
    let unit = match comparison.unit {
        Unit::Pod => "The targets were compared with each other",
        Unit::Block => {
            "With fewer than three targets a side, blocks of 10 s were compared with stable's own, and only 1.5 times as much (2.5 times for waits and queues) counts: \
             what differs may lie in these targets instead of their version"
        }
    };
    let load = match comparison.not_compared {
        0 => String::new(),
        some => format!(
            " {} that depend on load were not compared, since the canary had more of it.",
            words::count(some, "number")
        ),
    };
    format!("{unit}. {} compared.{load}", words::count(comparison.compared, "number"))
}

/// A sentence as part of another.
fn clause(sentence: &str) -> String {
    let (first, rest) = sentence.split_at(sentence.chars().next().map_or(0, char::len_utf8));
    first.to_lowercase() + rest
}

/// A reason by its name and in a clause.
pub(super) fn describe(reason: &Reason) -> (&'static str, String) {
    let name = |side: Side| match side {
        Side::Canary => "the canary",
        Side::Stable => "stable",
    };
    match reason {
        Reason::NoUpdates { side, answers } => {
            // The first sentence is the fact; how to find the console is for who watches it.
            let fact = answers.as_deref().map(|it| it.split(". ").next().unwrap_or(it).trim_end_matches('.'));
            let fact = fact.map_or_else(String::new, |fact| format!(": {}", clause(fact)));
            ("no_updates", format!("no update came from {}{fact}", name(*side)))
        }
        Reason::TooShort { side, watched, needed } => {
            let (watched, needed) = (words::duration(*watched), words::limit(*needed));
            ("too_short", format!("{} was watched for {watched}, and it takes about {needed}", name(*side)))
        }
        Reason::Incomplete(side) => {
            ("incomplete_feed", format!("the feed of {} lagged or lost events, or its process was paused", name(*side)))
        }
        Reason::CanaryIdle => ("canary_idle", "the canary is idle while stable is busy".to_owned()),
        Reason::StableIdle => ("stable_idle", "stable is idle while the canary is busy".to_owned()),
        Reason::Lost { side, how, after } => {
            let (name, after) = (name(*side), words::duration(*after));
            let what = match how {
                Loss::Gone => format!("a target of {name} was lost after {after}"),
                Loss::Silent => format!("a target of {name} was silent at the end, after {after}"),
                Loss::NeverCame => format!("a target of {name} did not come up"),
                Loss::Cut => format!("a recording of {name} breaks off after {after}"),
            };
            ("lost", what)
        }
        Reason::AllLeft => ("lost", "every target of the canary left before its time was over".to_owned()),
        Reason::Restarted { canary, stable } => {
            let is_plain = canary.targets < 2 && stable.targets < 2;
            let times = |it: &Restarts| {
                let of = if is_plain { String::new() } else { format!(" in {}", words::count(it.targets, "target")) };
                format!("{}{of}", words::count(it.times, "time"))
            };
            let (canary, stable) = (times(canary), times(stable));
            ("restarted", format!("the canary restarted {canary} while it was watched, stable {stable}"))
        }
        Reason::Idle => ("idle", "both sides are idle".to_owned()),
        Reason::Load(ratio) => {
            let ratio = words::decimal(*ratio);
            ("load", format!("the canary has {ratio} times the load of stable, which may explain what differs"))
        }
        Reason::TooFewTargets => {
            let why = "something is higher on the canary, but targets of one side differ so much that more of them are needed";
            ("too_few_targets", why.to_owned())
        }
        Reason::TooManyParts(side) => {
            ("too_many_parts", format!("the structure of {} has too many parts to compare all of them", name(*side)))
        }
        Reason::Interrupted => ("interrupted", "the comparison was interrupted".to_owned()),
    }
}
