//! `watch` and `check`: every step to the outputs, and at the end what each target came to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::baseline::Known;
use super::black_boxes::BlackBoxes;
use super::departed::Departed;
use super::exit::{INCONCLUSIVE, INTERNAL, SUCCESS, sentence, worst_of};
use super::judgement::Judge;
use super::locked::Locked;
use super::notes::{note, note_connection, note_lag};
use super::program::Program;
use super::roster::{Places, Roster, found};
use super::signals::Stop;
use super::started::Started;
use super::stopwatch::{Clock, Stopwatch};
use super::targets::Opened;
use super::terms::Options;
use super::watch::Watch;
use crate::alert::event::{Others, Summary};
use crate::alert::http::{Desk, Question, State};
use crate::alert::{Outputs, push};
use crate::config::Config;
use crate::config::options::MAX_TARGETS;
use crate::detect::doubt::Doubt;
use crate::diagnosis::{Status, Verdict};
use crate::feed::discovery::Discovered;
use crate::fleet::{Change, Member, Step, TargetId};
use crate::report::verdict::over_all;

/// How long outputs may take for what is left once a signal has asked for the end.
const LEAVING: Duration = Duration::from_millis(500);

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
    /// The targets that are found while it lasts.
    roster: Option<Roster>,
    /// Those that left.
    departed: Departed,
    /// How long there has been a target, which is how long others may be added.
    entry: Stopwatch,
}

impl Run {
    /// A run over targets that are open.
    pub(super) fn new(opened: Opened, outputs: Outputs, options: Options, config: &Config, stop: &Stop) -> Self {
        let Opened { watch, replayed, black_boxes, roster, .. } = opened;
        let (judge, known) = (Judge::new(config, options.criteria), Known::of(config, options.criteria));
        let (program, stopwatches, stop) = (None, BTreeMap::new(), stop.clone());
        // A run without an end cannot keep everybody.
        let departed = Departed::keeping(options.duration.map_or(0, |_| config.get(&MAX_TARGETS)));
        let entry = Stopwatch::start(Clock::Ours);
        Self {
            watch,
            outputs,
            replayed,
            program,
            stopwatches,
            options,
            judge,
            known,
            desk: None,
            stop,
            black_boxes,
            roster,
            departed,
            entry,
        }
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
            let is_waiting = self.watch.is_idle() && self.roster.as_ref().is_some_and(Roster::is_open);
            tokio::select! {
                () = &mut stop => { interrupted = true; break }
                step = self.watch.next(), if !is_waiting => match step {
                    Some(step) => self.take(step),
                    None => break,
                },
                found = found(&mut self.roster) => self.follow(found),
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

    /// Does what was found out about targets.
    fn follow(&mut self, found: Discovered) {
        if let Some(roster) = &mut self.roster {
            let places = &mut Places { watch: &mut self.watch, black_boxes: &mut self.black_boxes };
            roster.take(found, places).iter().for_each(|sentence| note(sentence));
        }
    }

    fn take(&mut self, step: Step) {
        self.tell(&step);
        match step {
            Step::Joined(target) => {
                let clock = if self.replayed.contains(&target) { Clock::Recorded } else { Clock::Ours };
                self.stopwatches.insert(target, Stopwatch::start(clock));
            }
            Step::Arrived { target, ref changes, .. } => {
                self.take_time(&step);
                if changes.iter().any(|change| matches!(change, Change::Finding(_))) {
                    self.look_at_findings(target);
                }
                self.check_time();
            }
            Step::Closed(target) => {
                if let Some(stopwatch) = self.stopwatches.get_mut(&target) {
                    stopwatch.is_over = true;
                }
            }
            Step::Left(member) => {
                self.stopwatches.remove(&member.id());
                self.black_boxes.leave(member.id());
                let (sentence, forgotten) = self.departed.take(*member, |member| self.judge.verdict(member));
                note(&sentence);
                forgotten.into_iter().for_each(|target| self.judge.forget(target));
            }
        }
    }

    /// Tells everybody about a step.
    fn tell(&mut self, step: &Step) {
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
        self.entry.take(*at, member.diagnosis().updates() > 0);
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
        if let Some((roster, duration)) = self.roster.as_mut().zip(duration) {
            let limit = if self.entry.has_begun() { duration } else { self.options.wait.unwrap_or(duration) };
            // Those that came first are judged, or none has come: a run has an end, whoever else may come.
            if self.entry.watched() >= limit {
                roster.close();
            }
        }
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
        let verdicts = || self.judge.verdicts(self.watch.fleet().members(), |_| Vec::new());
        let is_watched = |target| self.watch.is_watched(target);
        let (fleet, lost) = (self.watch.fleet(), self.outputs.lost());
        desk.answer(question, &State { fleet, verdicts: &verdicts, is_watched: &is_watched, lost });
    }

    /// What the run comes to if it ends now.
    fn code_if_interrupted(&self) -> u8 {
        let members = self.watch.fleet().members().chain(self.departed.members());
        let verdicts = self.judge.verdicts(members, |_| vec![Doubt::Interrupted]);
        let left = self.departed.forgotten().1.then_some((Verdict::Findings, true));
        over_all(verdicts.iter().map(|(_, view)| (view.verdict, false)).chain(left)).exit_code()
    }

    /// Says what each target came to, and what the run comes to.
    async fn conclude(self, interrupted: bool) -> u8 {
        let Self { watch, outputs, program, stopwatches, options, judge, known, desk, stop, black_boxes, .. } = self;
        let (roster, departed) = (self.roster, self.departed);
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
        let members = watch.fleet().members().chain(departed.members());
        let mut verdicts = judge.verdicts(members, doubts);
        let has_left = |member: &Member| watch.fleet().member(member.id()).is_none();
        let left = verdicts.iter_mut().filter(|(member, _)| has_left(member));
        left.for_each(|(_, view)| *view = view.clone().having_left());
        let recorded = known.map_or(Ok(()), |known| known.conclude(&verdicts, interrupted));
        let (left, had_findings) = departed.forgotten();
        let others = Others { unwatched: roster.map_or(0, |roster| roster.unwatched()), left, had_findings };
        let summary = Summary::new(watch.fleet(), verdicts, options.criteria.fail_on).with_others(others);
        let summary = if options.is_verdict { summary.as_verdict() } else { summary };
        let verdict_code = if options.is_verdict { summary.verdict().exit_code() } else { SUCCESS };
        let exit_code = options.asked_for(verdict_code);
        if exit_code != verdict_code {
            note(&format!(
                "The exit code is {exit_code} because of --exit-zero; otherwise it would be {verdict_code}."
            ));
        }
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
