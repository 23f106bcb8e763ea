//! Timeouts that fire where they hardly ever did: at one line, whichever tasks wait there, as a connection also answers other requests.

use super::{LINE_ENDS, LINE_SHARE};
use crate::detect::describe;
use crate::detect::settings::Scoped;
use crate::detect::subject::Role;
use crate::detect::symptom::{Fact, Symptom};
use crate::evidence::Evidence;
use crate::evidence::look_alike::LookAlike;
use crate::evidence::numbers::ratio;
use crate::evidence::timeouts::FiringLine;
use crate::words;

/// Adds the lines none of whose tasks is known by now to end by its timeout.
pub(super) fn scan(evidence: &Evidence<'_>, settings: Scoped<'_>, found: &mut Vec<Symptom>) {
    for line in evidence.firing_lines(settings.get(&LINE_SHARE).0, settings.get(&LINE_ENDS)) {
        let sites = describe::sites_of(evidence, line.tasks.iter().copied());
        let is_known = |it: &Symptom| it.subject.site.is_some_and(|site| sites.contains(&site));
        if !found.iter().any(is_known) {
            found.push(symptom(evidence, settings, &line));
        }
    }
}

fn symptom(evidence: &Evidence<'_>, settings: Scoped<'_>, line: &FiringLine) -> Symptom {
    let limit = settings.get(&LINE_SHARE);
    let share = ratio(line.fired, line.ended);
    let place = describe::resource_location(evidence, line.timer);
    Symptom::of_resource(evidence, line.timer, line.fired)
        .unless((!line.around_requests).then_some(LookAlike::FixedWait))
        .summary(format!(
            "In the last {}, {} of {} timeouts of {} set at {place} fired (threshold {}).",
            words::duration(line.window),
            line.fired,
            line.ended,
            words::duration(line.timeout),
            words::percent(limit.0),
        ))
        .because(Fact::share("share of timeouts that fired", share).from(limit).over(line.window))
        .because(Fact::count("timeouts that fired", "timeouts", line.fired).over(line.window))
        .because(Fact::count("timeouts that fired or were dropped", "timeouts", line.ended).over(line.window))
        .because(Fact::time("the timeout", line.timeout))
        .involving(describe::related_tasks(evidence, &line.tasks, Role::Waiter))
        .cause(Some(
            "What is awaited inside these timeouts comes too late or not at all: a pool whose connections are kept, a peer that does not answer, a \
             lock of another crate."
                .to_owned(),
        ))
        .advice(
            "Look at what the future inside this timeout awaits. If it is a pool, find out who keeps its connections. Count how often the timeout \
             fires, and fail fast while it does.",
        )
        .touching_tasks(evidence, line.tasks.iter().copied())
}
