//! The spans that the present thread is inside of, as far as they are tasks, resources and operations.

use std::cell::RefCell;

use crate::clock::Moment;
use crate::store::Kind;
use crate::store::task::Entry;

thread_local! {
    static STACK: RefCell<Stack> = const { RefCell::new(Stack { entered: Vec::new(), left: None, borrowed: None, ended_part: None }) };
}

/// A span that was entered and not left.
#[derive(Debug, Clone, Copy)]
struct Entered {
    /// Whose span: a process may have several subscribers, whose spans have the same numbers.
    subscriber: usize,
    kind: Kind,
    id: u64,
}

/// The spans of a thread.
#[derive(Debug)]
struct Stack {
    entered: Vec<Entered>,
    /// The task that the thread left last and when, if it did nothing since.
    left: Option<(usize, u64, Moment)>,
    /// The lock that was acquired last by an operation whose guard is borrowed from it.
    borrowed: Option<(usize, u64)>,
    /// The operation of which a part has ended last, if it ended well.
    ended_part: Option<(usize, u64)>,
}

/// The innermost spans of each kind.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Innermost {
    pub(crate) task: Option<u64>,
    pub(crate) resource: Option<u64>,
    pub(crate) async_op: Option<u64>,
}

/// Calls `with` with the thread's stack, unless the thread is ending or is already inside such a call.
fn with_stack<T>(with: impl FnOnce(&mut Stack) -> T) -> Option<T> {
    STACK.try_with(|stack| stack.try_borrow_mut().ok().map(|mut stack| with(&mut stack))).ok().flatten()
}

/// Enters a span.
pub(crate) fn enter(subscriber: usize, kind: Kind, id: u64) {
    with_stack(|stack| {
        stack.left = None;
        stack.entered.push(Entered { subscriber, kind, id });
    });
}

/// How the span of a task is about to be entered.
pub(crate) fn entry(subscriber: usize, id: u64, now: Moment) -> Entry {
    let left = with_stack(|stack| stack.left).flatten();
    match left {
        Some((by, task, at)) if by == subscriber && task == id => Entry::after(now.since(at)),
        _ => Entry::Later,
    }
}

/// Leaves a span; says of which kind it is, if it was entered. Spans may be left in another order than they were entered.
pub(crate) fn leave(subscriber: usize, id: u64) -> Option<Kind> {
    with_stack(|stack| {
        let index = stack.entered.iter().rposition(|entered| entered.id == id && entered.subscriber == subscriber)?;
        Some(stack.entered.remove(index).kind)
    })
    .flatten()
}

/// Notes that the thread has just left a task.
pub(crate) fn left(subscriber: usize, id: u64, now: Moment) {
    with_stack(|stack| stack.left = Some((subscriber, id, now)));
}

/// Whether the thread is inside that span.
pub(crate) fn contains(subscriber: usize, id: u64) -> bool {
    with_stack(|stack| {
        stack.left = None;
        stack.entered.iter().any(|entered| entered.id == id && entered.subscriber == subscriber)
    })
    .unwrap_or(false)
}

/// The innermost spans that the thread is inside of.
pub(crate) fn innermost(subscriber: usize) -> Innermost {
    with_stack(|stack| {
        let mut innermost = Innermost::default();
        for entered in stack.entered.iter().rev().filter(|entered| entered.subscriber == subscriber) {
            let place = match entered.kind {
                Kind::Task => &mut innermost.task,
                Kind::Resource => &mut innermost.resource,
                Kind::AsyncOp => &mut innermost.async_op,
            };
            place.get_or_insert(entered.id);
        }
        innermost
    })
    .unwrap_or_default()
}

/// Notes that a guard that is borrowed from `lock` has been acquired.
pub(crate) fn borrowed(subscriber: usize, lock: u64) {
    with_stack(|stack| stack.borrowed = Some((subscriber, lock)));
}

/// Whether the last that was acquired is a guard that is borrowed from `lock`. Asked once for each.
pub(crate) fn take_borrowed(subscriber: usize, lock: u64) -> bool {
    with_stack(|stack| stack.borrowed.take() == Some((subscriber, lock))).unwrap_or(false)
}

/// Notes that a part of an operation was polled, and the operation if that ended well.
pub(crate) fn part_ended(subscriber: usize, op: Option<u64>) {
    with_stack(|stack| stack.ended_part = op.map(|op| (subscriber, op)));
}

/// Whether the last part that was polled is one of this operation, and ended well. Asked once for each.
pub(crate) fn take_ended_part(subscriber: usize, op: u64) -> bool {
    with_stack(|stack| stack.ended_part.take() == Some((subscriber, op))).unwrap_or(false)
}
