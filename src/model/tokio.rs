//! Every string by which Tokio, and our own instrumented channels, name things in the feed, decoded once.
//!
//! Checked against Tokio 1.54 (`src/util/trace.rs`, `src/sync/*.rs`, `src/time/*.rs`); Tokio 1.40 and 1.42 name the same things alike.

use super::location::Location;

/// Fields of a task's span (`src/util/trace.rs`).
pub mod field {
    /// What kind of task it is.
    pub const KIND: &str = "kind";
    /// The name that its program has given it.
    pub const NAME: &str = "task.name";
    /// The number by which its own process knows it.
    pub const ID: &str = "task.id";
    /// Bytes of its future, as it is stored.
    pub const SIZE: &str = "size.bytes";
    /// Bytes of its future before it was boxed.
    pub const ORIGINAL_SIZE: &str = "original_size.bytes";
    /// The type of the function of a blocking job.
    pub const FUNCTION: &str = "fn";
}

/// Attributes of resources and async ops. The last group comes from `tokio-canary-channels`, and any library may report the same.
pub mod attribute {
    /// Permits of a semaphore that are free.
    pub const PERMITS: &str = "permits";
    /// Permits that an async op asked for.
    pub const REQUESTED: &str = "permits_requested";
    /// Permits that an async op has got so far.
    pub const OBTAINED: &str = "permits_obtained";
    /// Readers that an `RwLock` admits at most.
    pub const MAX_READERS: &str = "max_readers";
    /// Milliseconds that a `Sleep` was set to.
    pub const DURATION: &str = "duration";
    /// Parties of a `Barrier`.
    pub const SIZE: &str = "size";
    /// Parties that have ever arrived at a `Barrier`.
    pub const ARRIVED: &str = "arrived";

    /// What its program calls a resource.
    pub const NAME: &str = "name";
    /// Entries of a queue.
    pub const DEPTH: &str = "depth";
    /// The same, as other libraries call it.
    pub const LEN: &str = "len";
    /// Entries that fit into a queue.
    pub const CAPACITY: &str = "capacity";
    /// Messages ever sent.
    pub const SENT: &str = "sent";
    /// Messages ever received.
    pub const RECEIVED: &str = "received";
    /// Messages by which the slowest receiver of a broadcast is behind.
    pub const LAG: &str = "lag";
    /// Messages that receivers of a broadcast have ever missed.
    pub const MISSED: &str = "missed";
    /// Receivers of a broadcast.
    pub const RECEIVERS: &str = "receivers";
    /// Bytes of one message, heap data not counted.
    pub const MESSAGE_SIZE: &str = "message_size";

    /// Every attribute that means something here.
    pub const ALL: [&str; 17] = [
        PERMITS,
        REQUESTED,
        OBTAINED,
        MAX_READERS,
        DURATION,
        SIZE,
        ARRIVED,
        NAME,
        DEPTH,
        LEN,
        CAPACITY,
        SENT,
        RECEIVED,
        LAG,
        MISSED,
        RECEIVERS,
        MESSAGE_SIZE,
    ];
}

/// What kind of thing runs as a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaskKind {
    /// `tokio::spawn` and the like.
    Task,
    /// `spawn_local`.
    Local,
    /// `spawn_blocking`, `block_in_place`, and the runtime's own worker threads: may keep their thread.
    Blocking,
    /// The future given to `Runtime::block_on`; `main` is one.
    BlockOn,
    /// A kind that this version does not know, or a task whose introduction was lost.
    Other,
}

impl TaskKind {
    /// The kind as the `kind` field of a task names it.
    pub(super) fn parse(kind: &str) -> Self {
        match kind {
            "task" => Self::Task,
            "local" => Self::Local,
            "blocking" => Self::Blocking,
            "block_on" => Self::BlockOn,
            _ => Self::Other,
        }
    }

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Local => "local",
            Self::Blocking => "blocking",
            Self::BlockOn => "block_on",
            Self::Other => "other",
        }
    }

    /// Whether its polls run on a thread that other tasks need, so that they have to be short.
    pub fn is_async(self) -> bool {
        matches!(self, Self::Task | Self::Local | Self::BlockOn)
    }

    /// Whether it was spawned, so that it has siblings and can be dropped.
    pub fn is_spawned(self) -> bool {
        matches!(self, Self::Task | Self::Local)
    }
}

/// Whether a blocking job of this type is one of the runtime's own worker threads (`runtime/scheduler/multi_thread/worker.rs`).
pub fn is_worker_thread(function: &str) -> bool {
    function.contains("Launch::launch")
}

/// Whether a blocking job of this type stands for a `block_in_place` (same file).
pub fn is_block_in_place(function: &str) -> bool {
    function.contains("maybe_move_runtime")
}

/// Whether a task of this name and place is console-subscriber's own. It hides them, unless its builder was told to trace itself
/// (console-subscriber 0.5, `Server::serve_with`).
pub(super) fn is_of_console(name: &str, location: &Location) -> bool {
    name.starts_with("console::") || location.as_str().starts_with("console-subscriber-")
}

/// What kind of thing a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// `tokio::sync::Mutex`.
    Mutex,
    /// `tokio::sync::RwLock`.
    RwLock,
    /// `tokio::sync::Semaphore`.
    Semaphore,
    /// A bounded `mpsc` channel: the semaphore that counts its free slots, which is all that shows of it, or part of a queue that reports more.
    Channel,
    /// The semaphore inside a lock or semaphore.
    Inner,
    /// `tokio::sync::Barrier`.
    Barrier,
    /// `tokio::sync::oneshot`.
    Oneshot,
    /// A `Sleep`.
    Sleep,
    /// An `Interval`.
    Interval,
    /// Anything else that reports itself, such as a queue of a library.
    Other,
}

