//! Sends clients what has changed, once an interval.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use console_api::instrument::{State as Announced, Temporality};
use console_api::tasks::TaskDetails;
use console_api::tasks::task_details::PollTimesHistogram;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval};

use crate::encode;
use crate::histogram::{Histograms, Limits};
use crate::recorder::Recorder;
use crate::server::Settings;
use crate::server::pieces::{self, State};
use crate::server::queue::{Messages, Queue, queue};
use crate::store::task::Task;
use crate::store::{Kind, PerKind};

/// The bytes of details that a client may leave unread. A histogram is small: only who reads nothing at all leaves so many.
const DETAILS_UNREAD: usize = 1024 * 1024;

/// The shortest time between two messages to a client, however much there is to send.
const PAUSE: Duration = Duration::from_millis(50);

/// The number of a connection.
pub(crate) type Connection = u64;

/// What clients ask for.
#[derive(Debug)]
pub(crate) enum Command {
    /// All updates.
    Updates(Connection, oneshot::Sender<Messages>),
    /// The details of a task. Not answered if there is no such task.
    Details(u64, oneshot::Sender<Messages>),
    /// Whether the connection is paused.
    States(Connection, oneshot::Sender<Messages>),
    /// No more updates to this connection until further notice.
    Pause(Connection),
    /// Updates again.
    Resume(Connection),
}

/// A client that is sent updates.
#[derive(Debug)]
struct Client {
    /// The bytes of the last whole state, until it has been read so far that what is left is no more than a client may leave unread.
    state: usize,
    connection: Connection,
    queue: Queue,
    /// Whether it lacks changes, so that the next message must carry everything.
    is_behind: bool,
    /// Frames that it was not sent.
    missed: PerKind<u64>,
}

/// The publisher of one subscriber.
#[derive(Debug)]
pub(crate) struct Publisher {
    recorder: Arc<Recorder>,
    interval: Duration,
    histograms: Limits,
    /// The bytes that a client may leave unread. It is sent nothing more until it has read half of them, and then the whole state, because
    /// the changes in between are gone.
    unread: usize,
    clients: Vec<Client>,
    details: Vec<(u64, Queue)>,
    states: Vec<(Connection, Queue)>,
    paused: HashSet<Connection>,
    /// How many callsites clients have been sent.
    known_callsites: usize,
    is_watched: bool,
}

impl Publisher {
    pub(crate) fn new(recorder: Arc<Recorder>, settings: &Settings) -> Self {
        Self {
            recorder,
            interval: settings.interval,
            histograms: settings.histograms,
            unread: settings.unread,
            clients: Vec::new(),
            details: Vec::new(),
            states: Vec::new(),
            paused: HashSet::new(),
            known_callsites: 0,
            is_watched: false,
        }
    }

