//! Async ops on a resource as rows of a list.

use std::time::Duration;

use super::columns::{Column, Kind, Spec, Value, column};
use super::order::{Rows, Wanted, sorted};
use super::snapshot::Snapshot;
use crate::detect::describe;
use crate::model::entity::async_op::AsyncOp;
use crate::model::{OpKey, ResourceKey, TaskKey};

/// A column of a list of async ops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpColumn {
    /// Its number.
    Id,
    /// The op that it is part of.
    Parent,
    /// Whether it waits.
    State,
    /// The task that polls it.
    Task,
    /// The call that made it.
    Source,
    /// Time since it was made.
    Total,
    /// Time inside its polls.
    Busy,
    /// The rest.
    Idle,
    /// How often it was polled.
    Polls,
    /// Permits that it has got, of those that it asked for.
    Permits,
}

impl Column for OpColumn {
    const SPECS: &'static [Spec<Self>] = &[
        column(Self::Id, "id", "id", Kind::Id, "number of the op"),
        column(Self::Parent, "parent", "parent", Kind::Id, "number of the op that it is part of"),
        column(Self::State, "state", "state", Kind::Text, "waiting or acquired"),
        column(Self::Task, "task", "task", Kind::Text, "task that polls it"),
        column(Self::Source, "source", "source", Kind::Text, "call that made it"),
        column(Self::Total, "total", "age", Kind::Time, "time since the call"),
        column(Self::Busy, "busy", "busy", Kind::Time, "time inside its polls"),
        column(Self::Idle, "idle", "idle", Kind::Time, "time between its polls"),
        column(Self::Polls, "polls", "polls", Kind::Count, "number of polls"),
        column(Self::Permits, "attributes", "attributes", Kind::Text, "permits obtained of those requested"),
    ];
}

impl Snapshot<'_> {
    /// The ops on a resource that are wanted.
    pub fn ops(&self, resource: ResourceKey, wanted: &Wanted<'_, OpColumn>) -> Rows<OpKey> {
        let ops = self.evidence.resource(resource).map(|it| it.ops.as_slice()).unwrap_or_default();
        let (mut rows, mut waiting) = (Vec::new(), 0);
        for (key, op) in ops.iter().filter_map(|key| Some((*key, self.evidence.op(*key)?))) {
            if !wanted.query.is_empty() && !wanted.query.accepts(|column| self.value_of_op(key, op, column)) {
                continue;
            }
            waiting += usize::from(self.evidence.is_waiting(key));
            rows.push((self.value_of_op(key, op, wanted.order.by), op.stats.created, key));
        }
        let tally = if rows.is_empty() { Vec::new() } else { vec![(waiting, "waiting")] };
        Rows { keys: sorted(rows, wanted.order.descending), hidden: 0, tally }
    }

    /// What a list shows of an op in a column; nothing if it was forgotten.
    pub fn op_value(&self, key: OpKey, column: OpColumn) -> Value<'_> {
        self.evidence.model().op(key).map_or(Value::Nothing, |op| self.value_of_op(key, op, column))
    }

    /// The task that polls an op, if it is known and kept.
    pub fn task_of_op(&self, key: OpKey) -> Option<TaskKey> {
        self.evidence.op(key)?.task.filter(|task| self.evidence.task(*task).is_some())
    }

    fn value_of_op<'a>(&'a self, key: OpKey, op: &'a AsyncOp, column: OpColumn) -> Value<'a> {
        let poll = &op.stats.poll;
        match column {
            OpColumn::Id => Value::Number(key.number().into()),
            OpColumn::Parent => op.parent.map_or(Value::Nothing, |parent| Value::Number(parent.number().into())),
            OpColumn::State if self.evidence.is_waiting(key) => Value::Ranked(1, "waiting".into()),
            OpColumn::State if op.is_alive() => Value::Ranked(0, "acquired".into()),
            OpColumn::State => Value::Ranked(0, "done".into()),
            OpColumn::Task => {
                let task = op.task.and_then(|task| self.evidence.task(task));
                task.map_or(Value::Nothing, |task| Value::Text(describe::task(&self.evidence, task).into()))
            }
            OpColumn::Source => Value::text(&op.source),
            OpColumn::Total => Value::time(Some(self.age_of_op(op))),
            OpColumn::Busy => Value::time(Some(poll.busy)),
            OpColumn::Idle => Value::time(Some(self.age_of_op(op).saturating_sub(poll.busy))),
            OpColumn::Polls => Value::Number(poll.polls.into()),
            OpColumn::Permits => match (op.stats.obtained, op.stats.requested) {
                (Some(obtained), Some(requested)) => Value::Text(format!("{obtained} of {requested} permits").into()),
                _ => Value::Nothing,
            },
        }
    }

    fn age_of_op(&self, op: &AsyncOp) -> Duration {
        let end = op.stats.dropped.unwrap_or(self.now());
        end.since(self.evidence.waiting_since(op))
    }
}
