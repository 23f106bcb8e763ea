//! Requests that are not answered any more: answers used to come soon, none has come for long, and more requests keep waiting.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::answers::Unanswered;
use crate::evidence::look_alike::LookAlike;
use crate::words;

static OVERDUE: Setting<usize> =
    Setting::new("overdue", 5, "minimum number of waits that are overdue, or were given up after as long");
static WAITS: Setting<usize> =
    Setting::new("waits", 10, "minimum number of waits without an answer, whether overdue or not");
static ANSWERS: Setting<usize> =
    Setting::new("answers", 20, "minimum number of earlier answers, which say how long one takes");
static ANSWERS_KNOWN: Setting<usize> = Setting::new(
    "answers-known",
    3,
    "minimum number of earlier answers on a channel that a known library creates for each request",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "unanswered-requests",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "answers stopped coming while requests keep waiting",
    explain: include_str!("../../../../docs/detectors/unanswered-requests.md"),
    settings: &[&OVERDUE, &WAITS, &ANSWERS, &ANSWERS_KNOWN],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(12),
        leave: 1.0,
    },
    needs: Needs::Everything,
    recovers: false,
    explained_by: &[
        Cause::involved("undriven-runtime"),
        Cause::involved("deadlock"),
        Cause::involved("futurelock"),
        Cause::stalling("blocked-worker"),
        Cause::stalling("runtime-stalled"),
    ],
    look_alikes: &[LookAlike::LongPolls],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for it in evidence.unanswered() {
        let given_up = usize::try_from(it.given_up).unwrap_or(usize::MAX);
        let enough = it.overdue.saturating_add(given_up) >= settings.get(&OVERDUE)
            && it.tasks.len().saturating_add(given_up) >= settings.get(&WAITS);
        let answers = usize::try_from(it.answers).unwrap_or(usize::MAX);
        let known = answers >= settings.get(&ANSWERS) || (it.of_requests && answers >= settings.get(&ANSWERS_KNOWN));
        // A receiver that was never answered may be there for a signal, such as the one to shut down.
        if enough && it.keep_coming && (answers > 0 || it.of_requests) {
            found.push(symptom(evidence, settings, &it, given_up, known));
        }
    }
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, it: &Unanswered, given_up: usize, known: bool) -> Symptom {
    let usual = match it.usual {
        Some(usual) => format!(
            "99 % of {} took up to {}",
            words::count(usize::try_from(it.answers).unwrap_or(usize::MAX), "earlier answer"),
            words::duration(usual)
        ),
        None => "none was seen before".to_owned(),
    };
    let gave_up = match given_up {
        0 => String::new(),
        some => format!(", {} {} given up", words::count(some, "wait"), words::agree(some, "was", "were")),
    };
    let waiting = it.tasks.len();
    subject(evidence, it)
        .unless((!known).then_some(LookAlike::LongPolls))
        .summary(format!(
            "No answer has come for {} (warning from {}) on any {}: {}{gave_up}, and {usual}.",
            words::duration(it.silent),
            words::limit(it.limit),
            describe::resource(evidence, it.oldest),
            describe::tasks_that_wait(evidence, &it.tasks),
        ))
        .because(Fact::time("time without an answer", it.silent).from(it.limit))
        .because(Fact::time("longest present wait", it.longest).from(it.limit))
        .because(Fact::count("waits that are overdue or were given up", "waits", it.overdue.saturating_add(given_up)).from(settings.get(&OVERDUE)))
        .because(Fact::count("tasks waiting", "tasks", waiting))
        .because(Fact::count("earlier answers", "answers", usize::try_from(it.answers).unwrap_or(usize::MAX)).from(settings.get(&ANSWERS)))
        .involving(describe::related_tasks(evidence, &it.tasks, Role::Waiter))
        .cause(Some(
            "Nobody answers any more: the task that should is stuck or has ended, one request blocks all that follow on its connection, or a peer \
             went silent."
                .to_owned(),
        ))
        .advice(
            "Look at the task that answers these requests and at what it does for the oldest of them. Do not send a request that blocks, such as a \
             blocking pop or a long transaction, over a connection that others share. Put a timeout around the wait for the answer.",
        )
        .touching_tasks(evidence, it.tasks.iter().copied())
        .since(Some(evidence.now().minus(it.silent)))
}

/// About the spawn site of the waiting tasks if they share one and no library creates the channels; otherwise about the channel.
fn subject(evidence: &Evidence<'_>, it: &Unanswered) -> Symptom {
    let is_own = evidence.resource(it.oldest).is_some_and(|channel| !channel.location.is_library());
    match describe::sites_of(evidence, it.tasks.iter().copied())[..] {
        [site] if is_own => Symptom::of_site(evidence, site, &it.tasks, it.tasks.len())
            .class([evidence.resource_class(it.oldest)])
            .touching([it.oldest])
            .involving([describe::related_resource(evidence, it.oldest)]),
        _ => Symptom::of_resource(evidence, it.oldest, it.tasks.len()),
    }
}
