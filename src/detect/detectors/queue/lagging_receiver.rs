//! Receivers of a broadcast that are too slow: what they have not received is overwritten.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::numbers::{number, ratio};
use crate::model::entity::resource::{Depth, Lag, Resource};
use crate::model::tokio::attribute;
use crate::model::{ResourceKey, SiteKey};
use crate::words;

static WINDOW: Setting<Duration> = Setting::new(
    "window",
    Duration::from_secs(8),
    "observation window, in each third of which messages must be lost for a warning",
);
static SHARE: Setting<Share> = Setting::new(
    "share",
    Share(0.01),
    "minimum share of messages lost, of all that receivers should have received, for a warning",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "lagging-receiver",
    family: Family::Queue,
    grade: Grade::Proof,
    title: "broadcast receivers are too slow and lose messages",
    explain: include_str!("../../../../docs/detectors/lagging-receiver.md"),
    settings: &[&WINDOW, &SHARE],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(10),
        window: Duration::from_secs(9),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: true,
    explained_by: &[
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
        Cause::at_site("long-polls"),
    ],
    look_alikes: &[],
    doubt: None,
    scan,
};

/// What was lost in the window.
struct Loss {
    /// Messages that no receiver can receive any more that should have.
    messages: u64,
    /// As a share of all that was sent, times the receivers there are.
    share: f64,
    /// Whether some were lost in each third of it.
    steady: bool,
    /// Whether a receiver has come and missed some.
    missed: bool,
    /// Whether the slowest receiver takes nothing at all any more, after it has.
    stopped: bool,
}

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, queue) in evidence.queues().filter(|(_, queue)| queue.dropped.is_none()) {
        let lag = queue.depths.back().and_then(|depth| depth.lag);
        let window = settings.get(&WINDOW);
        if let Some((lag, loss)) = lag.and_then(|lag| Some((lag, measure(evidence, window, queue)?))) {
            found.push(symptom(evidence, settings, key, queue, lag, &loss));
        }
    }
}

/// What was lost in the window; nothing if it was not seen for that long, or nothing was lost.
fn measure(evidence: &Evidence<'_>, window: Duration, queue: &Resource) -> Option<Loss> {
    let capacity = queue.capacity()?;
    let (then, now) = (queue.depth_at(evidence.now().minus(window))?, queue.depths.back()?);
    let at_work = then.received < now.received;
    // What is overwritten is lost to a receiver that has ever taken anything; one that never does is only kept to hold the channel open.
    let first = queue.depths.iter().find_map(|depth| depth.received)?;
    let has_worked = then.received.is_some_and(|received| first < received);
    let lost = |depth: &Depth| {
        let Lag { behind, missed, .. } = depth.lag?;
        let overwritten = if at_work || has_worked { behind.saturating_sub(capacity) } else { 0 };
        Some(missed.saturating_add(overwritten))
    };
    let messages = lost(now)?.saturating_sub(lost(then)?);
    let sent = now.lag?.sent.saturating_sub(then.lag?.sent);
    let due = sent.saturating_mul(queue.number(attribute::RECEIVERS).unwrap_or_default().max(1));
    let missed = now.lag?.missed > then.lag?.missed;
    (messages > 0).then(|| Loss {
        messages,
        share: ratio(messages, due.max(messages)),
        steady: queue.rises_all_along(evidence.now(), window, lost),
        missed,
        stopped: !at_work && !missed,
    })
}

fn symptom(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    queue: &Resource,
    lag: Lag,
    loss: &Loss,
) -> Symptom {
    let (window, share) = (settings.get(&WINDOW), settings.get(&SHARE));
    let is_warning = loss.steady && loss.missed && loss.share >= share.0;
    let (senders, receivers) = (evidence.senders(key), evidence.receivers(key));
    let behind = Fact::number("lag of the slowest receiver", "messages", number(lag.behind));
    Symptom::of_resource(evidence, key, 1)
        .severity(if is_warning { Severity::Warning } else { Severity::Info })
        .summary(summary(evidence, settings, key, queue, (lag, loss)))
        .because(Fact::number("messages lost", "messages", number(loss.messages)).over(window))
        .because(Fact::share("share of what receivers should have received", loss.share).from(share).over(window))
        .because(match queue.capacity() {
            Some(capacity) => behind.from(number(capacity)),
            None => behind,
        })
        .involving(describe::related_sites(evidence, &senders, Role::Sender))
        .involving(describe::related_sites(evidence, &receivers, Role::Receiver))
        .cause(Some(cause(loss).to_owned()))
        .advice(advice(loss))
        .touching_sites(senders.union(&receivers).copied().collect::<Vec<SiteKey>>())
}

fn summary(
    evidence: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    queue: &Resource,
    (lag, loss): (Lag, &Loss),
) -> String {
    let (which, window) = (describe::resource(evidence, key), words::limit(settings.get(&WINDOW)));
    let capacity = queue.capacity().unwrap_or_default();
    let (lost, behind) = (words::number(loss.messages), words::number(lag.behind));
    if loss.stopped {
        return format!(
            "A receiver of the {which} has received nothing for at least {window}. It is {behind} messages behind a capacity of {capacity}; \
             {lost} more were overwritten meanwhile."
        );
    }
    let slowest = match queue.number(attribute::RECEIVERS) {
        Some(receivers) if receivers > 1 => format!("The slowest of its {receivers} receivers"),
        _ => "Its receiver".to_owned(),
    };
    format!(
        "The {which} lost {lost} messages in the last {window}, {} of what its receivers should have received (warning from {}). {slowest} is \
         {behind} messages behind a capacity of {capacity}.",
        words::percent(loss.share),
        words::percent(settings.get(&SHARE).0),
    )
}

fn cause(loss: &Loss) -> &'static str {
    if loss.stopped {
        "It is stuck, busy with something else, or kept without being used."
    } else if loss.steady {
        "Messages are sent faster than the slowest receiver takes them: its recv returns Lagged and continues with what is left."
    } else {
        "More was sent in a short time than the channel keeps, before a receiver had its turn."
    }
}

fn advice(loss: &Loss) -> &'static str {
    if loss.stopped {
        "If it is kept only to hold the channel open, drop it: Sender::subscribe makes a new one when it is needed. Otherwise look at what its \
         task awaits instead of recv."
    } else {
        "Look at what the receiver awaits between two receives, and hand slow work to a task of its own over an mpsc channel. A larger channel \
         helps only against bursts. Where only the latest value counts use watch; where all count, handle RecvError::Lagged by loading the \
         state anew, or use an mpsc channel for each receiver."
    }
}
