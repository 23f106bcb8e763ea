//! The state of a target as its updates add up, in the form of one update.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZero;
use std::time::Duration;

use foldhash::quality::RandomState;

use crate::wire::{Births, Builder, Dropped, Kind, Message, Raw};

/// How long an entity is kept after its end, by the target's clock.
const KEPT_AFTER_END: Duration = Duration::from_secs(60);
/// Counters get room for a multiple of this, in bytes: most of the time they fit in again when they have changed.
const ROOM: usize = 16;
/// What an entry of a map takes besides its bytes, about: its place in the map, and what the allocator adds to each of its texts.
const PLACE: usize = size_of::<(u64, Entity)>() * 3 / 2 + 32;

/// Everything a target has reported so far that is still true, without poll ops, as it came.
///
/// It grows with what lives in the target, plus what ended since [`Mirror::expire`] was called last and in the 60 s before that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirror {
    /// By the target's clock, in nanoseconds.
    now: Option<u64>,
    metadata: BTreeMap<u64, Box<[u8]>>,
    metadata_bytes: usize,
    tasks: Entities,
    resources: Entities,
    async_ops: Entities,
    dropped: Dropped,
    /// What the target said last of itself as a whole, beyond the protocol.
    facts: Vec<Box<[u8]>>,
    reconnected: bool,
}

impl Mirror {
    /// The feed has (re)connected: the next update may come from another process, or hold everything once more.
    pub fn reconnect(&mut self) {
        self.reconnected = true;
    }

    /// Adds what an update says. Returns how many events the target had to throw away before it.
    pub fn apply(&mut self, message: &Message) -> Dropped {
        let raw = Kind::ALL.map(|kind| message.raw(kind));
        let births = raw.each_ref().map(Raw::births);
        if std::mem::take(&mut self.reconnected) {
            let kinds = raw.iter().zip(&births).zip([&self.tasks, &self.resources, &self.async_ops]);
            let met = kinds.map(|((raw, births), entities)| entities.meet(raw, births));
            let met = met.fold(Met::default(), |sum, met| sum + met);
            if met.is_another_process() {
                *self = Self::default();
            } else if met.is_everything() {
                self.tasks = Entities::default();
                self.resources = Entities::default();
                self.async_ops = Entities::default();
            }
        }
        self.now = message.now().or(self.now);
        for (id, metadata) in message.raw_metadata() {
            let former = self.metadata.insert(id, metadata.into());
            let more = PLACE + metadata.len();
            self.metadata_bytes = self.metadata_bytes + more - former.map_or(0, |former| PLACE + former.len());
        }
        if message.process().is_some() {
            self.facts = message.raw_facts().map(Box::from).collect();
        }
        let [tasks, resources, async_ops] = raw.each_ref().map(|raw| raw.dropped);
        let dropped = Dropped { tasks, resources, async_ops };
        self.dropped = self.dropped.plus(dropped);
        let kinds = [&mut self.tasks, &mut self.resources, &mut self.async_ops].into_iter().zip(&raw).zip(&births);
        kinds.for_each(|((entities, raw), births)| entities.apply(raw, births));
        dropped
    }

    /// Forgets what ended more than 60 s ago. Costs what lives, so it is not done at every update.
    pub fn expire(&mut self) {
        self.expire_after(KEPT_AFTER_END);
    }

    /// Forgets what ended longer ago than this.
    pub(super) fn expire_after(&mut self, kept: Duration) {
        let Some(now) = self.now else { return };
        self.tasks.expire(now, kept);
        self.resources.expire(now, kept);
        self.async_ops.expire(now, kept);
    }

    /// Forgets that the target has thrown events away.
    pub(super) fn forget_dropped(&mut self) {
        self.dropped = Dropped::default();
    }

    /// The memory that it takes, in bytes, about.
    pub(super) fn bytes(&self) -> usize {
        self.metadata_bytes + self.each().map(|(_, entities)| entities.bytes).sum::<usize>()
    }

