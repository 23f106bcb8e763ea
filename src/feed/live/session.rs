//! The life of one watched target: connect, read until the connection is lost, wait, connect again.

use std::error::Error;
use std::future::pending;
use std::time::{Duration, SystemTime};

use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{State, StateRequest, Temporality};
use futures_util::stream::{self, TryStreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_stream::StreamExt;
use tonic::{Code, Streaming};

use crate::feed::endpoint::Address;
use crate::feed::kubernetes::{Choice, Reach};
use crate::feed::lag::{LagMeter, News};
use crate::feed::{FeedEvent, Status, Update, Wanted};
use crate::panics;
use crate::wire::Survey;

use super::cadence::{Cadence, Silence};
use super::connect::{Channel, Headers, LOST_AFTER, line_over};
use super::details::Details;
use super::guarded::{Guarded, guarded};
use super::outbox::Outbox;
use super::pieces::Pieces;
use super::probe::{what_closes, what_closes_in};
use super::pump::{Observation, Pump};
use super::retry::Retry;
use super::socket::resolve;
use super::stranger::{Failure, Stranger};
use super::subscribe::{subscribe, subscribe_over};
use super::{Options, reason};

/// Answers in a row that make a stranger certain: a port may change hands while a service starts.
const SIGHTINGS: u32 = 3;

/// The longest wait for a process that can be expected any moment: its pod runs, and the one before it was connected.
const RETURNING: Duration = Duration::from_millis(800);

/// How long after its end the next process of a pod can be expected any moment.
const RETURNS: Duration = Duration::from_secs(60);

/// Time for related changes of a pod to arrive.
const SETTLING: Duration = Duration::from_millis(100);

/// What outlives a single connection.
pub(super) struct Session {
    address: Address,
    /// The way to a pod, where the address is one.
    reach: Option<Reach>,
    options: Options,
    outbox: Outbox,
    wanted: watch::Receiver<Wanted>,
    retry: Retry,
    /// What was last reported to the reader.
    reported_paused: bool,
    is_live: bool,
    /// When the last connection to a console was lost.
    last_live: Option<SystemTime>,
    /// What answered at the last attempts, and how many times in a row.
    stranger: Option<(Stranger, u32)>,
}

/// What belongs to one connection.
struct Connection {
    updates: Streaming<Update>,
    /// `None` where the target does not serve it (console-subscriber before 0.5) or has closed it.
    states: Option<Guarded<State>>,
    paused: bool,
    details: Details,
    pump: Option<Pump>,
    lag: LagMeter,
    cadence: Cadence,
    silence: Silence,
    pieces: Pieces,
}

impl Session {
    pub(super) fn new(address: Address, options: Options, outbox: Outbox, wanted: watch::Receiver<Wanted>) -> Self {
        let retry = Retry::new(options.longest_wait);
        let reach = match &address {
            Address::Pod(pod) => Some(Reach::new((**pod).clone(), options.clusters.clone())),
            Address::Tcp { .. } | Address::Tls { .. } | Address::Unix(_) => None,
        };
        Self {
            address,
            reach,
            options,
            outbox,
            wanted,
            retry,
            reported_paused: false,
            is_live: false,
            last_live: None,
            stranger: None,
        }
    }

    /// Never returns: a target that is gone may come back.
    pub(super) async fn run(mut self) {
        loop {
            // Whatever a target sends, it does not end the feed.
            let failure = match Box::pin(panics::caught(self.attempt())).await {
                Ok(failure) => failure,
                Err(panicked) => {
                    tracing::warn!(%panicked, "reading the feed failed");
                    reason::beyond_us(&self.address).into()
                }
            };
            if std::mem::take(&mut self.is_live) {
                self.last_live = Some(SystemTime::now());
            }
            let failure = self.explained(failure).await;
            let was_live_lately = self.last_live.is_some_and(|at| at.elapsed().is_ok_and(|ago| ago < RETURNS));
            let is_returning = was_live_lately && self.reach.as_ref().is_some_and(Reach::is_returning);
            let wait = self.retry.next().min(if is_returning { RETURNING } else { Duration::MAX });
            let status = self.failed(failure, SystemTime::now() + wait);
            self.status(status).await;
            self.pause(wait).await;
        }
    }

    /// Waits until the next attempt is due, or until something has become of the pods that may be chosen.
    async fn pause(&mut self, wait: Duration) {
        let Some(reach) = &mut self.reach else { return sleep(wait).await };
        tokio::select! {
            () = sleep(wait) => {}
            () = reach.changed() => {
                self.retry.reset();
                // One change often comes with others, and a port that is not open yet is asked for soon again.
                sleep(SETTLING).await;
            }
        }
    }

    /// The failure of a connection to a pod, as far as its cluster knows why.
    async fn explained(&mut self, failure: Failure) -> Failure {
        let Some(reach) = &mut self.reach else { return failure };
        match failure {
            Failure::Stranger(stranger) if stranger.is_certain() => Failure::Stranger(stranger),
            failure => match (reach.explain().await, &failure) {
                (Some(sentence), _) => Failure::Lost(sentence),
                (None, Failure::Stranger(Stranger::Closes)) => match reach.hear(self.options.connect_timeout).await {
                    Some(sentence) => Failure::Lost(sentence),
                    None if self.last_live.is_some() => failure,
                    None => Failure::Stranger(what_closes_in(reach, self.options.connect_timeout).await),
                },
                (None, _) => failure,
            },
        }
    }

    /// One connection, from its beginning to the reason of its end.
    async fn attempt(&mut self) -> Failure {
        match self.connect().await {
            Ok(connection) => self.watch(connection).await.into(),
            Err(failure) => failure,
        }
    }

    /// What an attempt that failed means.
    fn failed(&mut self, failure: Failure, retry_at: SystemTime) -> Status {
        let was_console = self.last_live.is_some();
        let stranger = match failure {
            Failure::Lost(reason) => {
                self.stranger = None;
                return Status::Lost { reason, retry_at };
            }
            Failure::Stranger(stranger) => stranger,
        };
        // A server that closes at once is not always heard before.
        let stranger = match &self.stranger {
            Some((known, _)) if stranger == Stranger::Closes && known.is_certain() => known.clone(),
            _ => stranger,
        };
        let reason = stranger.describe(&self.address, was_console);
        let before = self.stranger.take().filter(|(same, _)| *same == stranger).map_or(0, |(_, times)| times);
        let times = before.saturating_add(1);
        let is_certain = stranger.is_certain() && times >= SIGHTINGS;
        self.stranger = Some((stranger, times));
        // Where there was a console there may be one again.
        if is_certain && !was_console {
            Status::Stranger { reason, retry_at }
        } else {
            Status::Lost { reason, retry_at }
        }
    }

    async fn connect(&mut self) -> Result<Connection, Failure> {
        self.status(Status::Resolving).await;
        let (channel, updates) =
            if self.reach.is_some() { self.reach_pod().await? } else { self.reach_address().await? };
        self.is_live = true;
        self.reach.iter_mut().for_each(Reach::connected);
        self.status(Status::Live).await;
        Ok(Connection::new(channel, updates, &self.options))
    }

    async fn reach_address(&mut self) -> Result<(Channel, Streaming<Update>), Failure> {
        let resolved = resolve(&self.address, self.options.connect_timeout).await?;
        self.status(Status::Dialing).await;
        match subscribe(&self.address, &resolved, &self.options, self.last_live).await {
            Err(Failure::Stranger(Stranger::Closes)) if self.last_live.is_none() => {
                Err(Failure::Stranger(what_closes(&resolved).await))
            }
            subscribed => subscribed,
        }
    }

    async fn reach_pod(&mut self) -> Result<(Channel, Streaming<Update>), Failure> {
        let limit = self.options.connect_timeout;
        let Some(reach) = &mut self.reach else { return Err(reason::beyond_us(&self.address).into()) };
        let Choice { place, is_new } = reach.find(limit).await?;
        self.status(Status::Chosen { place, is_new }).await;
        self.status(Status::Dialing).await;
        let headers = Headers::of(&self.options.access, &self.address).await?;
        let Some(reach) = &mut self.reach else { return Err(reason::beyond_us(&self.address).into()) };
        let line = line_over(reach.dial(limit).await?, &self.address, headers).await?;
        subscribe_over(line, &self.address, &self.options).await
    }

    /// Forwards what comes until the connection is lost, and says why it was.
    async fn watch(&mut self, mut connection: Connection) -> String {
        connection.details.want(&self.wanted.borrow_and_update());
        loop {
            // Updates go first: a target that was heard is not quiet.
            tokio::select! {
                biased;
                update = connection.updates.message() => match update {
                    Ok(Some(piece)) => {
                        if let Some(update) = connection.pieces.join(piece) {
                            self.forward(&mut connection, update).await;
                        }
                    }
                    Ok(None) => return reason::stream_ended(&self.address),
                    Err(status) => {
                        let silent_for = connection.silence.length(Instant::now());
                        return self.why_failed(silent_for, &status).await;
                    }
                },
                paused = next_state(&mut connection.states) => self.take_state(&mut connection, paused).await,
                details = connection.details.next() => {
                    self.outbox.send(FeedEvent::Details(Box::new(details))).await;
                }
                () = changed(&mut self.wanted) => {
                    connection.details.want(&self.wanted.borrow_and_update());
                }
                () = sleep_until(connection.silence.due()), if !connection.paused => {
                    if let Some(update) = connection.pieces.take() {
                        self.forward(&mut connection, update).await;
                    }
                    let quiet = connection.silence.report(Instant::now());
                    self.outbox.send(FeedEvent::Quiet(quiet)).await;
                }
            }
        }
    }

    async fn forward(&mut self, connection: &mut Connection, mut update: Update) {
        if update.message.process().is_some() {
            // It is not a console-subscriber: nothing of it is ever late, so there is nothing to pump.
            connection.pump = None;
        }
        let survey = Survey::of(&update.message);
        update.lag = connection.lag.observe(&survey);
        connection.cadence.observe(survey.now);
        if let Some(pump) = &mut connection.pump {
            update.pumping = pump.observe(Observation {
                at: Instant::now(),
                nth: connection.cadence.updates(),
                interval: connection.cadence.interval(),
                news: News::of(&survey),
                lag: update.lag,
            });
        }
        self.retry.reset();
        if connection.states.is_none() {
            // Nothing else will tell that a pause is over.
            self.take_state(connection, false).await;
        }
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

    async fn why_failed(&mut self, silent_for: Duration, status: &tonic::Status) -> String {
        if status.code() == Code::DataLoss {
            // An update has come all the same, and nothing of it can be used: whoever judges has to know.
            self.outbox.send(FeedEvent::Update(Box::default())).await;
        }
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
            pieces: Pieces::new(options.decode_limit),
        }
    }

    fn hear(&mut self, options: &Options) {
        self.silence = Silence::begin(Instant::now(), options.quiet_after, self.cadence.interval());
    }
}

fn watch_state(mut client: InstrumentClient<Channel>) -> Guarded<State> {
    let call = async move { client.watch_state(StateRequest {}).await.map(tonic::Response::into_inner) };
    guarded(stream::once(call).try_flatten())
}

/// Whether the target is paused, each time it says so: at every publish tick and every call of any client. One that cannot say it
/// cannot be paused.
async fn next_state(states: &mut Option<Guarded<State>>) -> bool {
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
