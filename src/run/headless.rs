//! `watch` and `check`: every step to the outputs, and at the end what each target came to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::baseline::Known;
use super::black_boxes::BlackBoxes;
use super::exit::{FINDINGS, INCONCLUSIVE, INTERNAL, SUCCESS, sentence, worst_of};
use super::judgement::Judge;
use super::locked::Locked;
use super::notes::{note, note_connection, note_lag};
use super::program::Program;
use super::signals::Stop;
use super::started::Started;
use super::stopwatch::{Clock, Stopwatch};
use super::targets::Opened;
use super::watch::Watch;
use crate::alert::event::Summary;
use crate::alert::http::{Desk, Question, State};
use crate::alert::{Limits, Outputs, push};
use crate::cli::DEFAULT_FOR;
use crate::config::Config;
use crate::config::options::{
    EARLY_EXIT, EXIT_ZERO, FAIL_ON, HEARTBEAT, MIN_ACTIVITY, MIN_UPDATES, PARTIAL, Partial, RATE_LIMIT, RATE_LIMIT_MAX,
    WAIT_FOR_TARGET,
};
use crate::detect::doubt::Doubt;
use crate::detect::severity::Severity;
use crate::diagnosis::{Criteria, Status};
use crate::fleet::{Change, Step, TargetId};

/// How long outputs may take for what is left once a signal has asked for the end.
const LEAVING: Duration = Duration::from_millis(500);

/// The time whose load counts in a run without an end: what was done before says nothing of a service that is idle now.
const RECENTLY: Duration = Duration::from_secs(60);

/// How a headless run goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// How long each target is watched from its first update on; for ever if not given.
    pub(super) duration: Option<Duration>,
    /// The same for a recording, whose first update is long past; to its end if not given.
    pub(super) recorded: Option<Duration>,
    /// How long to wait for the first update of each; for ever if not given.
    pub(super) wait: Option<Duration>,
    /// Whether a running service is watched no longer than until there is proof against it.
    pub(super) ends_early: bool,
    /// How often to say that everything still works.
    pub(super) heartbeat: Duration,
    /// What a target is measured by.
    pub(super) criteria: Criteria,
    /// Whether the verdict makes the exit code, also of a run that a signal ended.
    pub(super) is_verdict: bool,
    /// Whether it does not, for all that.
    pub(super) exits_with_zero: bool,
    /// How findings that come back are held back.
    pub(super) limits: Option<Limits>,
}

impl Options {
    /// What `watch` does.
    pub(super) fn watch(config: &Config) -> Self {
        let is_verdict = config.get(&FAIL_ON).is_some();
        Self {
            duration: None,
            recorded: None,
            wait: None,
            ends_early: false,
            heartbeat: config.get(&HEARTBEAT).0,
            criteria: criteria(config),
            is_verdict,
            exits_with_zero: false,
            limits: limits(config),
        }
    }

    /// What `check` does: it reports everything that counts for its verdict, and ends soon.
    pub(super) fn check(config: &Config, given: Option<Duration>) -> Self {
        let duration = given.unwrap_or(DEFAULT_FOR);
        Self {
            duration: Some(duration),
            recorded: given,
            wait: Some(config.get(&WAIT_FOR_TARGET).map_or(duration, |wait| wait.0)),
            // What would have fired later belongs into a baseline too, and is not gone from it.
            ends_early: config.get(&EARLY_EXIT) && config.baseline().is_none(),
            criteria: Criteria { load_window: None, ..criteria(config) },
            is_verdict: true,
            exits_with_zero: config.get(&EXIT_ZERO),
            limits: None,
            ..Self::watch(config)
        }
    }

    /// The exit code that is asked for where the verdict means another.
    fn asked_for(&self, code: u8) -> u8 {
        if self.exits_with_zero && [FINDINGS, INCONCLUSIVE].contains(&code) { SUCCESS } else { code }
    }

    /// The black boxes of a run without an end.
    pub(super) fn black_boxes(&self, config: &Config) -> BlackBoxes {
        if self.duration.is_none() { BlackBoxes::new(config) } else { BlackBoxes::default() }
    }
}

/// How findings that come back are held back.
pub(super) fn limits(config: &Config) -> Option<Limits> {
    let longest = config.get(&RATE_LIMIT_MAX).0;
    config.get(&RATE_LIMIT).first().map(|first| Limits { first, longest: longest.max(first) })
}

/// What a target is measured by.
pub(super) fn criteria(config: &Config) -> Criteria {
    Criteria {
        fail_on: config.get(&FAIL_ON).unwrap_or(Severity::Warning),
        min_updates: u64::try_from(config.get(&MIN_UPDATES)).unwrap_or(u64::MAX),
        partial_passes: config.get(&PARTIAL) == Partial::Pass,
        min_activity: config.get(&MIN_ACTIVITY),
        load_window: Some(RECENTLY),
    }
}

