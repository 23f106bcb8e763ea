//! The one loop: owns feeds, diagnoses and the wanted details, and yields whatever happens, step by step.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::task::{Context, Poll};

use super::exit::sentence;
use super::player::{Go, Player, Seen};
use crate::diagnosis::{Arrived, Diagnosis};
use crate::feed::Feed;
use crate::fleet::{Fleet, Step, TargetId};
use crate::playing::Ask;
use crate::report::TaskKey;

/// What is said of a target that cannot be asked to pause or seek.
const NOT_PLAYED: &str =
    "Only a recording that is played in the terminal can be paused or rewound; this target is live.";

/// The targets of a run and their feeds.
#[derive(Debug, Default)]
pub(super) struct Watch {
    fleet: Fleet,
    sources: BTreeMap<TargetId, Source>,
    /// Recordings under control, also those that have ended.
    players: BTreeMap<TargetId, Player>,
    /// Whether the last step is a repetition, because the recording was rewound.
    is_repeated: bool,
    /// What was caused by us, and not yet taken.
    upcoming: VecDeque<Upcoming>,
    /// The target whose event was taken last: the others go first.
    last: Option<TargetId>,
}

/// What comes before anything that a feed delivers.
#[derive(Debug)]
enum Upcoming {
    /// This step.
    Step(Step),
    /// What a target delivered last.
    Arrived(TargetId, Box<Arrived>),
    /// A target goes. Until then it is there, so that what was found last can be said.
    Leave(TargetId),
}

/// Where the events of a target come from.
#[derive(Debug)]
struct Source {
    feed: Feed,
    /// The task of it that somebody looks at.
    open_task: Option<TaskKey>,
}

impl Watch {
    /// Watches a target from now on.
    pub(super) fn open(&mut self, diagnosis: Diagnosis, feed: Feed) -> TargetId {
        let target = self.fleet.join(diagnosis);
        self.sources.insert(target, Source { feed, open_task: None });
        self.upcoming.push_back(Upcoming::Step(Step::Joined(target)));
        target
    }

    /// Plays a recording under control from now on.
    pub(super) fn play(&mut self, diagnosis: Diagnosis, feed: Feed, mut player: Player) -> TargetId {
        let target = self.open(diagnosis, feed);
        self.fleet.play(target, player.playing());
        if let Some(member) = self.fleet.member(target) {
            player.keep_first(member);
        }
        self.players.insert(target, player);
        target
    }

    /// Does with a recording what somebody asks for. Returns a sentence if it cannot.
    pub(super) fn ask(&mut self, target: TargetId, ask: Ask) -> Option<String> {
        let (Some(player), Some(member)) = (self.players.get_mut(&target), self.fleet.member(target)) else {
            return Some(NOT_PLAYED.to_owned());
        };
        let go = player.ask(ask, member);
        self.fleet.play(target, player.playing());
        self.go(target, go)
    }

    /// Whether what happened last had happened before, so that whoever was told of it knows it.
    pub(super) fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// Says how large the recording of the run is, and returns whether that is news.
    pub(super) fn note_recorded(&mut self, bytes: u64) -> bool {
        // It has one target.
        let first = self.fleet.members().next().map(|member| member.id());
        first.is_some_and(|target| self.fleet.note_recorded(target, bytes))
    }

    fn go(&mut self, target: TargetId, go: anyhow::Result<Go>) -> Option<String> {
        let feed = match go {
            Ok(Go::Wait) => return None,
            Ok(Go::Continue(feed)) => feed,
            Ok(Go::Restore(member, feed)) => {
                self.fleet.restore(&member);
                feed
            }
            Err(error) => return Some(sentence(&error)),
        };
        let open_task = self.sources.get(&target).and_then(|source| source.open_task);
        self.sources.insert(target, Source { feed, open_task });
        None
    }

    /// Stops the feed of a target. What is known of it stays.
    pub(super) fn close(&mut self, target: TargetId) {
        if self.sources.remove(&target).is_some() {
            self.upcoming.push_back(Upcoming::Step(Step::Closed(target)));
        }
    }

    /// Stops the feed of a target that is gone, and lets it go once what it has delivered is taken in.
    pub(super) fn leave(&mut self, target: TargetId) {
        self.players.remove(&target);
        if let Some(mut source) = self.sources.remove(&target) {
            let last = std::iter::from_fn(|| source.feed.events.try_recv().ok());
            self.upcoming.extend(last.map(|arrived| Upcoming::Arrived(target, Box::new(arrived))));
            self.upcoming.push_back(Upcoming::Leave(target));
        }
    }

