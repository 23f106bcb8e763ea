//! The state of a target as its updates add up, in the form of one update.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use console_api::instrument::Update;
use console_api::register_metadata::NewMetadata;
use console_api::{Id, MetaId, Metadata, RegisterMetadata, async_ops, resources, tasks};
use prost_types::Timestamp;

/// How long an entity is kept after its end, by the target's clock.
const KEPT_AFTER_END: Duration = Duration::from_secs(60);

/// Everything a target has reported so far that is still true, without poll ops.
///
/// It grows with what lives in the target, plus what ended since [`Mirror::expire`] was called last and in the 60 s before that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirror {
    now: Option<Timestamp>,
    metadata: BTreeMap<u64, Metadata>,
    tasks: Entities<tasks::Task, tasks::Stats>,
    resources: Entities<resources::Resource, resources::Stats>,
    async_ops: Entities<async_ops::AsyncOp, async_ops::Stats>,
    dropped_tasks: u64,
    dropped_resources: u64,
    dropped_async_ops: u64,
    reconnected: bool,
}

impl Mirror {
    /// The feed has (re)connected: the next update may come from another process, or hold everything once more.
    pub fn reconnect(&mut self) {
        self.reconnected = true;
    }

    /// Adds what an update says.
    pub fn apply(&mut self, update: Update) {
        let Update { now, task_update, resource_update, async_op_update, new_metadata } = update;
        let tasks = task_update.unwrap_or_default();
        let resources = resource_update.unwrap_or_default();
        let ops = async_op_update.unwrap_or_default();
        if std::mem::take(&mut self.reconnected) {
            let met = self.tasks.meet(&tasks.new_tasks, &tasks.stats_update)
                + self.resources.meet(&resources.new_resources, &resources.stats_update)
                + self.async_ops.meet(&ops.new_async_ops, &ops.stats_update);
            if met.is_another_process() {
                *self = Self::default();
            } else if met.is_everything() {
                self.tasks = Entities::default();
                self.resources = Entities::default();
                self.async_ops = Entities::default();
            }
        }
        self.now = now.or(self.now);
        for NewMetadata { id, metadata } in new_metadata.unwrap_or_default().metadata {
            if let (Some(MetaId { id }), Some(metadata)) = (id, metadata) {
                self.metadata.insert(id, metadata);
            }
        }
        self.dropped_tasks = self.dropped_tasks.saturating_add(tasks.dropped_events);
        self.dropped_resources = self.dropped_resources.saturating_add(resources.dropped_events);
        self.dropped_async_ops = self.dropped_async_ops.saturating_add(ops.dropped_events);
        self.tasks.apply(tasks.new_tasks, tasks.stats_update);
        self.resources.apply(resources.new_resources, resources.stats_update);
        self.async_ops.apply(ops.new_async_ops, ops.stats_update);
    }

    /// Forgets what ended more than 60 s ago. Costs what lives, so it is not done at every update.
    pub fn expire(&mut self) {
        let Some(now) = &self.now else { return };
        self.tasks.expire(now);
        self.resources.expire(now);
        self.async_ops.expire(now);
    }