    /// Publishes until nobody can ask for anything any more.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut ticks = interval(self.interval.max(PAUSE));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let recorder = Arc::clone(&self.recorder);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    self.publish();
                    self.announce();
                    recorder.store.forget(recorder.store.clock.now());
                }
                () = recorder.due.notified() => {
                    self.publish();
                    tokio::time::sleep(PAUSE).await;
                }
                command = commands.recv() => match command {
                    Some(command) => self.obey(command),
                    None => return,
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Updates(connection, reply) => {
                let (queue, messages) = queue();
                if reply.send(messages).is_ok() {
                    let missed = PerKind::default();
                    self.clients.push(Client { state: 0, connection, queue, is_behind: true, missed });
                    self.publish();
                }
            }
            Command::Details(task, reply) => {
                let (queue, messages) = queue();
                if let Some(details) = self.details_of(task)
                    && reply.send(messages).is_ok()
                {
                    queue.push(details);
                    self.details.push((task, queue));
                }
            }
            Command::States(connection, reply) => {
                let (queue, messages) = queue();
                if reply.send(messages).is_ok() {
                    queue.push(self.state_of(connection));
                    self.states.push((connection, queue));
                }
            }
            Command::Pause(connection) => {
                self.paused.insert(connection);
                self.announce();
            }
            Command::Resume(connection) => {
                self.paused.remove(&connection);
                self.announce();
                self.publish();
            }
        }
    }

    /// Sends each client what it lacks.
    fn publish(&mut self) {
        self.leave();
        let (paused, unread) = (&self.paused, self.unread);
        let catches_up = |client: &Client| {
            client.is_behind && !paused.contains(&client.connection) && client.queue.waiting() <= unread / 2
        };
        let behind: Vec<usize> = (0..self.clients.len()).filter(|index| catches_up(&self.clients[*index])).collect();
        if !behind.is_empty() {
            // Before the changes: what ends from now on is sent with its introduction, which those who catch up need.
            self.recorder.store.begin_snapshot();
        }
        self.send_changes();
        self.catch_up(&behind);
        self.send_details();
    }

    /// Sends the changes to the clients that lack nothing else.
    fn send_changes(&mut self) {
        if self.is_watched {
            let (frames, dropped) = self.recorder.store.changes();
            let mut metadata = Vec::new();
            let callsites = self.recorder.metadata.len();
            self.recorder.metadata.encode(self.known_callsites, &mut metadata);
            self.known_callsites = callsites;
            let state = State { frames, dropped, metadata, introduces: false };
            let pieces = pieces::cut(&state, &self.recorder);
            for client in self.clients.iter_mut().filter(|client| !client.is_behind) {
                if self.paused.contains(&client.connection) {
                    client.is_behind = true;
                } else if client.leaves_unread(self.unread) {
                    client.is_behind = true;
                    client.miss(&state);
                } else {
                    pieces.iter().for_each(|piece| client.queue.push(piece.clone()));
                }
            }
        }
    }

    /// Sends everything to these clients.
    fn catch_up(&mut self, clients: &[usize]) {
        if clients.is_empty() {
            return;
        }
        self.is_watched = true;
        let (frames, mut metadata) = (self.recorder.store.snapshot(), Vec::new());
        // After what refers to them: a callsite may have been new meanwhile.
        self.recorder.metadata.encode(0, &mut metadata);
        let mut state = State { frames, dropped: PerKind::default(), metadata, introduces: true };
        for index in clients {
            let client = &mut self.clients[*index];
            state.dropped = std::mem::take(&mut client.missed);
            let pieces = pieces::cut(&state, &self.recorder);
            client.state = pieces.iter().map(|piece| piece.len()).sum();
            pieces.into_iter().for_each(|piece| client.queue.push(piece));
            client.is_behind = false;
        }
    }

    /// Forgets clients that have left. Nothing is kept to be sent if nobody is there to read it.
    fn leave(&mut self) {
        self.clients.retain(|client| !client.queue.is_closed());
        self.states.retain(|(_, queue)| !queue.is_closed());
        let connections = || {
            self.clients
                .iter()
                .map(|client| client.connection)
                .chain(self.states.iter().map(|(connection, _)| *connection))
        };
        let open: HashSet<Connection> = connections().collect();
        // A connection that only ever paused is forgotten with the rest: it has nothing that could be paused.
        self.paused.retain(|connection| open.contains(connection));
        let is_read = self.clients.iter().any(|client| !self.paused.contains(&client.connection));
        if self.is_watched && !is_read {
            self.recorder.store.unwatch();
            self.is_watched = false;
            self.clients.iter_mut().for_each(|client| client.is_behind = true);
        }
    }

    fn send_details(&mut self) {
        let mut details = std::mem::take(&mut self.details);
        details.retain(|(task, queue)| {
            let Some(message) =
                self.details_of(*task).filter(|_| !queue.is_closed() && queue.waiting() < DETAILS_UNREAD)
            else {
                return false;
            };
            queue.push(message);
            true
        });
        self.details = details;
    }

    /// The details of a task that lives. Its histograms begin now if nobody asked before.
    fn details_of(&self, id: u64) -> Option<Bytes> {
        let encode = |task: &mut Task| {
            if task.histograms.is_none() {
                task.histograms = Histograms::new(self.histograms).map(Box::new);
            }
            task.histograms.as_ref().map(|histograms| (histograms.polls.encode(), histograms.scheduled.encode()))
        };
        let (polls, scheduled) = self.recorder.store.shard(id).change(id, encode).flatten()?;
        let clock = &self.recorder.store.clock;
        let now = prost_types::Timestamp::from(std::time::UNIX_EPOCH + clock.wall(clock.now()));
        let details = TaskDetails {
            task_id: Some(id.into()),
            now: Some(now),
            poll_times_histogram: Some(PollTimesHistogram::Histogram(polls)),
            scheduled_times_histogram: Some(scheduled),
        };
        Some(details.encode_to_vec().into())
    }

    fn announce(&mut self) {
        for (connection, queue) in self.states.iter().filter(|(_, queue)| queue.waiting() == 0) {
            queue.push(self.state_of(*connection));
        }
    }

    fn state_of(&self, connection: Connection) -> Bytes {
        let temporality = if self.paused.contains(&connection) { Temporality::Paused } else { Temporality::Live };
        Announced { temporality: temporality.into() }.encode_to_vec().into()
    }
}

