//! Receivers of a broadcast that are too slow: what they have not received is overwritten.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::queues::{self, as_number};
use crate::detect::settings::{Scoped, Setting, Share};
use crate::detect::severity::{Family, Grade, Severity};
use crate::detect::symptom::{Fact, Scope, Symptom};
use crate::evidence::Evidence;
use crate::model::ResourceKey;
use crate::model::entity::resource::{Depth, Lag, Resource};
use crate::words;

static WINDOW: Setting<Duration> =
    Setting::new("window", Duration::from_secs(8), "messages must be lost in each third of so long a time");
static SHARE: Setting<Share> = Setting::new(
    "share",
    Share(0.01),
    "and so large a share of what all receivers should have got: less, or less often, is information",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "lagging-receiver",
    family: Family::Queue,
    grade: Grade::Proof,
    title: "receivers of a broadcast are too slow and lose messages",
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
    doubt: None,
    scan,
};

/// What was lost in the window.
struct Loss {
    /// Messages that no receiver can get any more who should have.
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

fn scan(model: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for (key, queue) in model.queues().filter(|(_, queue)| queue.dropped.is_none()) {
        let lag = queue.depths.back().and_then(|depth| depth.lag);
        let window = settings.get(&WINDOW);
        if let Some((lag, loss)) = lag.and_then(|lag| Some((lag, measure(model, window, queue)?))) {
            found.push(symptom(model, settings, key, queue, lag, &loss));
        }
    }
}

/// What was lost in the window; nothing if it was not seen for so long, or nothing was.
fn measure(model: &Evidence<'_>, window: Duration, queue: &Resource) -> Option<Loss> {
    let capacity = queue.capacity()?;
    let (then, now) = (queue.depth_at(model.now().minus(window))?, queue.depths.back()?);
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
    let due = sent.saturating_mul(queue.number("receivers").unwrap_or_default().max(1));
    let missed = now.lag?.missed > then.lag?.missed;
    (messages > 0).then(|| Loss {
        messages,
        share: as_number(messages) / as_number(due.max(messages)),
        steady: queues::rises_all_along(model, window, queue, lost),
        missed,
        stopped: !at_work && !missed,
    })
}

fn symptom(
    model: &Evidence<'_>,
    settings: Scoped<'_>,
    key: ResourceKey,
    queue: &Resource,
    lag: Lag,
    loss: &Loss,
) -> Symptom {
    let window = settings.get(&WINDOW);
    let share = settings.get(&SHARE).0;
    let (related, sites) = queues::users(model, key);
    let subject = describe::resource_subject(model, key, 1);
    let is_warning = loss.steady && loss.missed && loss.share >= share;
    Symptom {
        severity: if is_warning { Severity::Warning } else { Severity::Info },
        grade: None,
        class: vec![describe::type_name(queue), subject.location.clone()],
        subject,
        summary: summary(model, key, queue, (lag, loss), (window, share)),
        facts: vec![
            Fact::number("messages lost", "messages", as_number(loss.messages)).over(window),
            Fact::share("share of what receivers should have got", loss.share).from(share).over(window),
            Fact::number("lag of the slowest receiver", "messages", as_number(lag.behind))
                .from(queue.capacity().map_or(f64::INFINITY, as_number)),
        ],
        related,
        look_alikes: Vec::new(),
        cause: Some(cause(loss).to_owned()),
        recommendation: recommendation(loss).to_owned(),
        scope: Scope { resources: vec![key], sites, ..Scope::default() },
        strength: f64::INFINITY,
        since: None,
    }
}

fn summary(
    model: &Evidence<'_>,
    key: ResourceKey,
    queue: &Resource,
    (lag, loss): (Lag, &Loss),
    (window, share): (Duration, f64),
) -> String {
    let which = describe::resource(model, key);
    let window = words::duration(window);
    let capacity = queue.capacity().unwrap_or_default();
    let (lost, behind) = (loss.messages, lag.behind);
    if loss.stopped {
        return format!(
            "A receiver of the {which} has received nothing for {window} or longer. It is {behind} messages behind, and the channel keeps \
             {capacity}: {lost} more were overwritten meanwhile."
        );
    }
    let slowest = match queue.number("receivers") {
        Some(receivers) if receivers > 1 => format!("The slowest of its {receivers} receivers"),
        _ => "Its receiver".to_owned(),
    };
    format!(
        "The {which} loses messages: {lost} were overwritten in the last {window} before a receiver came to them, {} of what its receivers \
         should have got (warning from {}). {slowest} is {behind} messages behind, and the channel keeps {capacity}.",
        words::percent(loss.share),
        words::percent(share),
    )
}

fn cause(loss: &Loss) -> &'static str {
    if loss.stopped {
        "It is stuck, has gone on to something else, or is kept without being used."
    } else if loss.steady {
        "Messages are sent faster than the slowest receiver takes them: its recv returns Lagged, and goes on with what is left."
    } else {
        "More was sent in a short time than the channel keeps, before a receiver had its turn."
    }
}

fn recommendation(loss: &Loss) -> &'static str {
    if loss.stopped {
        "If it is kept only to hold the channel open, drop it: Sender::subscribe makes a new one when somebody wants to listen. Otherwise look \
         at what its task awaits instead of recv."
    } else {
        "Look at what the receiver awaits between two receives, and hand slow work to a task of its own over an mpsc channel. A larger channel \
         helps only against bursts. Where only the latest value counts use watch; where all count handle RecvError::Lagged by loading \
         the state anew, or use an mpsc channel for each receiver."
    }
}
