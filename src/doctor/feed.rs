//! The steps that look at what a feed shows, how often, how late, how completely, and at what price.

use std::time::{Duration, SystemTime};

use super::seen::{Moment, Seen};
use super::step::{Mark, Step, Topic};
use crate::report::feed::FeedView;
use crate::setup::{SHOW_RESOURCES, SHOW_TASKS};
use crate::words;

/// The largest message that tokio-console takes: the limit of tonic, which it leaves as it is.
const STOCK_LIMIT: usize = 4 * 1024 * 1024;
/// From this part of it on the limit is near.
const NEAR: f64 = 0.75;
/// A publish interval that is longer shows waits late; one that is shorter costs the target CPU.
const SELDOM: Duration = Duration::from_secs(5);
const OFTEN: Duration = Duration::from_millis(50);
/// Finished tasks that a target keeps before that is worth a warning, as for the detector costly-retention.
const MANY_KEPT: u64 = 10_000;
/// A share of a core for which the target works for its feed that is worth a warning.
const COSTLY: f64 = 0.1;
/// Clocks that are further apart make times in output hard to compare.
const APART: Duration = Duration::from_secs(10);
/// Time from which on the two clocks are compared by how far they advance.
const COMPARABLE: Duration = Duration::from_secs(2);

/// What watching costs the process of the target, as far as this machine can tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    /// Its id and its name.
    pub process: (i32, String),
    /// The share of a core that it used before it was watched.
    pub before: f64,
    /// The same while it was watched.
    pub during: f64,
}

/// The steps that judge a feed after it was watched for a while. Of a live one, pauses and its cost to the target count too.
pub fn feed(view: &FeedView, seen: &Seen, live: Option<Option<&Cost>>) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(live.map(|_| pause(view)));
    if view.paused && view.updates == 0 {
        return steps;
    }
    steps.push(updates(view, seen));
    if view.updates == 0 {
        return steps;
    }
    steps.extend([clock(seen, live.is_some()), message(view, seen), tasks(view)]);
    if view.tasks == 0 {
        // Nothing of what follows can be told from nothing at all.
        steps.extend(live.map(|cost| self::cost(view, cost)));
        return steps;
    }
    steps.extend([resources(view), waits(view, seen), retention(view), lag(view), losses(view)]);
    steps.extend(live.map(|cost| self::cost(view, cost)));
    steps
}

fn pause(view: &FeedView) -> Step {
    if view.paused {
        let remedy = "Resume it in that client (in tokio-console, by the space bar), or end that client.";
        return Step::failed(Topic::Pause, "A client has paused the feed, so nothing new comes.", remedy);
    }
    Step::good(Topic::Pause, "No client has paused the feed.")
}

fn updates(view: &FeedView, seen: &Seen) -> Step {
    if let Some(reason) = &seen.lost {
        return Step::split(Topic::Updates, Mark::Failed, reason);
    }
    if view.updates == 0 {
        return Step::failed(
            Topic::Updates,
            "No update has arrived.",
            "A service sends one every publish interval, usually 1 s, even when it is idle: check that its process is not stopped or starved \
             of CPU (`ps -o pid,stat,wchan -p PID`), and look for longer with --for if its interval is long.",
        );
    }
    if let Some(silence) = seen.quiet {
        return Step::failed(
            Topic::Updates,
            format!("Updates have stopped: none for {}.", words::duration(silence)),
            "The process is stopped, starved of CPU or unreachable: `tokio-canary explain quiet-feed` tells them apart.",
        );
    }
    let count = words::count(view.updates, "update");
    match view.interval {
        None => Step::warning(
            Topic::Updates,
            format!("{count} arrived, too few to tell how often they come."),
            "Look for longer, with --for.",
        ),
        Some(interval) if interval > SELDOM => Step::warning(
            Topic::Updates,
            format!("{count} arrived, one every {}.", words::duration(interval)),
            "Shorten the publish interval (TOKIO_CONSOLE_PUBLISH_INTERVAL=1s): until an update comes nothing is known of what happened.",
        ),
        Some(interval) if interval < OFTEN => Step::warning(
            Topic::Updates,
            format!("{count} arrived, one every {}.", words::duration(interval)),
            "Lengthen the publish interval (TOKIO_CONSOLE_PUBLISH_INTERVAL=1s): each update costs the service CPU.",
        ),
        Some(interval) => {
            Step::good(Topic::Updates, format!("{count} arrived, one every {}.", words::duration(interval)))
        }
    }
}

