//! The life of one watched target: connect, read until the connection is lost, wait, connect again.

use std::error::Error;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::SystemTime;

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{State, StateRequest, Temporality};
use futures_util::FutureExt;
use futures_util::stream::{self, Stream, TryStreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::StreamExt;
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::feed::endpoint::Address;
use crate::feed::lag::{LagMeter, News};
use crate::feed::{FeedEvent, Status, Update, Wanted};

use super::cadence::{Cadence, Silence};
use super::codec::watch_updates;
use super::connect::{LOST_AFTER, dial, resolve};
use super::details::Details;
use super::outbox::Outbox;
use super::pump::{Observation, Pump};
use super::retry::Retry;
use super::{Options, reason};

type StateStream = Pin<Box<dyn Stream<Item = Result<State, tonic::Status>> + Send>>;

/// What outlives a single connection.
pub(super) struct Session {
    address: Address,
    options: Options,
    outbox: Outbox,
    wanted: watch::Receiver<Wanted>,
    retry: Retry,
    /// What was last reported to the reader.
    reported_paused: bool,
}

/// What belongs to one connection.
struct Connection {
    updates: Streaming<Update>,
    /// `None` where the target does not serve it (console-subscriber before 0.5) or has closed it.
    states: Option<StateStream>,
    paused: bool,
    details: Details,
    pump: Option<Pump>,
    lag: LagMeter,
    cadence: Cadence,
    silence: Silence,
}

impl Session {
    pub(super) fn new(address: Address, options: Options, outbox: Outbox, wanted: watch::Receiver<Wanted>) -> Self {
        Self { address, options, outbox, wanted, retry: Retry::new(), reported_paused: false }
    }

    /// Never returns: a target that is gone may come back.
    pub(super) async fn run(mut self) {
        loop {
            // Whatever a target sends, it does not end the feed: tonic panics, for one, at a status whose details are not base64.
            let reason = match AssertUnwindSafe(self.attempt()).catch_unwind().await {
                Ok(reason) => reason,
                Err(_) => reason::beyond_us(&self.address),
            };
            let wait = self.retry.next();
            let retry_at = SystemTime::now() + wait;
            self.status(Status::Lost { reason, retry_at }).await;
            sleep(wait).await;
        }
    }

    /// One connection, from its beginning to the reason of its end.
    async fn attempt(&mut self) -> String {
        match self.connect().await {
            Ok(connection) => self.watch(connection).await,
            Err(reason) => reason,
        }
    }

    async fn connect(&mut self) -> Result<Connection, String> {
        self.status(Status::Resolving).await;
        let limit = self.options.connect_timeout;
        let resolved = resolve(&self.address, limit).await?;
        self.status(Status::Dialing).await;
        let channel = dial(&self.address, resolved, limit).await?;
        let limit = self.options.subscribe_timeout;
        let updates = timeout(limit, watch_updates(channel.clone(), self.options.decode_limit))
            .await
            .map_err(|_| reason::no_answer(&self.address, limit))?
            .map_err(|status| reason::refused(&self.address, &status))?;
        self.status(Status::Live).await;
        Ok(Connection::new(channel, updates, &self.options))
    }

    /// Forwards what comes until the connection is lost, and says why it was.
    async fn watch(&mut self, mut connection: Connection) -> String {
        connection.details.want(&self.wanted.borrow_and_update());
        loop {
            // Updates go first: a target that was heard is not quiet.
            tokio::select! {
                biased;
                update = connection.updates.message() => match update {
                    Ok(Some(update)) => self.forward(&mut connection, update).await,
                    Ok(None) => return reason::stream_ended(&self.address),
                    Err(status) => return self.why_failed(&connection, &status),
                },
                paused = next_state(&mut connection.states) => self.take_state(&mut connection, paused).await,
                details = connection.details.next() => {
                    self.outbox.send(FeedEvent::Details(Box::new(details))).await;
                }
                () = changed(&mut self.wanted) => {
                    connection.details.want(&self.wanted.borrow_and_update());
                }
                () = sleep_until(connection.silence.due()), if !connection.paused => {
                    let quiet = connection.silence.report(Instant::now());
                    self.outbox.send(FeedEvent::Quiet(quiet)).await;
                }
            }
        }
    }

    async fn forward(&mut self, connection: &mut Connection, mut update: Update) {
        update.lag = connection.lag.observe(&update.message);
        connection.cadence.observe(update.message.now());
        if let Some(pump) = &mut connection.pump {
            update.pumping = pump.observe(Observation {
                at: Instant::now(),
                nth: connection.cadence.updates(),
                interval: connection.cadence.interval(),
                news: News::of(&update.message),
                lag: update.lag,
            });
        }
        self.retry.reset();
        self.outbox.send(FeedEvent::Update(Box::new(update))).await;
        // A reader that kept us waiting here has not made the target quiet.
        connection.hear(&self.options);
    }

    /// Tells of a pause once on each connection, and of its end.
    async fn take_state(&mut self, connection: &mut Connection, paused: bool) {
        let has_changed = paused != self.reported_paused || (paused && !connection.paused);
        connection.paused = paused;
        if has_changed {
            self.reported_paused = paused;
            self.outbox.send(FeedEvent::Paused(paused)).await;
            connection.hear(&self.options);
        }
    }

    fn why_failed(&self, connection: &Connection, status: &tonic::Status) -> String {
        let silent_for = connection.silence.length(Instant::now());
        if status.source().is_some() && silent_for >= LOST_AFTER {
            return reason::went_silent(&self.address, silent_for);
        }
        reason::stream_failed(&self.address, status, self.options.decode_limit)
    }

    async fn status(&mut self, status: Status) {
        self.outbox.send(FeedEvent::Status(status)).await;
    }
}

impl Connection {
    fn new(channel: Channel, updates: Streaming<Update>, options: &Options) -> Self {
        let client = InstrumentClient::new(channel);
        Self {
            updates,
            states: Some(watch_state(client.clone())),
            paused: false,
            details: Details::new(client.clone()),
            pump: options.pump.then(|| Pump::start(client)),
            lag: LagMeter::default(),
            cadence: Cadence::default(),
            silence: Silence::begin(Instant::now(), options.quiet_after, None),
        }
    }

    fn hear(&mut self, options: &Options) {
        self.silence = Silence::begin(Instant::now(), options.quiet_after, self.cadence.interval());
    }
}

fn watch_state(mut client: InstrumentClient<Channel>) -> StateStream {
    let call = async move { client.watch_state(StateRequest {}).await.map(tonic::Response::into_inner) };
    Box::pin(stream::once(call).try_flatten())
}

/// Whether the target is paused, each time it says so: at every publish tick and every call of any client. One that cannot say it
/// cannot be paused.
async fn next_state(states: &mut Option<StateStream>) -> bool {
    let Some(stream) = states else { return pending().await };
    match stream.next().await {
        Some(Ok(state)) => return state.temporality == i32::from(Temporality::Paused),
        Some(Err(status)) if status.code() == Code::Unimplemented => {
            *states = None;
            return false;
        }
        Some(Err(status)) => tracing::debug!(%status, "the target says no longer whether it is paused"),
        None => {}
    }
    *states = None;
    pending().await
}

/// Waits for the next set of wanted details; for ever when nobody can want any more.
async fn changed(wanted: &mut watch::Receiver<Wanted>) {
    if wanted.changed().await.is_err() {
        pending::<()>().await;
    }
}