    /// Stops the feed of a target whose program has ended. What is known of it stays.
    pub(super) fn exit(&mut self, target: TargetId) {
        if self.sources.remove(&target).is_some() {
            let ended = self.fleet.exit(target);
            self.upcoming.extend([ended, Step::Closed(target)].map(Upcoming::Step));
        }
    }

    /// The targets and what is known of them.
    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Whether more may come from a target.
    pub(super) fn is_watched(&self, target: TargetId) -> bool {
        self.sources.contains_key(&target)
    }

    /// Whether nothing happens unless a target is added.
    pub(super) fn is_idle(&self) -> bool {
        self.upcoming.is_empty() && self.sources.is_empty()
    }

    /// The next thing that happens; none when all feeds have ended. Nothing is lost if this is dropped before.
    pub(super) async fn next(&mut self) -> Option<Step> {
        while let Some(upcoming) = self.upcoming.pop_front() {
            match upcoming {
                Upcoming::Step(step) => return Some(step),
                Upcoming::Arrived(target, arrived) => return Some(self.fleet.apply(target, *arrived)),
                Upcoming::Leave(target) => {
                    if let Some(member) = self.fleet.leave(target) {
                        return Some(Step::Left(Box::new(member)));
                    }
                }
            }
        }
        if self.sources.is_empty() {
            return None;
        }
        let (target, arrived) = poll_fn(|context| self.poll_sources(context)).await;
        self.last = Some(target);
        let Some(arrived) = arrived else {
            self.sources.remove(&target);
            return Some(Step::Closed(target));
        };
        let seen = Seen::of(&arrived);
        let step = self.fleet.apply(target, arrived);
        self.follow(target, &seen, &step);
        self.want_details(target);
        Some(step)
    }

    /// Lets the player of a target take in a step.
    fn follow(&mut self, target: TargetId, seen: &Seen, step: &Step) {
        let player = self.players.get_mut(&target);
        self.is_repeated = player.as_ref().is_some_and(|player| player.repeats());
        if let (Some(player), Some(member), Step::Arrived { changes, .. }) = (player, self.fleet.member(target), step) {
            let go = player.take(seen, changes, member);
            if let Some(sentence) = self.go(target, go) {
                tracing::warn!(sentence, "a recording cannot be read any more");
            }
        }
    }

    /// Says which task of a target somebody looks at, so that its details are worth having.
    pub(super) fn look_at(&mut self, target: TargetId, task: Option<TaskKey>) {
        if let Some(source) = self.sources.get_mut(&target)
            && source.open_task != task
        {
            source.open_task = task;
            self.want_details(target);
        }
    }

    /// What the first target delivers that has something, none if it has ended; they take turns.
    fn poll_sources(&mut self, context: &mut Context<'_>) -> Poll<(TargetId, Option<Arrived>)> {
        let turn = |target: &TargetId| (Some(*target) <= self.last, *target);
        let mut targets: Vec<TargetId> = self.sources.keys().copied().collect();
        targets.sort_by_key(turn);
        for target in targets {
            let Some(source) = self.sources.get_mut(&target) else { continue };
            if let Poll::Ready(arrived) = source.feed.events.poll_recv(context) {
                return Poll::Ready((target, arrived));
            }
        }
        Poll::Pending
    }