    /// Whether nothing was reported so far.
    pub(super) fn is_empty(&self) -> bool {
        self.now.is_none() && self.bytes() == 0
    }

    /// The state as the one update that a newly connecting client would get. Its counts of dropped events are those since the target
    /// started or was first seen.
    #[must_use]
    pub fn render(&self) -> Message {
        let mut builder = Builder::new(self.now);
        for (kind, entities) in self.each() {
            let (sorted, dropped) = (entities.sorted(), self.dropped.of(kind));
            let descriptions = sorted.iter().filter_map(|(_, entity)| entity.described.as_deref());
            let stats = sorted.iter().map(|(_, entity)| &*entity.stats).filter(|stats| !stats.is_empty());
            builder.part(kind, descriptions, stats, std::iter::empty(), dropped);
        }
        builder.metadata(self.metadata.values().map(|metadata| &**metadata));
        builder.facts(self.facts.iter().map(|fact| &**fact));
        builder.finish()
    }

    fn each(&self) -> impl Iterator<Item = (Kind, &Entities)> {
        [(Kind::Task, &self.tasks), (Kind::Resource, &self.resources), (Kind::AsyncOp, &self.async_ops)].into_iter()
    }
}

/// What an update and a mirror have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Met {
    known: usize,
    known_described_again: usize,
    unknown_described: usize,
}

impl Met {
    /// Nothing in the first update of a connection was known: what was known before is of a process that is gone.
    fn is_another_process(self) -> bool {
        self.known == 0 && self.known_described_again == 0 && self.unknown_described > 0
    }

    /// The first update of a connection tells everything once more: what it leaves out is gone. Otherwise it is an update like any
    /// other, as when a target was unable to send its state at once.
    fn is_everything(self) -> bool {
        self.known_described_again > 0
    }
}

impl std::ops::Add for Met {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            known: self.known + other.known,
            known_described_again: self.known_described_again + other.known_described_again,
            unknown_described: self.unknown_described + other.unknown_described,
        }
    }
}

/// All entities of one kind by their span id. Hashed with a seed of our own, so that hostile ids cost nothing special.
#[derive(Debug, Clone, Default, PartialEq)]
struct Entities {
    by_id: HashMap<u64, Entity, RandomState>,
    /// Ends and ids of what has ended.
    ended: BTreeSet<(u64, u64)>,
    /// The memory that they take, about.
    bytes: usize,
}

/// One of them, as it came; a target may tell its stats long before it describes it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Entity {
    described: Option<Box<[u8]>>,
    /// Empty before there are any.
    stats: Vec<u8>,
    /// Times of the target's clock, in nanoseconds.
    created: Option<NonZero<u64>>,
    dropped: Option<NonZero<u64>>,
}

impl Entities {
    fn apply(&mut self, raw: &Raw<'_>, births: &Births) {
        for (id, description) in &raw.new {
            self.change(*id, |entity| {
                // Span ids come back: this is another entity, and nothing of the former one holds.
                if !entity.is_same(Some(description), births.get(*id)) {
                    *entity = Entity::default();
                }
                entity.described = Some((*description).into());
            });
        }
        for stats in &raw.stats {
            self.change(stats.id, |entity| {
                if !entity.is_same(None, stats.created) {
                    *entity = Entity::default();
                }
                entity.stats.clear();
                entity.stats.reserve_exact(stats.entry.len().next_multiple_of(ROOM));
                entity.stats.extend_from_slice(stats.entry);
                entity.created = stats.created.and_then(NonZero::new);
                entity.dropped = stats.dropped.and_then(NonZero::new);
            });
        }
    }

