//! A recording that is played under control: pause, step, speed, and the state as it was at any time of it.
//!
//! What is shown is what was applied, so going back means to begin at a state that was kept and to apply what followed once more.

use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::feed::recording::{Control, Deck, Speed};
use crate::feed::{Arrived, Feed, FeedEvent};
use crate::fleet::{Change, Member};
use crate::playing::{Ask, Playing};
use crate::report::State;

/// The least time between two states that are kept, at first.
const EVERY: Duration = Duration::from_secs(5);
/// States that are kept at most,
const MOST: usize = 64;
/// and tasks, resources and async ops in all of them together: each takes about a kilobyte.
const MOST_ENTITIES: usize = 100_000;

/// Opens the recording again and skips this many events.
type Reopen = Box<dyn Fn(Control, u64) -> anyhow::Result<Deck> + Send>;

/// A recording under control.
pub(super) struct Player {
    reopen: Reopen,
    control: watch::Sender<Control>,
    playing: Playing,
    /// Events that were applied to come to the present state, and the most that ever were.
    taken: u64,
    furthest: u64,
    /// Where the last of them was recorded.
    cursor: SystemTime,
    /// Where that will be once everything that was asked for is done.
    aim: SystemTime,
    /// States that were kept, the first of them before any event.
    kept: Vec<Kept>,
    every: Duration,
    /// Whether it runs to the next opening of a finding.
    seeks_opening: bool,
}

/// A state that was kept.
struct Kept {
    taken: u64,
    at: SystemTime,
    member: Member,
    entities: usize,
}

/// What is to be done to go somewhere.
pub(super) enum Go {
    /// Nothing: the feed comes there.
    Wait,
    /// Events come from another feed from now on, on the state as it is,
    Continue(Feed),
    /// or on a state that was.
    Restore(Box<Member>, Feed),
}