/// Between two moments, by both clocks.
fn advanced((first, last): (Moment, Moment)) -> (Duration, Duration) {
    let since = |later: SystemTime, earlier| later.duration_since(earlier).unwrap_or_default();
    (since(last.theirs, first.theirs), since(last.ours, first.ours))
}

fn clock(seen: &Seen, is_live: bool) -> Step {
    let Some(span) = seen.updates else {
        let remedy =
            "Something in between alters the stream, or this is not a console-subscriber of version 0.2 to 0.5.";
        return Step::failed(Topic::Clock, "No update has a time that makes sense.", remedy);
    };
    let (theirs, ours) = advanced(span);
    if ours >= COMPARABLE && theirs < ours / 2 {
        return Step::failed(
            Topic::Clock,
            format!("The target's clock advanced by {} in {}.", words::duration(theirs), words::duration(ours)),
            "Every age and rate is computed from it: let the clock of that machine run, and do not step it back.",
        );
    }
    let last = span.1;
    let (apart, which) = match last.ours.duration_since(last.theirs) {
        Ok(behind) => (behind, "behind"),
        Err(ahead) => (ahead.duration(), "ahead of"),
    };
    if apart > APART {
        let whose = if is_live { "this machine's" } else { "that of the machine that recorded it" };
        return Step::warning(
            Topic::Clock,
            format!("The target's clock is {} {which} {whose}.", words::duration(apart)),
            "Findings bear the target's time: keep both clocks in step (NTP) to compare them with other logs.",
        );
    }
    Step::good(Topic::Clock, "The target's clock runs, and agrees with the one it is compared with.")
}

fn message(view: &FeedView, seen: &Seen) -> Step {
    let (first, shorten) =
        (seen.first.unwrap_or_default(), "Shorten the retention of the service (TOKIO_CONSOLE_RETENTION=60s)");
    let said = format!("The first message has {}, the largest {}", words::bytes(first), words::bytes(seen.largest));
    if view.never_introduced > 0 {
        return Step::warning(
            Topic::Message,
            format!(
                "No initial state came: {} are known by their counters only. A service whose state does not fit into 4 MiB sends none.",
                words::count(view.never_introduced, "task, resource or operation")
            ),
            format!("{shorten}, and attach when it starts."),
        );
    }
    if view.reports_holders {
        return Step::good(Topic::Message, format!("{said}; a state comes in pieces that every client takes."));
    }
    let share = words_share(seen.largest);
    if share > 1.0 {
        let fact = format!("{said}, above the 4 MiB that tokio-console takes.");
        return Step::warning(
            Topic::Message,
            fact,
            format!("tokio-canary reads it. {shorten} to use tokio-console as well."),
        );
    }
    if share > NEAR {
        let fact = format!("{said}, {} of the 4 MiB at which a service sends no initial state.", words::percent(share));
        return Step::warning(Topic::Message, fact, format!("{shorten}."));
    }
    Step::good(Topic::Message, format!("{said}, of the 4 MiB that tokio-console takes."))
}

#[expect(clippy::cast_precision_loss, reason = "a share of a few MiB")]
fn words_share(bytes: usize) -> f64 {
    bytes as f64 / STOCK_LIMIT as f64
}

fn tasks(view: &FeedView) -> Step {
    match view.tasks {
        0 => Step::failed(Topic::Tasks, "The feed is there, but shows no tasks.", SHOW_TASKS),
        tasks => {
            Step::good(Topic::Tasks, format!("{} seen: Tokio's instrumentation is on.", words::count(tasks, "task")))
        }
    }
}

fn resources(view: &FeedView) -> Step {
    match view.resources {
        0 => Step::warning(
            Topic::Resources,
            "No lock, channel or timer was seen, so waits for them cannot be.",
            SHOW_RESOURCES,
        ),
        some => {
            Step::good(Topic::Resources, format!("{} seen (locks, channels, timers).", words::count(some, "resource")))
        }
    }
}

