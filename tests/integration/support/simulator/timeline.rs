//! Plays a scenario to a diagnosis, and writes down what becomes of the findings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use tokio_canary::detect::assignment::Assignment;
use tokio_canary::detect::finding::Transition;
use tokio_canary::detect::settings::Settings;
use tokio_canary::detect::severity::{Severity, State};
use tokio_canary::diagnosis::Diagnosis;
use tokio_canary::feed::lag::LagMeter;
use tokio_canary::feed::{Arrived, FeedEvent, Status, Update};
use tokio_canary::model::DEFAULT_RETENTION;
use tokio_canary::model::time::Timestamp;
use tokio_canary::wire::{Message, Survey};

use super::clock::Clock;
use super::never_falls::Sums;
use super::process::Process;
use super::scenario::{Event, Scenario};
use super::wire::{BEGIN, Include, Nanos};

/// Updates are published so long after the full interval, so that what happens at full seconds is over by then.
const PHASE: Nanos = 700_000;
/// A connection stands so long after it was asked for.
const DIAL: Nanos = 300_000;
/// Silence of this length is reported, again every second.
const QUIET: Nanos = 5_000_000_000;
const SECOND: Nanos = 1_000_000_000;

/// What became of a finding at a time.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) at: Nanos,
    pub(crate) transition: Transition,
}

/// A scenario that was played.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) entries: Vec<Entry>,
    /// By fingerprint, the detectors whose symptoms the finding explained while it was shown.
    pub(crate) explained: BTreeMap<String, BTreeSet<&'static str>>,
    /// The diagnosis at the end.
    pub(crate) diagnosis: Diagnosis,
}

impl Timeline {
    /// One line for each transition.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let finding = &entry.transition.finding;
            let _ = writeln!(
                text,
                "{:6.1} s  {:<8} {:<8} {} [{}]\n           {}",
                seconds(entry.at),
                finding.state.as_str(),
                finding.severity().as_str(),
                finding.detector.id,
                finding.symptom.subject.location,
                finding.symptom.summary,
            );
            for look_alike in finding.look_alikes() {
                let _ = writeln!(text, "           {}", look_alike.describe());
            }
        }
        if text.is_empty() { "nothing\n".to_owned() } else { text }
    }

    /// The findings that fired, by fingerprint.
    pub(crate) fn fired(&self) -> BTreeMap<&str, Vec<&Entry>> {
        let mut fired: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
        for entry in &self.entries {
            let finding = &entry.transition.finding;
            if finding.state != State::Pending {
                fired.entry(&finding.fingerprint).or_default().push(entry);
            }
        }
        fired
    }
}

/// The worst severity among some entries.
pub(crate) fn worst(entries: &[&Entry]) -> Option<Severity> {
    entries.iter().map(|entry| entry.transition.finding.severity()).max()
}

pub(crate) fn seconds(nanos: Nanos) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

/// How messages reach us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// As they are sent.
    Once,
    /// Each one twice.
    Twice,
}

/// Plays a scenario from its beginning to its end.
pub(crate) fn play(scenario: &Scenario, told: Told) -> Timeline {
    play_before(scenario, told, &mut |_| ())
}

/// Plays a scenario before somebody who looks at the diagnosis after each event.
pub(crate) fn play_before(scenario: &Scenario, told: Told, witness: &mut dyn FnMut(&Diagnosis)) -> Timeline {
    let mut settings = Settings::default();
    for assignment in &scenario.set {
        Assignment::parse(assignment).unwrap_or_else(|error| panic!("{error}")).apply(&mut settings);
    }
    let mut player = Player {
        scenario,
        told,
        process: Some(Process::start(scenario, 0)),
        began: 0,
        diagnosis: Diagnosis::new("simulated".to_owned(), settings, DEFAULT_RETENTION),
        meter: None,
        clock: Clock::default(),
        stopped_until: 0,
        missed: 0,
        silent_until: 0,
        paused_until: 0,
        waiting: Vec::new(),
        heard: 0,
        reported: 0,
        entries: Vec::new(),
        explained: BTreeMap::new(),
        sums: Sums::default(),
        witness,
    };
    player.play();
    Timeline { entries: player.entries, explained: player.explained, diagnosis: player.diagnosis }
}

