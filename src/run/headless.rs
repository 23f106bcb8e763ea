//! `watch` and `check`: every step to the outputs, and at the end what each target came to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::exit::{INCONCLUSIVE, INTERNAL, SUCCESS, worst_of};
use super::notes::{note, note_connection, note_lag};
use super::signals::Stop;
use super::stopwatch::{Clock, Stopwatch};
use super::watch::Watch;
use crate::alert::Outputs;
use crate::alert::event::Summary;
use crate::alert::http::{Desk, Question, State};
use crate::alert::push;
use crate::config::Config;
use crate::config::options::{FAIL_ON, HEARTBEAT, MIN_UPDATES, PARTIAL, Partial};
use crate::detect::severity::Severity;
use crate::diagnosis::{Criteria, Status};
use crate::fleet::{Change, Member, Step, TargetId};
use crate::report::verdict::VerdictView;

/// How long outputs may take for what is left once a signal has asked for the end.
const LEAVING: Duration = Duration::from_millis(500);

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
pub(super) struct Run {
    watch: Watch,
    outputs: Outputs,
    /// The targets whose events are recorded ones.
    replayed: BTreeSet<TargetId>,
    stopwatches: BTreeMap<TargetId, Stopwatch>,
    options: Options,
    /// Where clients of HTTP ask.
    desk: Option<Desk>,
    stop: Stop,
}

impl Run {
    /// A run over the targets of `watch`, of which some are replayed.
    pub(super) fn new(
        watch: Watch,
        replayed: BTreeSet<TargetId>,
        outputs: Outputs,
        options: Options,
        stop: &Stop,
    ) -> Self {
        Self { watch, outputs, replayed, stopwatches: BTreeMap::new(), options, desk: None, stop: stop.clone() }
    }

    /// The same, which also answers at a desk.
    pub(super) fn answering(self, desk: Option<Desk>) -> Self {
        Self { desk, ..self }
    }

    /// Runs until every target is judged, all recordings have ended, nobody needs it any more or a signal comes. Returns the exit code.
    pub(super) async fn headless(mut self) -> u8 {
        if self.options.is_verdict {
            self.stop.ends_with(INCONCLUSIVE);
        }
        let stop = self.stop.clone();
        let mut stop = std::pin::pin!(stop.asked());
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        let mut next_heartbeat = Instant::now() + self.options.heartbeat;
        let mut interrupted = false;
        while !self.is_in_vain() {
            tokio::select! {
                () = &mut stop => { interrupted = true; break }
                step = self.watch.next() => match step {
                    Some(step) => self.take(&step),
                    None => break,
                },
                question = asked(&mut self.desk) => self.answer(question),
                _ = tick.tick() => self.check_time(),
            }
            if Instant::now() >= next_heartbeat {
                next_heartbeat = Instant::now() + self.options.heartbeat;
                self.outputs.heartbeat(self.watch.fleet());
            }
        }
        self.conclude(interrupted).await
    }

    /// Whether nobody takes anything any more. The exit code of `check` is worth its time also after its reader has left.
    fn is_in_vain(&self) -> bool {
        if self.options.duration.is_some() { self.outputs.have_failed() } else { self.outputs.are_closed() }
    }

    fn take(&mut self, step: &Step) {
        self.outputs.take(step, self.watch.fleet());
        if let Some(desk) = &mut self.desk {
            desk.take(step);
        }
        note_connection(step, self.watch.fleet());
        note_lag(step, self.watch.fleet());
        match step {
            Step::Joined(target) => {
                let clock = if self.replayed.contains(target) { Clock::Recorded } else { Clock::Ours };
                self.stopwatches.insert(*target, Stopwatch::start(clock));
            }
            Step::Arrived { target, at, changes } => {
                let member = self.watch.fleet().member(*target);
                if let (Some(member), Some(stopwatch)) = (member, self.stopwatches.get_mut(target)) {
                    stopwatch.take(*at, member.diagnosis().updates() > 0);
                    stopwatch.is_over |= member.diagnosis().ended().is_some();
                    // Nothing comes of waiting for a stranger to become a console.
                    stopwatch.is_hopeless = matches!(member.diagnosis().status(), Status::Stranger { .. });
                }
                if self.options.is_verdict && changes.iter().any(|change| matches!(change, Change::Finding(_))) {
                    self.stop.ends_with(self.code_if_interrupted());
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

    /// Answers a client of HTTP from what is known at present.
    fn answer(&self, question: Question) {
        let Some(desk) = &self.desk else { return };
        let verdict = |member: &Member| VerdictView::of(member.diagnosis(), self.options.criteria, false);
        let is_watched = |target| self.watch.is_watched(target);
        let (fleet, lost) = (self.watch.fleet(), self.outputs.lost());
        desk.answer(question, &State { fleet, verdict: &verdict, is_watched: &is_watched, lost });
    }

    /// What the run comes to if it ends now.
    fn code_if_interrupted(&self) -> u8 {
        let verdict = |member: &Member| VerdictView::of(member.diagnosis(), self.options.criteria, true);
        worst_of(self.watch.fleet().members().map(|member| verdict(member).exit_code))
    }

    /// Says what each target came to, and what the run comes to.
    async fn conclude(self, interrupted: bool) -> u8 {
        let Self { watch, outputs, stopwatches, options, stop, .. } = self;
        // Only `check` promises to watch for a fixed time.
        let cut_short = interrupted && options.duration.is_some();
        let verdict = |member: &Member| {
            let is_over = stopwatches.get(&member.id()).is_some_and(|stopwatch| stopwatch.is_over);
            VerdictView::of(member.diagnosis(), options.criteria, cut_short && !is_over)
        };
        let verdicts: Vec<_> = watch.fleet().members().map(|member| (member, verdict(member))).collect();
        let codes = verdicts.iter().map(|(_, verdict)| verdict.exit_code).filter(|_| options.is_verdict);
        let exit_code = worst_of(codes);
        let summary = Summary::new(watch.fleet(), verdicts, options.criteria.fail_on);
        let summary = if options.is_verdict { summary.with_exit_code(exit_code) } else { summary };
        worst_of([exit_code, finish(outputs, summary, &stop).await])
    }
}

/// The next question at a desk; none ever where there is no desk.
async fn asked(desk: &mut Option<Desk>) -> Question {
    match desk {
        Some(desk) => desk.next().await,
        None => std::future::pending().await,
    }
}

/// Ends the outputs, and says what some of them did not get. A reader may take its time until a signal comes. Returns the exit code of
/// that.
pub(super) async fn finish(outputs: Outputs, summary: Summary, stop: &Stop) -> u8 {
    let leaving = if outputs.has_receivers() { push::LEAVING } else { LEAVING };
    let give_up = async {
        stop.asked().await;
        tokio::time::sleep(leaving).await;
    };
    let failures = outputs.finish(summary, give_up).await;
    failures.iter().for_each(|failure| note(&failure.sentence));
    if failures.iter().any(|failure| failure.is_error) { INTERNAL } else { SUCCESS }
}