fn waits(view: &FeedView, seen: &Seen) -> Step {
    match (view.ops, seen.poll_ops) {
        (0, 0) => Step::warning(
            Topic::Waits,
            "No operation on a resource was seen, so who waits for what is not known.",
            "An idle service has none: put some load on it. If it had, a filter drops runtime=trace.",
        ),
        (ops, 0) if view.reports_holders => {
            Step::good(Topic::Waits, format!("{} known.", words::count(ops, "operation")))
        }
        (ops, polls) => Step::good(
            Topic::Waits,
            format!("{} known, {} seen.", words::count(ops, "operation"), words::count(polls, "poll of operations")),
        ),
    }
}

fn retention(view: &FeedView) -> Step {
    if view.reports_holders {
        return Step::good(
            Topic::Retention,
            "The target never forgets who holds what, and keeps what ended within bounds.",
        );
    }
    let kept = words::count(view.finished_kept, "finished task");
    if view.finished_kept >= MANY_KEPT {
        return Step::warning(
            Topic::Retention,
            format!("The target keeps at least {kept}, which costs memory and makes each of its turns slow."),
            "Shorten the retention: Builder::retention(Duration::from_secs(60)), or TOKIO_CONSOLE_RETENTION=60s.",
        );
    }
    match view.attachment.sentence() {
        Some(sentence) => Step::warning(
            Topic::Retention,
            sentence,
            "Attach when the service starts and stay attached, or lengthen its retention (TOKIO_CONSOLE_RETENTION).",
        ),
        None if view.attachment.remembers.is_zero() => {
            Step::good(Topic::Retention, "Nothing that still matters is known to be forgotten.")
        }
        None => {
            let remembers = words::age(view.attachment.remembers);
            Step::good(Topic::Retention, format!("The target remembers what ended {remembers} ago, at least."))
        }
    }
}

fn lag(view: &FeedView) -> Step {
    match (view.quality.lag_sentence(), view.lag) {
        (Some(sentence), _) => Step {
            remedy: Some(
                "Right after attaching this passes. If it stays, shorten the retention and the publish interval of the service: \
                 `tokio-canary explain partial-feed`."
                    .to_owned(),
            ),
            ..Step::split(Topic::Lag, Mark::Warning, &sentence)
        },
        (None, Some(lag)) => {
            Step::good(Topic::Lag, format!("New tasks and waits are reported within {}.", words::duration(lag)))
        }
        (None, None) => Step::good(Topic::Lag, "Too little begins to tell a lag; none shows."),
    }
}

fn losses(view: &FeedView) -> Step {
    if view.dropped > 0 {
        return Step::warning(
            Topic::Losses,
            format!("The target dropped {}, because its buffer was full.", words::count(view.dropped, "event")),
            "Enlarge the buffer (Builder::event_buffer_capacity) and shorten the retention: `tokio-canary explain partial-feed`.",
        );
    }
    if view.malformed > 0 {
        return Step::warning(
            Topic::Losses,
            format!("{} made no sense and were left out.", words::count(view.malformed, "part of messages")),
            "Something in between alters the stream, or this is not a console-subscriber of version 0.2 to 0.5.",
        );
    }
    Step::good(Topic::Losses, "Nothing was dropped.")
}

fn cost(view: &FeedView, cost: Option<&Cost>) -> Step {
    let draining = format!("Draining its events takes about {} of a core of the target", words::percent(view.pumping));
    let Some(Cost { process: (id, name), before, during }) = cost else {
        let elsewhere = "the CPU time of its process cannot be seen from here";
        return if view.pumping > COSTLY {
            costly(format!("{draining}; {elsewhere}."))
        } else {
            Step::good(Topic::Cost, format!("{draining}; {elsewhere}."))
        };
    };
    let fact = format!(
        "The process {name} ({id}) used {} of a core while it was watched, {} before. {draining}.",
        words::percent(*during),
        words::percent(*before)
    );
    if view.pumping > COSTLY || during - before > COSTLY { costly(fact) } else { Step::good(Topic::Cost, fact) }
}

fn costly(fact: String) -> Step {
    let remedy = "Shorten the retention of the service, trace less of it, or watch one canary of the fleet. --no-pump turns the draining off.";
    Step::warning(Topic::Cost, fact, remedy)
}