impl ResourceKind {
    /// The kind of a resource of this type.
    pub fn of(concrete_type: &str, internal: bool, has_parent: bool) -> Self {
        match concrete_type {
            "Semaphore" if internal && has_parent => Self::Inner,
            "Semaphore" if internal => Self::Channel,
            "Mutex" => Self::Mutex,
            "RwLock" => Self::RwLock,
            "Semaphore" => Self::Semaphore,
            "Barrier" => Self::Barrier,
            "Sender|Receiver" => Self::Oneshot,
            "Sleep" => Self::Sleep,
            "Interval" => Self::Interval,
            _ => Self::Other,
        }
    }

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mutex => "Mutex",
            Self::RwLock => "RwLock",
            Self::Semaphore => "Semaphore",
            Self::Channel => "bounded channel",
            Self::Inner => "inner semaphore",
            Self::Barrier => "Barrier",
            Self::Oneshot => "oneshot channel",
            Self::Sleep => "Sleep",
            Self::Interval => "Interval",
            Self::Other => "resource",
        }
    }

    /// Whether it gives out permits in the order in which they were asked for.
    pub fn is_fair_queue(self) -> bool {
        matches!(self, Self::Mutex | Self::RwLock | Self::Semaphore | Self::Channel)
    }

    /// Whether one task at a time can have it to itself.
    pub fn is_lock(self) -> bool {
        matches!(self, Self::Mutex | Self::RwLock)
    }

    /// Whether tasks acquire it and hold it for a while.
    pub fn is_held(self) -> bool {
        matches!(self, Self::Mutex | Self::RwLock | Self::Semaphore)
    }

    /// Whether it is a timer.
    pub fn is_timer(self) -> bool {
        matches!(self, Self::Sleep | Self::Interval)
    }
}

/// How an async op acquires what it waits for, whatever it is called in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AcquireKind {
    /// `Mutex::lock`.
    Lock,
    /// `RwLock::read`.
    Read,
    /// `RwLock::write`.
    Write,
    /// `Semaphore::acquire`.
    Acquire,
    /// `Semaphore::acquire_many`.
    AcquireMany,
    /// Puts something into a queue, or waits for room in it.
    Send,
    /// Takes something out of a queue.
    Receive,
    /// A `Sleep`, which reports an op in Tokio 1.42 and none in 1.54.
    Sleep,
    /// Anything else: `Interval::tick`, `Barrier::wait`, an op of another library.
    Other,
}

impl AcquireKind {
    /// The kind of an op by its source, such as `Mutex::lock_owned`. The source `Acquire::new` is a send on a bounded channel, or the inner op
    /// of a lock's, which nobody asks for.
    pub fn parse(source: &str) -> Self {
        let (owner, method) = source.rsplit_once("::").unwrap_or(("", source));
        match method.strip_suffix("_owned").unwrap_or(method) {
            _ if owner == "Sleep" => Self::Sleep,
            "new" if owner == "Acquire" => Self::Send,
            "lock" => Self::Lock,
            "read" => Self::Read,
            "write" => Self::Write,
            "acquire" => Self::Acquire,
            "acquire_many" => Self::AcquireMany,
            method if method.contains("send") => Self::Send,
            method if method.contains("recv") => Self::Receive,
            _ => Self::Other,
        }
    }

    /// The word for it in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Read => "read",
            Self::Write => "write",
            Self::Acquire => "acquire",
            Self::AcquireMany => "acquire_many",
            Self::Send => "send",
            Self::Receive => "recv",
            Self::Sleep => "sleep",
            Self::Other => "wait",
        }
    }
}

/// Whether what an op of this source acquires can be sent to another task, so that the task that acquired it need not be the one that holds it.
pub(super) fn is_owned(source: &str) -> bool {
    source.ends_with("_owned")
}

/// Whether a `Sleep` made here is the one inside an `Interval` (`src/time/interval.rs`).
pub(super) fn is_inside_interval(location: &Location) -> bool {
    location.package().is_some_and(|package| package.name == "tokio") && location.file().ends_with("time/interval.rs")
}

/// Whether a resource with this place was made by `Default` or by another type of Tokio, so that the place says nothing (`src/sync/*.rs`).
pub fn is_made_by_tokio(location: &Location) -> bool {
    location.package().is_some_and(|package| package.name == "tokio") && location.file().contains("/src/sync/")
}

/// Whether a semaphore with this place is the one inside a `OnceCell`, whose one permit is to initialise it (`src/sync/once_cell.rs`).
pub fn is_once_cell(location: &Location) -> bool {
    is_made_by_tokio(location) && location.file().ends_with("/once_cell.rs")
}

/// Whether a blocking job spawned here is a call of `tokio::fs` (`src/fs/*.rs`).
pub fn is_file_call(location: &Location) -> bool {
    location.package().is_some_and(|package| package.name == "tokio") && location.file().contains("/src/fs/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_known_by_owner_and_method() {
        for (source, kind, owned) in [
            ("Mutex::lock", AcquireKind::Lock, false),
            ("Mutex::lock_owned", AcquireKind::Lock, true),
            ("RwLock::read_owned", AcquireKind::Read, true),
            ("Semaphore::acquire_many_owned", AcquireKind::AcquireMany, true),
            ("Acquire::new", AcquireKind::Send, false),
            ("UnboundedSender::send", AcquireKind::Send, false),
            ("Receiver::recv_many", AcquireKind::Receive, false),
            ("Receiver::await", AcquireKind::Other, false),
            ("Sleep::new_timeout", AcquireKind::Sleep, false),
            ("Interval::tick", AcquireKind::Other, false),
            ("", AcquireKind::Other, false),
        ] {
            assert_eq!((AcquireKind::parse(source), is_owned(source)), (kind, owned), "{source}");
        }
    }
}