impl Drop for Publisher {
    /// Nothing is kept to be sent if nobody sends it.
    fn drop(&mut self) {
        self.recorder.store.unwatch();
    }
}

impl Client {
    /// Whether it leaves more than `most` bytes unread, apart from a state that may be larger than that.
    fn leaves_unread(&mut self, most: usize) -> bool {
        let waiting = self.queue.waiting();
        if waiting <= most {
            self.state = 0;
        }
        waiting > most.saturating_add(self.state)
    }

    /// Counts what it is not sent.
    fn miss(&mut self, state: &State) {
        for kind in Kind::ALL {
            *self.missed.of(kind) += encode::frames(state.frames.get(kind)) + state.dropped.get(kind);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store;

    /// A publisher whose clients may leave a kibibyte unread.
    fn publisher() -> Publisher {
        let limits = store::Limits { retention: Duration::ZERO, retained: 0, unsent: 1 << 20 };
        let settings = Settings {
            address: crate::ServerAddr::Tcp(([127, 0, 0, 1], 0).into()),
            interval: Duration::from_secs(1),
            histograms: Limits { poll: Duration::from_secs(1), scheduled: Duration::from_secs(1) },
            unread: 1024,
            token: None,
        };
        Publisher::new(Recorder::new(limits, true), &settings)
    }

    fn spawn(store: &store::Store, tasks: usize) {
        for _ in 0..tasks {
            store.next_shard().insert(None, Task::new(Arc::from([]), 0, None, None, store.clock.now()));
        }
    }

    #[test]
    fn a_publisher_that_ends_leaves_nothing_to_be_sent() {
        let publisher = publisher();
        let recorder = Arc::clone(&publisher.recorder);
        recorder.store.begin_snapshot();
        drop(recorder.store.snapshot());
        spawn(&recorder.store, 1);
        assert!(!recorder.store.changes().0.tasks.is_empty(), "somebody watches");
        spawn(&recorder.store, 1);
        drop(publisher);
        spawn(&recorder.store, 1);
        assert!(recorder.store.changes().0.tasks.is_empty());
    }

    #[test]
    fn a_state_that_is_larger_than_what_may_be_left_unread_is_followed_by_changes() {
        let mut publisher = publisher();
        let recorder = Arc::clone(&publisher.recorder);
        spawn(&recorder.store, 1_000);
        let (reply, mut messages) = oneshot::channel();
        publisher.obey(Command::Updates(1, reply));
        let _unread = messages.try_recv().unwrap();
        let state = publisher.clients[0].queue.waiting();
        assert!(state > 10 * publisher.unread, "{state} bytes");
        spawn(&recorder.store, 1);
        publisher.publish();
        assert!(!publisher.clients[0].is_behind);
        for _ in 0..100 {
            spawn(&recorder.store, 10);
            publisher.publish();
        }
        assert!(publisher.clients[0].is_behind);
        let waiting = publisher.clients[0].queue.waiting();
        assert!(waiting < state + 4 * publisher.unread, "{waiting} bytes beside a state of {state}");
    }

    #[test]
    fn who_does_not_read_whether_it_is_paused_is_told_once() {
        let mut publisher = publisher();
        let (reply, mut messages) = oneshot::channel();
        publisher.obey(Command::States(1, reply));
        let _unread = messages.try_recv().unwrap();
        let waiting = publisher.states[0].1.waiting();
        (0..100).for_each(|_| publisher.announce());
        assert_eq!(publisher.states[0].1.waiting(), waiting);
    }
}