impl std::fmt::Debug for Player {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Player").field("playing", &self.playing).field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Player {
    /// Takes control of a recording between two times, and returns what it delivers.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn begin(
        reopen: Reopen,
        control: Control,
        (begins, ends): (SystemTime, SystemTime),
    ) -> anyhow::Result<(Self, Feed)> {
        let Deck { feed, control: sender } = reopen(control, 0)?;
        let speed = match control.speed {
            Speed::Factor(factor) => Some(factor),
            Speed::Max => None,
        };
        let playing = Playing { begins, ends, speed, is_paused: control.is_paused };
        let (control, kept) = (sender, Vec::new());
        let player = Self {
            reopen,
            control,
            playing,
            taken: 0,
            furthest: 0,
            cursor: begins,
            aim: begins,
            kept,
            every: EVERY,
            seeks_opening: false,
        };
        Ok((player, feed))
    }

    /// How it is played.
    pub(super) fn playing(&self) -> Playing {
        self.playing
    }

    /// Whether the event that is taken next was taken before.
    pub(super) fn repeats(&self) -> bool {
        self.taken < self.furthest
    }

    /// Keeps the state before the first event.
    pub(super) fn keep_first(&mut self, member: &Member) {
        self.keep(member);
    }

    /// Takes in that an event was applied, and what that changed. Returns what is to be done if that was looked for.
    ///
    /// # Errors
    /// The recording cannot be read any more.
    pub(super) fn take(&mut self, event: &Seen, changes: &[Change], member: &Member) -> anyhow::Result<Go> {
        self.taken += 1;
        self.cursor = self.playing.within(event.at);
        self.aim = self.aim.max(self.cursor);
        let is_new = self.taken > self.furthest;
        self.furthest = self.furthest.max(self.taken);
        let due = self.kept.last().is_none_or(|last| event.at >= last.at + self.every);
        if event.is_update && is_new && due {
            self.keep(member);
        }
        if !self.seeks_opening || !opens(event.at, changes, member) {
            return Ok(Go::Wait);
        }
        self.seeks_opening = false;
        self.aim = self.cursor;
        // What was sent ahead is not to be applied.
        Ok(Go::Continue(self.turn(self.taken, None)?))
    }

    fn keep(&mut self, member: &Member) {
        let model = member.diagnosis().model();
        let entities = model.tasks().len() + model.resources().len() + model.ops().len();
        self.kept.push(Kept { taken: self.taken, at: self.cursor, member: member.clone(), entities });
        while self.kept.len() > 1 && (self.kept.len() > MOST || self.entities() > MOST_ENTITIES) {
            let mut nth = 0;
            self.kept.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.every *= 2;
        }
    }

    fn entities(&self) -> usize {
        self.kept.iter().map(|kept| kept.entities).sum()
    }

    /// Does what is asked.
    ///
    /// # Errors
    /// The recording cannot be read any more.
    pub(super) fn ask(&mut self, ask: Ask, member: &Member) -> anyhow::Result<Go> {
        // An opening that was looked for is not any more.
        self.aim = if self.seeks_opening { self.cursor } else { self.aim };
        self.seeks_opening = false;
        match ask {
            Ask::Toggle => self.playing.is_paused = !self.playing.is_paused,
            Ask::Step => {
                self.playing.is_paused = true;
                self.control.send_modify(|control| {
                    control.is_paused = true;
                    control.steps += 1;
                });
            }
            Ask::Slower => self.playing.speed = self.playing.slower(),
            Ask::Faster => self.playing.speed = self.playing.faster(),
            Ask::Back(by) => return self.go_to(self.aim.checked_sub(by).unwrap_or(self.playing.begins)),
            Ask::Forward(by) => return self.go_to(self.aim.checked_add(by).unwrap_or(self.playing.ends)),
            Ask::To(at) => return self.go_to(at),
            Ask::PreviousOpening => {
                let before = member.openings().into_iter().rev().map(|(at, _)| at).find(|at| *at < self.cursor);
                return self.go_to(before.unwrap_or(self.playing.begins));
            }
            Ask::NextOpening => {
                self.seeks_opening = true;
                return self.go_to(self.playing.ends);
            }
        }
        let Playing { speed, is_paused, .. } = self.playing;
        let speed = speed.map_or(Speed::Max, Speed::Factor);
        self.control.send_if_modified(|control| {
            let changed = Control { speed, is_paused, until: None, ..*control };
            std::mem::replace(control, changed) != changed
        });
        Ok(Go::Wait)
    }

    /// Goes to the state at a time: forward from here, or from the last state before it that was kept.
    fn go_to(&mut self, at: SystemTime) -> anyhow::Result<Go> {
        let at = self.playing.within(at);
        let before = std::mem::replace(&mut self.aim, at);
        if at >= before {
            self.control.send_modify(|control| control.until = Some(at));
            return Ok(Go::Wait);
        }
        if at >= self.cursor {
            // What was sent ahead is beyond.
            return Ok(Go::Continue(self.turn(self.taken, Some(at))?));
        }
        let Some(index) = self.kept.iter().rposition(|kept| kept.at <= at) else { return Ok(Go::Wait) };
        let (taken, cursor) = (self.kept[index].taken, self.kept[index].at);
        let feed = self.turn(taken, Some(at))?;
        (self.taken, self.cursor) = (taken, cursor);
        Ok(Go::Restore(Box::new(self.kept[index].member.clone()), feed))
    }

    /// Reads the recording again, skipping this many events.
    fn turn(&mut self, taken: u64, until: Option<SystemTime>) -> anyhow::Result<Feed> {
        let control = Control { until, ..*self.control.borrow() };
        let deck = (self.reopen)(control, taken)?;
        self.control = deck.control;
        Ok(deck.feed)
    }
}

/// What a player needs to know of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    at: SystemTime,
    is_update: bool,
}

impl Seen {
    pub(super) fn of(arrived: &Arrived) -> Self {
        Self { at: arrived.at, is_update: matches!(arrived.event, FeedEvent::Update(_)) }
    }
}