/// A headless run.
pub(super) struct Run {
    watch: Watch,
    outputs: Outputs,
    /// The targets whose events are recorded ones.
    replayed: BTreeSet<TargetId>,
    /// The program that was started for this run, which is the one target.
    program: Option<Started>,
    stopwatches: BTreeMap<TargetId, Stopwatch>,
    options: Options,
    judge: Judge,
    known: Option<Known>,
    /// Where clients of HTTP ask.
    desk: Option<Desk>,
    stop: Stop,
    black_boxes: BlackBoxes,
}

impl Run {
    /// A run over targets that are open.
    pub(super) fn new(opened: Opened, outputs: Outputs, options: Options, config: &Config, stop: &Stop) -> Self {
        let Opened { watch, replayed, black_boxes, .. } = opened;
        let (judge, known) = (Judge::new(config, options.criteria), Known::of(config, options.criteria));
        let (program, stopwatches, stop) = (None, BTreeMap::new(), stop.clone());
        Self { watch, outputs, replayed, program, stopwatches, options, judge, known, desk: None, stop, black_boxes }
    }

    /// The same over a program that was started for it.
    pub(super) fn with(self, program: Option<Program>) -> Self {
        let target = self.watch.fleet().members().next().map(|member| member.id());
        let program = program.zip(target).map(|(program, target)| Started::new(program, target));
        Self { program, ..self }
    }

    /// The same, which also answers at a desk.
    pub(super) fn answering(self, desk: Option<Desk>) -> Self {
        Self { desk, ..self }
    }

    /// The same, which fails on structure that is not in a lockfile.
    pub(super) fn locked(self, locked: Option<Locked>) -> Self {
        Self { judge: self.judge.locked(locked), ..self }
    }

