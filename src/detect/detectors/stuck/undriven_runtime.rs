//! A runtime that nobody drives any more: its tasks are woken and not polled, while those of another one are.

use std::time::Duration;

use crate::detect::causes::Cause;
use crate::detect::describe;
use crate::detect::detector::{Detector, Needs, Timing};
use crate::detect::settings::{Scoped, Setting};
use crate::detect::severity::{Family, Grade};
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::undriven::Undriven;
use crate::words;

static WOKEN: Setting<Duration> =
    Setting::new("woken", Duration::from_secs(3), "minimum time since a task was woken without a poll");
static TASKS: Setting<usize> = Setting::new("tasks", 3, "minimum number of tasks that were woken and are not polled");
static VICTIMS: Setting<usize> =
    Setting::new("victims", 2, "minimum number of tasks waiting for the undriven ones, which is a warning");
static GROWTH: Setting<Duration> = Setting::new(
    "growth",
    Duration::from_secs(20),
    "minimum time for which more and more tasks are woken and not polled, which is a warning",
);

pub(in crate::detect::detectors) static DETECTOR: Detector = Detector {
    id: "undriven-runtime",
    family: Family::Stuck,
    grade: Grade::Risk,
    title: "woken tasks are not polled although nothing blocks",
    explain: include_str!("../../../../docs/detectors/undriven-runtime.md"),
    settings: &[&WOKEN, &TASKS, &VICTIMS, &GROWTH],
    timing: Timing {
        updates: 2,
        hold: Duration::from_secs(1),
        keep_firing: Duration::from_secs(5),
        window: Duration::from_secs(5),
        leave: 1.0,
    },
    needs: Needs::Counters,
    recovers: false,
    explained_by: &[Cause::of_all("runtime-stalled"), Cause::of_all("blocked-worker")],
    look_alikes: &[LookAlike::DrivenNowAndThen],
    doubt: None,
    scan,
};

fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    let undriven = evidence.undriven(settings.get(&WOKEN));
    if undriven.tasks.len() >= settings.get(&TASKS) {
        found.extend(symptom(evidence, settings, &undriven));
    }
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, it: &Undriven) -> Option<Symptom> {
    let first = evidence.task(*it.tasks.first()?)?;
    let site = evidence.site(first.site)?;
    let waited_for = it.victims.len() >= settings.get(&VICTIMS);
    let grows = it.grows_for >= settings.get(&GROWTH);
    let (tasks, victims) = (it.tasks.len(), it.victims.len());
    let behind = match victims {
        0 => String::new(),
        some => format!(
            " {} that woke them {} idle since.",
            words::count(some, "task"),
            words::agree(some, "has been", "have been")
        ),
    };
    Some(
        Symptom::of_site(evidence, first.site, &it.tasks, tasks)
            .unless((!waited_for && !grows).then_some(LookAlike::DrivenNowAndThen))
            .summary(format!(
                "{}, such as {}, were woken up to {} ago (reported from {}) and have not been polled since, although other tasks are and no poll blocks.{behind}",
                words::count(tasks, "task"),
                describe::task(evidence, first),
                words::duration(it.longest),
                words::limit(settings.get(&WOKEN)),
            ))
            .because(Fact::time("longest time since a wake without a poll", it.longest).from(settings.get(&WOKEN)))
            .because(Fact::count("tasks woken and not polled", "tasks", tasks).from(settings.get(&TASKS)))
            .because(Fact::count("tasks that wait for them", "tasks", victims).from(settings.get(&VICTIMS)))
            .involving(describe::related_tasks(evidence, &it.victims, Role::Victim))
            .cause(Some(
                "No thread drives the runtime that these tasks were spawned on any more: the block_on that ran it has returned, or its thread has ended."
                    .to_owned(),
            ))
            .advice(format!(
                "Create clients and pools on the runtime that uses them: they spawn their tasks where they are first used. A current-thread runtime \
                 makes progress only inside block_on: give it a thread of its own, or spawn the work on the main runtime with Handle::spawn.{}",
                describe::library_hint(&site.id.location),
            ))
            .touching_tasks(evidence, it.victims.iter().copied())
            .since(Some(evidence.now().minus(it.longest))),
    )
}
