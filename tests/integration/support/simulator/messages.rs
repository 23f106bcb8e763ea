//! The messages of a scenario's process, as a client that is attached from the start receives them.

use prost::Message;

use super::process::Process;
use super::scenario::Scenario;
use super::wire::{BEGIN, Include, Nanos};

/// Encoded updates, each with the time at which it arrives, in nanoseconds since the Unix epoch: at most so many. What disturbs the
/// process or the connection in the scenario does not happen here.
pub(crate) fn messages(scenario: &Scenario, most: u64) -> Vec<(Nanos, Vec<u8>)> {
    let mut process = Process::start(scenario, 0);
    let interval = scenario.interval.nanos();
    let mut message = |index: u64| {
        let at = index * interval;
        process.advance(at);
        process.seen.read_events(index > 0);
        process.seen.forget(at.saturating_sub(scenario.retention.nanos()), index > 0);
        let include = if index == 0 { Include::All } else { Include::Changed };
        (BEGIN * 1_000_000_000 + at, process.seen.message(at, include).encode_to_vec())
    };
    (0..most).map(&mut message).collect()
}
