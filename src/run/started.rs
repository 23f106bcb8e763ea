//! A program that was started, as the target of a run: when its end is the end of the run, and what is said of its console.

use std::time::{Duration, Instant};

use super::notes::note;
use super::program::Program;
use super::signals::Stop;
use crate::detect::doubt::Doubt;
use crate::diagnosis::Status;
use crate::fleet::{Fleet, TargetId};

/// How long the feed may take to deliver what it has when the program has ended: what it started may go on serving it.
const LAST_UPDATES: Duration = Duration::from_secs(1);
/// How often to look where a program listens whose console is not there.
const LOOK: Duration = Duration::from_secs(2);

/// A program that was started, and the target that it is.
#[derive(Debug)]
pub(super) struct Started {
    program: Program,
    target: TargetId,
    ended: Option<Instant>,
    next_look: Instant,
    has_said_misplaced: bool,
    has_said_clash: bool,
}

impl Started {
    /// A program that has just been started.
    pub(super) fn new(program: Program, target: TargetId) -> Self {
        let next_look = Instant::now() + LOOK;
        Self { program, target, ended: None, next_look, has_said_misplaced: false, has_said_clash: false }
    }

    /// The target that it is.
    pub(super) fn target(&self) -> TargetId {
        self.target
    }

    /// Waits until it has ended by itself. Nothing is lost if this is dropped before.
    pub(super) async fn ends(&mut self) {
        self.program.ends().await;
        self.ended = Some(Instant::now());
    }

    /// Whether it has sent nothing yet, so that it is no news that nothing listens.
    pub(super) fn is_beginning(&self, fleet: &Fleet) -> bool {
        updates(fleet, self.target) == 0
    }

    /// Looks after its console. Returns whether nothing more is to be expected, because it has ended.
    pub(super) fn look(&mut self, fleet: &Fleet) -> bool {
        if self.program.has_clashed() && updates(fleet, self.target) > 0 && !self.has_said_clash {
            self.has_said_clash = true;
            note(&self.program.clash());
        }
        if self.is_beginning(fleet) && !self.has_said_misplaced && Instant::now() >= self.next_look {
            self.next_look = Instant::now() + LOOK;
            if let Some(why) = self.program.misplaced() {
                self.has_said_misplaced = true;
                note(&why);
            }
        }
        let is_connected = fleet.member(self.target).is_some_and(|it| *it.diagnosis().status() == Status::Live);
        self.ended.is_some_and(|ended| !is_connected || ended.elapsed() >= LAST_UPDATES)
    }

    /// Stops it, and returns what that says against a verdict on it. Whoever has interrupted it knows why no update came.
    pub(super) async fn conclude(self, fleet: &Fleet, interrupted: bool, stop: &Stop) -> Vec<Doubt> {
        let has_answered = updates(fleet, self.target) > 0;
        if !has_answered && !self.has_said_misplaced && !interrupted {
            note(&self.program.unreachable());
        }
        let failure = self.program.failure().map(Doubt::CommandFailed);
        let unseen = (has_answered && self.program.has_clashed()).then_some(Doubt::UnseenProcess);
        self.program.stop(stop).await;
        failure.into_iter().chain(unseen).collect()
    }
}

fn updates(fleet: &Fleet, target: TargetId) -> u64 {
    fleet.member(target).map_or(0, |member| member.diagnosis().updates())
}