    /// Runs until every target is judged, all recordings have ended, nobody needs it any more or a signal comes. Returns the exit code.
    pub(super) async fn headless(mut self) -> u8 {
        if self.options.is_verdict {
            self.stop.ends_with(self.options.asked_for(INCONCLUSIVE));
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
                () = ends(&mut self.program) => {}
                _ = tick.tick() => {
                    self.check_time();
                    self.black_boxes.report();
                }
            }
            if Instant::now() >= next_heartbeat {
                next_heartbeat = Instant::now() + self.options.heartbeat;
                self.outputs.heartbeat(self.watch.fleet());
            }
        }
        self.conclude(interrupted).await
    }

    /// Whether nobody takes anything any more, nor can ask. The exit code of `check` is worth its time also after its reader has left.
    fn is_in_vain(&self) -> bool {
        if self.options.duration.is_some() {
            self.outputs.have_failed()
        } else {
            self.desk.is_none() && self.outputs.are_closed()
        }
    }

    fn take(&mut self, step: &Step) {
        let mut events = self.outputs.admit(step, self.watch.fleet());
        self.black_boxes.attach_recordings(step, &mut events);
        self.outputs.put(events);
        if !self.is_beginning(step) {
            note_connection(step, self.watch.fleet());
        }
        if let Some(desk) = &mut self.desk {
            desk.take(step);
        }
        note_lag(step, self.watch.fleet());
        if let Some(known) = &mut self.known {
            known.take(step, self.watch.fleet());
        }
        self.judge.take(step, self.watch.fleet());
        match step {
            Step::Joined(target) => {
                let clock = if self.replayed.contains(target) { Clock::Recorded } else { Clock::Ours };
                self.stopwatches.insert(*target, Stopwatch::start(clock));
            }
            Step::Arrived { target, changes, .. } => {
                self.take_time(step);
                if changes.iter().any(|change| matches!(change, Change::Finding(_))) {
                    self.look_at_findings(*target);
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

    /// Whether a step only says how a connection came about to what nobody has to dial: a program that was started, or a recording.
    fn is_beginning(&self, step: &Step) -> bool {
        let (Step::Arrived { target, .. }, fleet) = (step, self.watch.fleet()) else { return false };
        let has_ended = || fleet.member(*target).is_some_and(|member| member.diagnosis().ended().is_some());
        let is_recorded = self.replayed.contains(target) && !has_ended();
        is_recorded || self.program.as_ref().is_some_and(|started| started.is_beginning(fleet))
    }

    /// Takes the time of something that has arrived.
    fn take_time(&mut self, step: &Step) {
        let Step::Arrived { target, at, .. } = step else { return };
        let member = self.watch.fleet().member(*target);
        let Some((member, stopwatch)) = member.zip(self.stopwatches.get_mut(target)) else { return };
        stopwatch.take(*at, member.diagnosis().updates() > 0);
        stopwatch.is_over |= member.diagnosis().ended().is_some();
        // Nothing comes of waiting for a stranger to become a console.
        stopwatch.is_hopeless = matches!(member.diagnosis().status(), Status::Stranger { .. });
    }

    /// Draws conclusions from findings that have changed.
    fn look_at_findings(&mut self, target: TargetId) {
        if self.options.is_verdict {
            self.stop.ends_with(self.options.asked_for(self.code_if_interrupted()));
        }
        let Some(member) = self.watch.fleet().member(target) else { return };
        let may_end = self.options.ends_early && !self.replayed.contains(&target);
        let proof = member.diagnosis().proof(self.options.criteria.fail_on).filter(|_| may_end);
        if let Some((finding, stopwatch)) = proof.zip(self.stopwatches.get_mut(&target))
            && !std::mem::replace(&mut stopwatch.is_over, true)
        {
            note(&format!(
                "{}: {} is proof and cannot recover, so the watch ends here (use --no-early-exit to continue).",
                member.diagnosis().target(),
                finding.detector.id
            ));
            self.watch.close(target);
        }
    }

    /// Ends the feeds of targets whose time is up. One that never answers has a time of its own to begin, unless something else answers.
    fn check_time(&mut self) {
        if let Some(started) = &mut self.program
            && started.look(self.watch.fleet())
        {
            self.watch.exit(started.target());
        }
        let Options { duration, recorded, .. } = self.options;
        for (target, stopwatch) in &mut self.stopwatches {
            let Some(duration) = (if self.replayed.contains(target) { recorded } else { duration }) else { continue };
            let limit = if stopwatch.has_begun() { duration } else { self.options.wait.unwrap_or(duration) };
            if !stopwatch.is_over && (stopwatch.is_hopeless || stopwatch.watched() >= limit) {
                stopwatch.is_over = true;
                self.watch.close(*target);
            }
        }
    }

    /// Answers a client of HTTP from what is known at present.
    fn answer(&self, question: Question) {
        let Some(desk) = &self.desk else { return };
        let verdicts = || self.judge.verdicts(self.watch.fleet(), |_| Vec::new());
        let is_watched = |target| self.watch.is_watched(target);
        let (fleet, lost) = (self.watch.fleet(), self.outputs.lost());
        desk.answer(question, &State { fleet, verdicts: &verdicts, is_watched: &is_watched, lost });
    }

    /// What the run comes to if it ends now.
    fn code_if_interrupted(&self) -> u8 {
        let verdicts = self.judge.verdicts(self.watch.fleet(), |_| vec![Doubt::Interrupted]);
        worst_of(verdicts.iter().map(|(_, verdict)| verdict.verdict.exit_code()))
    }

    /// Says what each target came to, and what the run comes to.
    async fn conclude(self, interrupted: bool) -> u8 {
        let Self { watch, outputs, program, stopwatches, options, judge, known, desk, stop, black_boxes, .. } = self;
        // Clients learn at once that nobody answers any more.
        drop(desk);
        black_boxes.close(&stop).await;
        let of_program = match program {
            Some(started) => stop.during(started.conclude(watch.fleet(), interrupted, &stop), || {}).await,
            None => Vec::new(),
        };
        // Only `check` promises to watch for a fixed time.
        let cut_short = interrupted && options.duration.is_some();
        let doubts = |target| {
            let is_over = stopwatches.get(&target).is_some_and(|stopwatch| stopwatch.is_over);
            let interrupted = (cut_short && !is_over).then_some(Doubt::Interrupted);
            of_program.iter().copied().chain(interrupted).collect()
        };
        let verdicts = judge.verdicts(watch.fleet(), doubts);
        let recorded = known.map_or(Ok(()), |known| known.conclude(&verdicts, interrupted));
        let codes = verdicts.iter().map(|(_, verdict)| verdict.verdict.exit_code()).filter(|_| options.is_verdict);
        let verdict_code = worst_of(codes);
        let exit_code = options.asked_for(verdict_code);
        if exit_code != verdict_code {
            note(&format!(
                "The exit code is {exit_code} because of --exit-zero; otherwise it would be {verdict_code}."
            ));
        }
        let summary = Summary::new(watch.fleet(), verdicts, options.criteria.fail_on);
        let summary = if options.is_verdict { summary.as_verdict() } else { summary };
        let written = finish(outputs, summary, &stop).await;
        let baseline = match recorded {
            Ok(()) => SUCCESS,
            Err(error) => {
                note(&sentence(&error));
                INTERNAL
            }
        };
        worst_of([exit_code, written, baseline])
    }
}

/// Waits until the program that was started has ended; for ever if there is none.
async fn ends(program: &mut Option<Started>) {
    match program {
        Some(started) => started.ends().await,
        None => std::future::pending().await,
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