    /// Changes an entity, or a new one.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Entity)) {
        let (entity, before) = match self.by_id.entry(id) {
            Entry::Occupied(known) => {
                let before = known.get().bytes();
                (known.into_mut(), before)
            }
            Entry::Vacant(place) => (place.insert(Entity::default()), 0),
        };
        let ended = entity.dropped;
        change(entity);
        self.bytes = self.bytes + entity.bytes() - before;
        if ended != entity.dropped {
            if let Some(at) = ended {
                self.ended.remove(&(at.get(), id));
            }
            self.ended.extend(entity.dropped.map(|at| (at.get(), id)));
        }
    }

    fn meet(&self, raw: &Raw<'_>, births: &Births) -> Met {
        let mut met = Met::default();
        for (id, description) in &raw.new {
            match self.by_id.get(id) {
                Some(entity) if entity.is_same(Some(description), births.get(*id)) => met.known_described_again += 1,
                _ => met.unknown_described += 1,
            }
        }
        let is_known = |id: u64, created| {
            self.by_id.get(&id).is_some_and(|entity| !entity.stats.is_empty() && entity.is_same(None, created))
        };
        met.known = raw.stats.iter().filter(|stats| is_known(stats.id, stats.created)).count();
        met
    }

    fn expire(&mut self, now: u64, kept: Duration) {
        let kept = u64::try_from(kept.as_nanos()).unwrap_or(u64::MAX);
        while let Some((_, id)) = self.ended.first().filter(|(ended, _)| now.saturating_sub(*ended) > kept).copied() {
            self.ended.pop_first();
            self.bytes -= self.by_id.remove(&id).map_or(0, |entity| entity.bytes());
        }
        if self.by_id.len() < self.by_id.capacity() / 4 {
            self.by_id.shrink_to(2 * self.by_id.len());
        }
    }

    /// All of them by id: equal states are equal messages.
    fn sorted(&self) -> Vec<(u64, &Entity)> {
        let mut sorted: Vec<_> = self.by_id.iter().map(|(id, entity)| (*id, entity)).collect();
        sorted.sort_unstable_by_key(|(id, _)| *id);
        sorted
    }
}

impl Entity {
    /// The memory that it takes, in bytes, about.
    fn bytes(&self) -> usize {
        PLACE + self.described.as_ref().map_or(0, |described| described.len()) + self.stats.len().next_multiple_of(ROOM)
    }