    /// The state as the one update that a newly connecting client would get. Its counts of dropped events are those since the target
    /// started or was first seen.
    #[must_use]
    pub fn render(&self) -> Update {
        let metadata = self
            .metadata
            .iter()
            .map(|(id, metadata)| NewMetadata { id: Some(MetaId { id: *id }), metadata: Some(metadata.clone()) })
            .collect();
        Update {
            now: self.now,
            task_update: Some(tasks::TaskUpdate {
                new_tasks: self.tasks.descriptions(),
                stats_update: self.tasks.stats(),
                dropped_events: self.dropped_tasks,
            }),
            resource_update: Some(resources::ResourceUpdate {
                new_resources: self.resources.descriptions(),
                stats_update: self.resources.stats(),
                new_poll_ops: Vec::new(),
                dropped_events: self.dropped_resources,
            }),
            async_op_update: Some(async_ops::AsyncOpUpdate {
                new_async_ops: self.async_ops.descriptions(),
                stats_update: self.async_ops.stats(),
                dropped_events: self.dropped_async_ops,
            }),
            new_metadata: Some(RegisterMetadata { metadata }),
        }
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

/// All entities of one kind by their span id. Ordered, so that equal states are equal messages and hostile ids cost nothing special.
#[derive(Debug, Clone, PartialEq)]
struct Entities<D, S>(BTreeMap<u64, Entity<D, S>>);

/// One of them; a target may tell its stats long before it describes it.
#[derive(Debug, Clone, PartialEq)]
struct Entity<D, S> {
    described: Option<D>,
    stats: Option<S>,
}

impl<D, S> Default for Entities<D, S> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<D: Described, S: Lived> Entities<D, S> {
    fn apply(&mut self, described: Vec<D>, stats: HashMap<u64, S>) {
        for description in described {
            let Some(Id { id }) = description.id() else {
                continue;
            };
            match self.0.get_mut(&id) {
                Some(entity) if entity.is_same(Some(&description), stats.get(&id)) => {
                    entity.described = Some(description);
                }
                // Span ids come back: this is another entity, and nothing of the former one holds.
                _ => {
                    self.0.insert(id, Entity { described: Some(description), stats: None });
                }
            }
        }
        for (id, stats) in stats {
            match self.0.get_mut(&id) {
                Some(entity) if entity.is_same(None, Some(&stats)) => entity.stats = Some(stats),
                _ => {
                    self.0.insert(id, Entity { described: None, stats: Some(stats) });
                }
            }
        }
    }

    fn meet(&self, described: &[D], stats: &HashMap<u64, S>) -> Met {
        let mut met = Met::default();
        for description in described {
            let Some(Id { id }) = description.id() else {
                continue;
            };
            match self.0.get(&id) {
                Some(entity) if entity.is_same(Some(description), stats.get(&id)) => met.known_described_again += 1,
                _ => met.unknown_described += 1,
            }
        }
        let is_known = |(id, stats): &(&u64, &S)| {
            self.0.get(id).is_some_and(|it| it.stats.is_some() && it.is_same(None, Some(stats)))
        };
        met.known = stats.iter().filter(is_known).count();
        met
    }

    fn expire(&mut self, now: &Timestamp) {
        self.0.retain(|_, entity| {
            let ended = entity.stats.as_ref().and_then(S::dropped_at);
            ended.is_none_or(|ended| (nanos(now) - nanos(ended)).max(0).unsigned_abs() <= KEPT_AFTER_END.as_nanos())
        });
    }

    fn descriptions(&self) -> Vec<D> {
        self.0.values().filter_map(|entity| entity.described.clone()).collect()
    }

    fn stats(&self) -> HashMap<u64, S> {
        self.0.iter().filter_map(|(id, entity)| Some((*id, entity.stats.clone()?))).collect()
    }
}

impl<D: Described, S: Lived> Entity<D, S> {
    /// Whether a description or stats under the same id are of the same entity: by its time of creation where that is known, by its
    /// description otherwise.
    fn is_same(&self, described: Option<&D>, stats: Option<&S>) -> bool {
        let was_created = self.stats.as_ref().and_then(S::created_at);
        match (was_created, stats.and_then(S::created_at)) {
            (Some(was), Some(is)) => was == is,
            _ => match (&self.described, described) {
                (Some(was), Some(is)) => was == is,
                _ => true,
            },
        }
    }
}

/// The part of an entity that never changes.
trait Described: Clone + PartialEq {
    fn id(&self) -> Option<Id>;
}

/// The part of an entity that changes.
trait Lived: Clone {
    fn created_at(&self) -> Option<&Timestamp>;
    fn dropped_at(&self) -> Option<&Timestamp>;
}

macro_rules! entity {
    ($described:ty, $stats:ty) => {
        impl Described for $described {
            fn id(&self) -> Option<Id> {
                self.id
            }
        }

        impl Lived for $stats {
            fn created_at(&self) -> Option<&Timestamp> {
                self.created_at.as_ref()
            }

            fn dropped_at(&self) -> Option<&Timestamp> {
                self.dropped_at.as_ref()
            }
        }
    };
}

entity!(tasks::Task, tasks::Stats);
entity!(resources::Resource, resources::Stats);
entity!(async_ops::AsyncOp, async_ops::Stats);

/// Nanoseconds since the epoch; wide enough for every value that the wire can carry.
fn nanos(at: &Timestamp) -> i128 {
    i128::from(at.seconds) * 1_000_000_000 + i128::from(at.nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp { seconds, nanos: 0 }
    }

    /// An update with one task: its name, whether it is introduced, and when it was created and dropped.
    fn update(now: i64, id: u64, name: Option<&str>, created: Option<i64>, dropped: Option<i64>) -> Update {
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
        Update {
            now: Some(at(now)),
            task_update: Some(tasks::TaskUpdate {
                new_tasks,
                stats_update: stats.map(|stats| (id, stats)).into_iter().collect(),
                dropped_events: 1,
            }),
            ..Default::default()
        }
    }

    /// Id, name and time of creation of all tasks.
    fn tasks_of(mirror: &Mirror) -> Vec<(u64, Option<String>, Option<i64>)> {
        let name = |task: &tasks::Task| task.location.as_ref().and_then(|it| it.file.clone());
        let created = |stats: &tasks::Stats| stats.created_at.as_ref().map(|it| it.seconds);
        let tasks = mirror.tasks.0.iter();
        tasks.map(|(id, it)| (*id, it.described.as_ref().and_then(name), it.stats.as_ref().and_then(created))).collect()
    }

    fn mirror(updates: impl IntoIterator<Item = Update>) -> Mirror {
        let mut mirror = Mirror::default();
        updates.into_iter().for_each(|update| mirror.apply(update));
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
        mirror.apply(update(70, 8, None, Some(1), None));
        mirror.expire();
        assert_eq!(tasks_of(&mirror).len(), 2);
        mirror.apply(update(71, 8, None, Some(1), None));
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
        restarted.apply(update(9, 7, Some("a"), Some(9), None));
        assert_eq!((ids(&restarted), restarted.dropped_tasks), (vec![7], 1));

        let mut reported_again = before();
        reported_again.apply(update(9, 7, Some("a"), Some(1), None));
        assert_eq!((ids(&reported_again), reported_again.dropped_tasks), (vec![7], 3));

        let mut without_state = before();
        without_state.apply(update(9, 7, None, Some(1), None));
        assert_eq!(ids(&without_state), [7, 8]);
        // Only the first update of a connection is special.
        without_state.apply(update(10, 9, Some("c"), Some(10), None));
        assert_eq!(ids(&without_state), [7, 8, 9]);
    }

    #[test]
    fn the_rendered_state_gives_an_equal_mirror() {
        let mut original = mirror((0..50).map(|n| update(n, n.unsigned_abs() % 20, Some("task"), Some(n), None)));
        original.apply(update(51, 99, None, Some(3), None));
        let copy = mirror([original.render()]);
        assert_eq!(copy, original);
    }
}
