//! Harmless explanations that a finding could also have, each with its sentence. A finding that one of them fits is information.

/// A harmless explanation of what a detector sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LookAlike {
    /// Idle workers that take turns at one receiver behind a lock.
    IdlePool,
    /// A semaphore that limits on purpose how many work at a time.
    Limiter,
    /// A fixed set of workers, or a batch, that shares the connections of a pool.
    FixedWorkers,
    /// The first to acquire a lock keeps it for good and works, as a leader whose standbys wait.
    Leader,
    /// Clients that connect and stay.
    ConnectingCrowd,
    /// Clients that are connected and quiet, among others that come and leave at once, such as health probes.
    QuietClients,
    /// A missing party of a barrier that is still at work.
    LateParty,
    /// Polls that are long because of the tracing of what they make.
    Tracing,
    /// A process that is short of CPU: its polls include the time in which their threads wait for a core.
    ShortOfCpu,
    /// The thread that called `block_on`, which runs nothing else.
    ThreadOfItsOwn,
    /// A process in its first seconds.
    StartingUp,
    /// A span that a library enters on a thread of its own, so that its task only seems to be inside a poll.
    SpanEnteredElsewhere,
    /// A `block_in_place` that was not reported.
    HandedOver,
    /// Real work that is cut into small slices.
    SlicedWork,
    /// A combinator or a library that wakes its own task when there is more to do.
    WakesByDesign,
    /// Two tasks that pass messages to and fro.
    PingPong,
    /// A queue that is worked off in batches and rises in between.
    Batches,
    /// Connections of a pool that are lent to other tasks for a while.
    LentElsewhere,
    /// Permits that are meant to be used up, or a signal that several look out for.
    Quota,
    /// Tasks that are dropped by design: hedged requests, races, tickers.
    DroppedByDesign,
    /// A library's task, of a place that says nothing of the work it does.
    LibraryTask,
    /// Tasks that are meant to rest for a fixed time.
    FixedWait,
    /// Requests that are answered when something happens.
    LongPolls,
    /// A task that is meant to rest for ever.
    RestsForEver,
    /// A runtime that runs only inside `block_on`, or a `LocalSet`, between two calls.
    DrivenNowAndThen,
    /// More polls seem to run than there are threads.
    MorePollsThanThreads,
    /// An acceptor that waits at its limit of connections with an owned permit.
    AcceptorAtLimit,
    /// A gate that has never let anybody through.
    ClosedGate,
    /// A semaphore whose holders have no known usual time.
    UnknownHabit,
}

impl LookAlike {
    /// The explanation without the doubt, to say that it is ruled out.
    pub fn noun(self) -> &'static str {
        self.describe().strip_prefix("Possibly ").unwrap_or_default()
    }

    /// The explanation as a sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::IdlePool => "Possibly a pool of idle workers that take turns at one receiver, which is harmless.",
            Self::Limiter => {
                "Possibly a limiter: the semaphore bounds on purpose how many work at a time, and no wait has failed."
            }
            Self::FixedWorkers => {
                "Possibly a fixed set of workers or a batch that shares a pool: no wait was given up and no request waits."
            }
            Self::Leader => {
                "Possibly a leader: the first task to acquire the lock keeps it for good while its standbys wait."
            }
            Self::ConnectingCrowd => "Possibly clients that connect and stay: hardly any of these tasks has ended.",
            Self::QuietClients => {
                "Possibly clients that are connected and quiet while others, such as health probes, leave at once."
            }
            Self::LateParty => "Possibly only late: a task that may be the missing party is at work.",
            Self::Tracing => "Possibly the cost of tracing: the task makes many timers or async ops in one poll.",
            Self::ShortOfCpu => {
                "Possibly a shortage of CPU: updates arrive at irregular intervals, because threads of the process wait for a core."
            }
            Self::ThreadOfItsOwn => {
                "Possibly harmless: block_on runs on the thread that called it, and worker threads run the other tasks."
            }
            Self::StartingUp => "Possibly start-up work: the process has only just begun.",
            Self::SpanEnteredElsewhere => {
                "Possibly not inside a poll: a library may enter the spans of these tasks on a thread of its own."
            }
            Self::HandedOver => "Possibly inside block_in_place: the event that says so may have been dropped.",
            Self::SlicedWork => {
                "Possibly real work in very small slices: a computation, or the bottleneck of the service."
            }
            Self::PingPong => "Possibly an exchange of messages: another task is polled as often.",
            Self::Batches => "Possibly a queue that is drained in batches, or after a pause, and rises in between.",
            Self::LentElsewhere => {
                "Possibly lent: what the permits stand for may be in use by tasks that will release it."
            }
            Self::Quota => "Possibly a quota that is refilled later, or a signal that tasks check for repeatedly.",
            Self::DroppedByDesign => {
                "Possibly by design: hedged requests, races and tickers are dropped before they finish."
            }
            Self::LibraryTask => "Possibly different work: a library spawns all kinds of tasks at this place.",
            Self::FixedWait => "Possibly meant: tasks of this site may always sleep, or poll, for this long.",
            Self::LongPolls => {
                "Possibly long polls or subscriptions: too few answers were seen to know how soon they come."
            }
            Self::WakesByDesign => {
                "Possibly by design: yield_now, FuturesUnordered and HTTP/2 connections wake their own task while there is more to do."
            }
            Self::RestsForEver => {
                "Possibly meant to rest for ever, as in std::future::pending(): the task never had a waker, and nothing is known to wait for it."
            }
            Self::DrivenNowAndThen => {
                "Possibly a runtime that is driven only now and then, inside block_on or a LocalSet: nobody waits for these tasks."
            }
            Self::MorePollsThanThreads => {
                "Possibly not all inside a poll: more polls seem to run than there are threads."
            }
            Self::AcceptorAtLimit => {
                "Possibly an acceptor at its connection limit: it acquires an owned permit for each connection."
            }
            Self::ClosedGate => "Possibly a gate that has not been opened yet: no task has ever acquired a permit.",
            Self::UnknownHabit => "Possibly usual: how long the holders keep a permit is not known.",
        }
    }
}