    /// Whether a description or stats under the same id are of the same entity: by its time of creation where that is known, by its
    /// description otherwise.
    fn is_same(&self, described: Option<&[u8]>, created: Option<u64>) -> bool {
        match (self.created, created) {
            (Some(was), Some(is)) => was.get() == is,
            _ => match (&self.described, described) {
                (Some(was), Some(is)) => **was == *is,
                _ => true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use console_api::instrument::Update;
    use console_api::{Id, tasks};
    use prost::Message as _;
    use prost_types::Timestamp;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 0 }
    }

    /// An update with one task: its name, whether it is introduced, and when it was created and dropped.
    fn update(now: i64, id: u64, name: Option<&str>, created: Option<i64>, dropped: Option<i64>) -> Message {
        let new_tasks = name
            .map(|name| tasks::Task {
                id: Some(Id { id }),
                location: Some(console_api::Location { file: Some(name.to_owned()), ..Default::default() }),
                ..Default::default()
            })
            .into_iter()
            .collect();
        let stats = created.map(|created| tasks::Stats {
            created_at: Some(at(created)),
            dropped_at: dropped.map(at),
            ..Default::default()
        });
        Message::from(&Update {
            now: Some(at(now)),
            task_update: Some(tasks::TaskUpdate {
                new_tasks,
                stats_update: stats.map(|stats| (id, stats)).into_iter().collect(),
                dropped_events: 1,
            }),
            ..Default::default()
        })
    }

    /// Id, name and time of creation of all tasks.
    fn tasks_of(mirror: &Mirror) -> Vec<(u64, Option<String>, Option<i64>)> {
        let name = |task: &[u8]| tasks::Task::decode(task).unwrap().location.and_then(|it| it.file);
        let created = |at: u64| i64::try_from(at / 1_000_000_000).unwrap();
        let tasks = mirror.tasks.sorted().into_iter();
        tasks
            .map(|(id, it)| (id, it.described.as_deref().and_then(name), it.created.map(|at| created(at.get()))))
            .collect()
    }

    fn mirror(updates: impl IntoIterator<Item = Message>) -> Mirror {
        let mut mirror = Mirror::default();
        for update in updates {
            mirror.apply(&update);
        }
        mirror
    }

    #[test]
    fn a_reused_id_is_another_task() {
        let former = || update(1, 7, Some("former"), Some(1), None);
        for (what, next, expected) in [
            ("stats of the same", update(2, 7, None, Some(1), Some(2)), (Some("former"), Some(1))),
            ("reported again", update(2, 7, Some("former"), Some(1), None), (Some("former"), Some(1))),
            ("another", update(2, 7, Some("latter"), Some(2), None), (Some("latter"), Some(2))),
            ("another of the same kind", update(2, 7, Some("former"), Some(2), None), (Some("former"), Some(2))),
            ("another, not described yet", update(2, 7, None, Some(2), None), (None, Some(2))),
            ("another, no stats yet", update(2, 7, Some("latter"), None, None), (Some("latter"), None)),
        ] {
            let (name, created) = expected;
            let mirror = mirror([former(), next]);
            assert_eq!(tasks_of(&mirror), [(7, name.map(str::to_owned), created)], "{what}");
        }
    }

    #[test]
    fn stats_may_come_before_the_description() {
        let mirror = mirror([update(1, 7, None, Some(1), None), update(2, 7, Some("late"), None, None)]);
        assert_eq!(tasks_of(&mirror), [(7, Some("late".to_owned()), Some(1))]);
    }

    #[test]
    fn what_ended_is_forgotten_a_minute_later() {
        let mut mirror =
            mirror([update(10, 7, Some("ended"), Some(1), Some(10)), update(10, 8, Some("lives"), Some(1), None)]);
        mirror.apply(&update(70, 8, None, Some(1), None));
        mirror.expire();
        assert_eq!(tasks_of(&mirror).len(), 2);
        mirror.apply(&update(71, 8, None, Some(1), None));
        mirror.expire();
        assert_eq!(tasks_of(&mirror), [(8, Some("lives".to_owned()), Some(1))]);
    }

    #[test]
    fn a_restart_forgets_everything_and_a_reconnect_only_what_is_gone() {
        let before = || {
            let mut mirror = mirror([update(1, 7, Some("a"), Some(1), None), update(1, 8, Some("b"), Some(1), None)]);
            mirror.reconnect();
            mirror
        };
        let ids = |mirror: &Mirror| tasks_of(mirror).into_iter().map(|(id, ..)| id).collect::<Vec<_>>();

        let mut restarted = before();
        restarted.apply(&update(9, 7, Some("a"), Some(9), None));
        assert_eq!((ids(&restarted), restarted.dropped.tasks), (vec![7], 1));

        let mut reported_again = before();
        reported_again.apply(&update(9, 7, Some("a"), Some(1), None));
        assert_eq!((ids(&reported_again), reported_again.dropped.tasks), (vec![7], 3));

        let mut without_state = before();
        without_state.apply(&update(9, 7, None, Some(1), None));
        assert_eq!(ids(&without_state), [7, 8]);
        // Only the first update of a connection is special.
        without_state.apply(&update(10, 9, Some("c"), Some(10), None));
        assert_eq!(ids(&without_state), [7, 8, 9]);
    }

    #[test]
    fn the_rendered_state_gives_an_equal_mirror() {
        let mut original = mirror((0..50).map(|n| update(n, n.unsigned_abs() % 20, Some("task"), Some(n), None)));
        original.apply(&update(51, 99, None, Some(3), None));
        let copy = mirror([original.render()]);
        assert_eq!(copy, original);
    }
}