/// Whether a finding opened with what arrived at this time.
fn opens(at: SystemTime, changes: &[Change], member: &Member) -> bool {
    let fires = |change: &Change| matches!(change, Change::Finding(it) if it.finding.state == State::Firing);
    changes.iter().any(fires) && member.openings().last().is_some_and(|(opened, _)| *opened == at)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::mpsc;

    use super::*;
    use crate::detect::settings::Settings;
    use crate::diagnosis::Diagnosis;
    use crate::feed::Wanted;
    use crate::fleet::{Fleet, TargetId};
    use crate::model::DEFAULT_RETENTION;

    /// How a recording was opened: until when at once, and without how many events.
    type Opened = Arc<Mutex<Vec<(Option<u64>, u64)>>>;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    /// A recording with an update a second that was played up to one of them, and how it was opened since.
    fn played(seconds: u64) -> (Player, Fleet, TargetId, Opened) {
        let opened = Opened::default();
        let log = Arc::clone(&opened);
        let reopen = move |control: Control, skip| {
            let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            log.lock().unwrap().push((control.until.map(seconds), skip));
            let feed = Feed { events: mpsc::channel(1).1, wanted: watch::channel(Wanted::new()).0 };
            Ok(Deck { feed, control: watch::channel(control).0 })
        };
        let extent = (at(0), at(100_000));
        let (mut player, _) = Player::begin(Box::new(reopen), Control::default(), extent).unwrap();
        let mut fleet = Fleet::default();
        let target = fleet.join(Diagnosis::new("test".to_owned(), Settings::default(), DEFAULT_RETENTION));
        let member = fleet.member(target).unwrap();
        player.keep_first(member);
        for second in 1..=seconds {
            let seen = Seen { at: at(second), is_update: true };
            assert!(matches!(player.take(&seen, &[], member), Ok(Go::Wait)));
        }
        opened.lock().unwrap().clear();
        (player, fleet, target, opened)
    }

    #[test]
    fn to_go_back_is_to_continue_from_the_last_state_before() {
        let (mut player, fleet, target, opened) = played(23);
        let member = fleet.member(target).unwrap();
        assert!(!player.repeats());
        assert!(matches!(player.ask(Ask::To(at(12)), member), Ok(Go::Restore(..))));
        assert_eq!(*opened.lock().unwrap(), [(Some(12), 10)], "a state is kept every five seconds");
        assert!(player.repeats() && player.cursor == at(10));
        assert!(matches!(player.ask(Ask::Back(Duration::from_secs(60)), member), Ok(Go::Restore(..))));
        assert_eq!(opened.lock().unwrap().last(), Some(&(Some(0), 0)), "no further than the begin");
        assert!(matches!(player.ask(Ask::Forward(Duration::from_secs(7)), member), Ok(Go::Wait)));
        assert_eq!(player.control.borrow().until, Some(at(7)));
        let five = Duration::from_secs(5);
        assert!(matches!(player.ask(Ask::Back(five), member), Ok(Go::Continue(_))), "from where it was to go");
        assert_eq!(opened.lock().unwrap().last(), Some(&(Some(2), 0)));
    }

    #[test]
    fn states_are_kept_within_bounds_however_long_a_recording_is() {
        let (mut player, fleet, target, opened) = played(20_000);
        assert!(player.kept.len() <= MOST && player.kept[0].taken == 0, "{}", player.kept.len());
        let distance = player.kept.windows(2).map(|it| it[1].taken - it[0].taken).max().unwrap();
        assert!(distance <= 20_000 / 16, "{distance}");
        assert!(matches!(player.ask(Ask::To(at(15_000)), fleet.member(target).unwrap()), Ok(Go::Restore(..))));
        let (until, skipped) = opened.lock().unwrap()[0];
        assert!(until == Some(15_000) && skipped <= 15_000 && skipped + distance >= 15_000, "{skipped}");
    }

    #[test]
    fn speed_pause_and_steps_are_asked_of_the_feed() {
        let (mut player, fleet, target, _) = played(3);
        let member = fleet.member(target).unwrap();
        for ask in [Ask::Faster, Ask::Toggle, Ask::Step, Ask::Step] {
            assert!(matches!(player.ask(ask, member), Ok(Go::Wait)));
        }
        let control = *player.control.borrow();
        assert_eq!(control, Control { speed: Speed::Factor(2.0), is_paused: true, steps: 2, until: None });
        assert!(player.playing().is_paused);
    }
}
