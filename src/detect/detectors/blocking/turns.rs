//! A poll that does not return because it loops: what to say of it, and what to do.

use crate::evidence::Evidence;
use crate::evidence::running_polls::RunningPoll;
use crate::words;

/// The sentence that says so, to follow another one; empty for a poll that does not.
pub(super) fn sentence(evidence: &Evidence<'_>, poll: &RunningPoll) -> String {
    let registrations = evidence.registrations_in_poll(poll).map(words::decimal);
    registrations.map_or_else(String::new, |times| {
        format!(" It loops in this poll, and registers for a wake-up {times} times a second.")
    })
}

/// Why it loops, and what to do about that; none for a poll that does not.
pub(super) fn advice(evidence: &Evidence<'_>, poll: &RunningPoll) -> Option<&'static str> {
    evidence.registrations_in_poll(poll)?;
    Some(
        "Look at the loop in this task: something is ready at once in every turn, as an empty JoinSet or FuturesUnordered, a closed channel \
         and a stream that has ended are in a select!. Disable that branch while there is nothing, or end the loop.",
    )
}
