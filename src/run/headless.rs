//! `watch` and `check`: every step to the outputs, and at the end what each target came to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::exit::{INTERNAL, SUCCESS, worst_of};
use super::notes::{note, note_connection};
use super::signals::stop_signal;
use super::watch::Watch;
use crate::alert::Outputs;
use crate::alert::event::Summary;
use crate::config::Config;
use crate::config::options::{FAIL_ON, HEARTBEAT, MIN_UPDATES, PARTIAL, Partial};
use crate::detect::severity::Severity;
use crate::diagnosis::{Criteria, Status};
use crate::fleet::{Member, Step, TargetId};
use crate::report::verdict::VerdictView;

/// How a headless run goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// How long each target is watched from its first update on; for ever if not given.
    pub(super) duration: Option<Duration>,
    /// How often to say that everything still works.
    pub(super) heartbeat: Duration,
    /// What a target is measured by.
    pub(super) criteria: Criteria,
    /// Whether the verdict makes the exit code, also of a run that a signal ended.
    pub(super) is_verdict: bool,
}

impl Options {
    /// What `watch` does.
    pub(super) fn watch(config: &Config) -> Self {
        let is_verdict = config.get(&FAIL_ON).is_some();
        Self { duration: None, heartbeat: config.get(&HEARTBEAT).0, criteria: criteria(config), is_verdict }
    }

    /// What `check` does.
    pub(super) fn check(config: &Config, duration: Duration) -> Self {
        Self { duration: Some(duration), is_verdict: true, ..Self::watch(config) }
    }
}

fn criteria(config: &Config) -> Criteria {
    Criteria {
        fail_on: config.get(&FAIL_ON).unwrap_or(Severity::Warning),
        min_updates: u64::try_from(config.get(&MIN_UPDATES)).unwrap_or(u64::MAX),
        partial_passes: config.get(&PARTIAL) == Partial::Pass,
    }
}

/// A headless run.
struct Run {
    watch: Watch,
    outputs: Outputs,
    stopwatches: BTreeMap<TargetId, Stopwatch>,
    options: Options,
}

/// Runs until every target is judged, all recordings have ended, no reader is left or a signal comes. Returns the exit code.
///
/// # Errors
/// The system takes no signal handler.
pub(super) async fn headless(watch: Watch, outputs: Outputs, options: Options) -> anyhow::Result<u8> {
    let mut stop = std::pin::pin!(stop_signal());
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let mut next_heartbeat = Instant::now() + options.heartbeat;
    let mut run = Run { watch, outputs, stopwatches: BTreeMap::new(), options };
    let mut interrupted = false;
    while !run.outputs.are_closed() {
        tokio::select! {
            signal = &mut stop => { signal?; interrupted = true; break }
            step = run.watch.next() => match step {
                Some(step) => run.take(&step),
                None => break,
            },
            _ = tick.tick() => run.check_time(),
        }
        if Instant::now() >= next_heartbeat {
            next_heartbeat = Instant::now() + run.options.heartbeat;
            run.outputs.heartbeat(run.watch.fleet());
        }
    }
    Ok(run.conclude(interrupted))
}

impl Run {
    fn take(&mut self, step: &Step) {
        self.outputs.take(step, self.watch.fleet());
        note_connection(step, self.watch.fleet());
        match step {
            Step::Joined(target) => {
                self.stopwatches.insert(*target, Stopwatch::start());
            }
            Step::Arrived { target, at, .. } => {
                let member = self.watch.fleet().member(*target);
                if let (Some(member), Some(stopwatch)) = (member, self.stopwatches.get_mut(target)) {
                    stopwatch.take(member, *at);
                }
                self.check_time();
            }
            Step::Closed(target) => {
                if let Some(stopwatch) = self.stopwatches.get_mut(target) {
                    stopwatch.is_over = true;
                }
            }
            Step::Left(member) => {
                self.stopwatches.remove(&member.id());
            }
        }
    }

    /// Ends the feeds of targets whose time is up. One that never answers gets as much time to begin, unless something else answers.
    fn check_time(&mut self) {
        let Some(duration) = self.options.duration else { return };
        for (target, stopwatch) in &mut self.stopwatches {
            if !stopwatch.is_over && (stopwatch.is_hopeless || stopwatch.watched() >= duration) {
                stopwatch.is_over = true;
                self.watch.close(*target);
            }
        }
    }

    /// Says what each target came to, and what the run comes to.
    fn conclude(self, interrupted: bool) -> u8 {
        let Self { watch, outputs, stopwatches, options } = self;
        // Only `check` promises to watch for a fixed time.
        let cut_short = interrupted && options.duration.is_some();
        let verdict = |member: &Member| {
            let is_over = stopwatches.get(&member.id()).is_some_and(|stopwatch| stopwatch.is_over);
            VerdictView::of(member.diagnosis(), options.criteria, cut_short && !is_over)
        };
        let verdicts: Vec<_> = watch.fleet().members().map(|member| (member, verdict(member))).collect();
        let codes = verdicts.iter().map(|(_, verdict)| verdict.exit_code).filter(|_| options.is_verdict);
        let exit_code = worst_of(codes);
        let summary = Summary::new(verdicts, exit_code, options.is_verdict);
        worst_of([exit_code, finish(outputs, summary)])
    }
}

/// Ends the outputs, and says what some of them did not get. Returns the exit code of that.
pub(super) fn finish(outputs: Outputs, summary: Summary) -> u8 {
    let failures = outputs.finish(summary);
    failures.iter().for_each(|failure| note(&failure.sentence));
    if failures.iter().any(|failure| failure.is_error) { INTERNAL } else { SUCCESS }
}

/// How long a target has been watched, by the clock of its events: those of a recording are long past, and go by faster.
#[derive(Debug)]
struct Stopwatch {
    begun: Instant,
    first_update: Option<SystemTime>,
    /// The time of the last event, and when it was taken in.
    latest: Option<(SystemTime, Instant)>,
    is_over: bool,
    is_hopeless: bool,
}

impl Stopwatch {
    fn start() -> Self {
        Self { begun: Instant::now(), first_update: None, latest: None, is_over: false, is_hopeless: false }
    }

    fn take(&mut self, member: &Member, at: SystemTime) {
        self.latest = Some((at, Instant::now()));
        if member.diagnosis().updates() > 0 {
            self.first_update.get_or_insert(at);
        }
        self.is_over |= member.diagnosis().ended().is_some();
        // Nothing comes of waiting for a stranger to become a console.
        self.is_hopeless = matches!(member.diagnosis().status(), Status::Stranger { .. });
    }

    fn watched(&self) -> Duration {
        match (self.first_update, self.latest) {
            (Some(first), Some((at, taken))) => at.duration_since(first).unwrap_or_default() + taken.elapsed(),
            _ => self.begun.elapsed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_of_long_ago_is_not_over_before_its_end() {
        let mut stopwatch = Stopwatch::start();
        let minute = Duration::from_secs(60);
        let mut is_over_at = |seconds| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            stopwatch.first_update.get_or_insert(at);
            stopwatch.latest = Some((at, Instant::now()));
            stopwatch.watched() >= minute
        };
        assert!(!is_over_at(1_000), "its first update");
        assert!(!is_over_at(1_030), "half of the time");
        assert!(is_over_at(1_060), "all of it");
    }
}