/// Something that the player does at a time.
#[derive(Debug, Clone)]
enum Action {
    Publish,
    Connect,
    Begin,
    Event(Box<Event>),
    Resume,
    EndOfSilence,
    Watch,
}

struct Player<'a> {
    scenario: &'a Scenario,
    told: Told,
    process: Option<Process>,
    /// When the process began.
    began: Nanos,
    diagnosis: Diagnosis,
    /// One for each connection; none while there is no connection.
    meter: Option<LagMeter>,
    clock: Clock,
    stopped_until: Nanos,
    /// Ticks that are late because the process was stopped, and come in a burst.
    missed: u64,
    silent_until: Nanos,
    paused_until: Nanos,
    /// Updates that are held up on their way.
    waiting: Vec<Update>,
    heard: Nanos,
    reported: Nanos,
    entries: Vec<Entry>,
    explained: BTreeMap<String, BTreeSet<&'static str>>,
    sums: Sums,
    witness: &'a mut dyn FnMut(&Diagnosis),
}

impl Player<'_> {
    fn play(&mut self) {
        let end = self.scenario.run.nanos();
        let mut actions: Vec<(Nanos, Action)> = vec![(self.scenario.attach.nanos() + DIAL, Action::Connect)];
        for event in &self.scenario.event {
            let at = event.at.nanos();
            actions.push((at, Action::Event(Box::new(event.clone()))));
            let later = |length: Option<_>, action: Action| {
                length.map(|length: super::program::Span| (at + length.nanos(), action))
            };
            actions.extend(later(event.disconnect, Action::Connect));
            actions.extend(later(event.restart, Action::Begin));
            actions.extend(later(event.restart, Action::Connect).map(|(at, action)| (at + DIAL, action)));
            actions.extend(later(event.pause, Action::Resume));
            actions.extend(later(event.silence, Action::EndOfSilence));
        }
        actions.extend((1..).map(|n| (n * SECOND / 2, Action::Watch)).take_while(|(at, _)| *at <= end));
        actions.sort_by_key(|(at, _)| *at);
        let mut tick = self.scenario.interval.nanos() + PHASE;
        for (at, action) in actions.into_iter().filter(|(at, _)| *at <= end) {
            while self.actual(tick) <= at {
                self.tick(&mut tick);
            }
            if let Some(process) = &mut self.process {
                process.advance(at);
            }
            if matches!(action, Action::Begin) {
                tick = at + self.scenario.interval.nanos() + PHASE;
            }
            self.act(at, &action);
        }
        while self.actual(tick) <= end {
            self.tick(&mut tick);
        }
    }

    /// When the tick of a time comes: a process that was stopped makes up for all that it missed at once, and one that is short of CPU is late by a
    /// different time at each tick.
    fn actual(&self, tick: Nanos) -> Nanos {
        if tick < self.stopped_until {
            return self.stopped_until + self.missed * 200_000;
        }
        let turn = tick / self.scenario.interval.nanos();
        tick + (turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % self.scenario.late.nanos().max(1)
    }

    fn tick(&mut self, tick: &mut Nanos) {
        let at = self.actual(*tick);
        self.missed = if *tick < self.stopped_until { self.missed + 1 } else { 0 };
        if let Some(process) = &mut self.process {
            process.advance(at);
        }
        self.act(at, &Action::Publish);
        *tick += self.scenario.interval.nanos();
    }

    fn act(&mut self, at: Nanos, action: &Action) {
        match action {
            Action::Publish => self.publish(at),
            Action::Connect => self.connect(at),
            Action::Begin => {
                self.began = at;
                self.process = Some(Process::start(self.scenario, at));
            }
            Action::Event(event) => self.disturb(at, event),
            Action::Resume => {
                self.deliver(at, FeedEvent::Paused(false));
                self.heard = at;
            }
            Action::EndOfSilence => {
                for update in std::mem::take(&mut self.waiting) {
                    self.deliver(at, FeedEvent::Update(Box::new(update)));
                }
            }
            Action::Watch => self.watch(at),
        }
    }

    fn publish(&mut self, at: Nanos) {
        let paused = at < self.paused_until;
        let Some(process) = &mut self.process else { return };
        process.seen.read_events(self.meter.is_some());
        process.seen.forget(at.saturating_sub(self.scenario.retention.nanos()), self.meter.is_some());
        if let (Some(meter), false) = (&mut self.meter, paused) {
            let mut message = process.seen.message(at, Include::Changed);
            message.now = self.clock.told(at);
            let message = Message::from(&message);
            let update = Update { lag: meter.observe(&Survey::of(&message)), ..message.into() };
            if at < self.silent_until {
                self.waiting.push(update);
            } else {
                self.deliver(at, FeedEvent::Update(Box::new(update)));
            }
        }
    }

    fn connect(&mut self, at: Nanos) {
        let Some(process) = &mut self.process else { return };
        process.seen.read_events(false);
        let mut meter = LagMeter::default();
        let first = if self.scenario.no_initial_state {
            process.seen.told_somebody_else();
            None
        } else {
            let mut message = process.seen.message(at, Include::All);
            message.now = self.clock.told(at);
            let message = Message::from(&message);
            Some(Update { lag: meter.observe(&Survey::of(&message)), ..message.into() })
        };
        self.meter = Some(meter);
        self.deliver(at, FeedEvent::Status(Status::Live));
        if let Some(update) = first {
            self.deliver(at, FeedEvent::Update(Box::new(update)));
        }
        self.heard = at;
    }

    fn disturb(&mut self, at: Nanos, event: &Event) {
        if let (Some(length), Some(process)) = (event.stop, &mut self.process) {
            process.stop(at, length.nanos());
            self.stopped_until = at + length.nanos();
        }
        if let (Some(lost), Some(process)) = (event.lose, &mut self.process) {
            process.seen.losing = lost;
        }
        if let (Some(name), Some(process)) = (&event.abort, &mut self.process) {
            process.abort(at, name);
            process.advance(at);
        }
        if let (Some(name), Some(process)) = (&event.halt, &mut self.process) {
            process.halt(name);
        }
        self.clock.disturb(at, event);
        for second in 1..=event.suspend_target.map_or(0, |length| length.nanos() / SECOND) {
            self.clock.suspend(SECOND);
            if second * SECOND >= QUIET {
                self.deliver(at, FeedEvent::Quiet(Duration::from_secs(second)));
            }
        }
        if let Some(length) = event.silence {
            self.silent_until = at + length.nanos();
        }
        if let Some(length) = event.pause {
            self.paused_until = at + length.nanos();
            self.deliver(at, FeedEvent::Paused(true));
        }
        if let Some(length) = event.disconnect.or(event.restart) {
            self.meter = None;
            let reason = "the connection was lost".to_owned();
            self.deliver(
                at,
                FeedEvent::Status(Status::Lost { reason, retry_at: self.clock.arrival(at + length.nanos()) }),
            );
        }
        if event.restart.is_some() {
            self.process = None;
        }
    }

    /// Reports a silence as the live feed does.
    fn watch(&mut self, at: Nanos) {
        let limit = QUIET.max(5 * self.scenario.interval.nanos());
        let due = at.saturating_sub(self.heard) >= limit && at.saturating_sub(self.reported) >= SECOND;
        if self.meter.is_some() && due && at >= self.paused_until {
            self.reported = at;
            let silence = Duration::from_nanos(at - self.heard);
            self.deliver(at, FeedEvent::Quiet(silence));
        }
    }

    fn deliver(&mut self, at: Nanos, event: FeedEvent) {
        if let FeedEvent::Update(update) = event {
            self.heard = at;
            if self.told == Told::Twice {
                self.apply(at, FeedEvent::Update(update.clone()));
            }
            self.apply(at, FeedEvent::Update(update));
        } else {
            self.apply(at, event);
        }
    }

    fn apply(&mut self, at: Nanos, event: FeedEvent) {
        let transitions = self.diagnosis.apply(Arrived { at: self.clock.arrival(at), event });
        self.sums.observe(self.diagnosis.model());
        (self.witness)(&self.diagnosis);
        let begin = Timestamp::from_nanos(BEGIN * SECOND);
        for transition in transitions {
            let since = transition.at.since(begin);
            let at = u64::try_from(since.as_nanos()).expect("a time of the scenario");
            self.entries.push(Entry { at, transition });
        }
        for finding in self.diagnosis.findings() {
            let explained = finding.explains.iter().map(|explained| explained.detector);
            self.explained.entry(finding.fingerprint.clone()).or_default().extend(explained);
        }
    }
}