    /// Tells the feed of a target which details are wanted: those of suspects, and of the task that somebody looks at.
    fn want_details(&mut self, target: TargetId) {
        let (Some(source), Some(member)) = (self.sources.get(&target), self.fleet.member(target)) else { return };
        let diagnosis = member.diagnosis();
        let mut tasks = diagnosis.wanted_details();
        tasks.extend(source.open_task.and_then(|key| diagnosis.span_of(key)));
        source.feed.wanted.send_if_modified(|wanted| {
            let changed = *wanted != tasks;
            *wanted = tasks;
            changed
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use console_api::{Id, instrument, tasks};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::detect::settings::Settings;
    use crate::diagnosis::Wanted;
    use crate::feed::{Ended, FeedEvent, Status, Update};
    use crate::model::DEFAULT_RETENTION;

    /// The far end of a feed.
    struct Far {
        events: mpsc::Sender<Arrived>,
        wanted: watch::Receiver<Wanted>,
    }

    impl Far {
        fn send(&self, event: FeedEvent) {
            self.events.try_send(Arrived { at: SystemTime::UNIX_EPOCH, event }).expect("there is room");
        }
    }

    fn open(watch: &mut Watch) -> (TargetId, Far) {
        let ((events, receiver), (sender, wanted)) = (mpsc::channel(64), watch::channel(Wanted::new()));
        let diagnosis = Diagnosis::new("test".to_owned(), Settings::default(), DEFAULT_RETENTION);
        let target = watch.open(diagnosis, Feed { events: receiver, wanted: sender });
        (target, Far { events, wanted })
    }

    /// The target of a step and what it is.
    async fn next(watch: &mut Watch) -> Option<(TargetId, &'static str)> {
        Some(match watch.next().await? {
            Step::Joined(target) => (target, "joined"),
            Step::Arrived { target, .. } => (target, "arrived"),
            Step::Closed(target) => (target, "closed"),
            Step::Left(member) => (member.id(), "left"),
        })
    }

    #[tokio::test]
    async fn targets_take_turns_and_the_end_comes_when_all_have_ended() {
        let mut watch = Watch::default();
        let ((one, far), (other, other_far)) = (open(&mut watch), open(&mut watch));
        for _ in 0..2 {
            far.send(FeedEvent::Ended(Ended::Complete));
            other_far.send(FeedEvent::Ended(Ended::Complete));
        }
        drop((far, other_far));
        let mut steps = Vec::new();
        while let Some(step) = next(&mut watch).await {
            steps.push(step);
        }
        let both = |word| [(one, word), (other, word)];
        assert_eq!(steps, [both("joined"), both("arrived"), both("arrived"), both("closed")].concat());
        assert_eq!(watch.fleet().members().len(), 2, "what is known of them stays");
    }

    #[tokio::test]
    async fn a_target_that_is_closed_delivers_nothing_more() {
        let mut watch = Watch::default();
        let (target, far) = open(&mut watch);
        far.send(FeedEvent::Ended(Ended::Complete));
        assert_eq!(next(&mut watch).await, Some((target, "joined")));
        watch.close(target);
        assert!(far.events.is_closed(), "its feed is dropped");
        assert_eq!(next(&mut watch).await, Some((target, "closed")));
        assert_eq!(next(&mut watch).await, None);
    }

    #[tokio::test]
    async fn a_target_that_leaves_is_there_until_its_last_word_was_taken() {
        let mut watch = Watch::default();
        let ((target, far), (other, _other_far)) = (open(&mut watch), open(&mut watch));
        far.send(FeedEvent::Status(Status::Live));
        far.send(FeedEvent::Quiet(Duration::from_secs(6)));
        watch.leave(target);
        assert!(far.events.is_closed(), "its feed is dropped");
        for expected in ["joined", "joined", "arrived"] {
            assert_eq!(next(&mut watch).await.map(|(_, word)| word), Some(expected));
        }
        let Some(Step::Arrived { changes, .. }) = watch.next().await else { panic!("it was silent") };
        assert!(!changes.is_empty() && watch.fleet().member(target).is_some(), "what was found last can be said");
        let Some(Step::Left(member)) = watch.next().await else { panic!("it leaves") };
        assert_eq!((member.id(), member.diagnosis().findings().len()), (target, 1));
        assert_eq!(watch.fleet().members().map(|it| it.id()).collect::<Vec<_>>(), [other]);
        watch.leave(target);
        watch.close(target);
        watch.leave(other);
        assert_eq!(next(&mut watch).await, Some((other, "left")));
        assert!(watch.is_idle() && next(&mut watch).await.is_none());
    }

    #[tokio::test]
    async fn the_task_that_somebody_looks_at_is_wanted_for_as_long() {
        let mut watch = Watch::default();
        let (target, far) = open(&mut watch);
        let task = tasks::Task { id: Some(Id { id: 7 }), ..tasks::Task::default() };
        let part = tasks::TaskUpdate { new_tasks: vec![task], ..tasks::TaskUpdate::default() };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let message =
            instrument::Update { now: Some(now.into()), task_update: Some(part), ..instrument::Update::default() };
        far.send(FeedEvent::Update(Box::new(Update::from(message))));
        next(&mut watch).await;
        next(&mut watch).await;
        let key = watch.fleet().member(target).and_then(|it| it.diagnosis().model().tasks().next()).map(|(key, _)| key);
        assert!(key.is_some() && far.wanted.borrow().is_empty());
        watch.look_at(target, key);
        assert_eq!(*far.wanted.borrow(), Wanted::from([7]));
        watch.look_at(target, None);
        assert!(far.wanted.borrow().is_empty());
    }
}
