//! `watch` and `check`: every target's feed into its diagnosis, every transition into a line.

use std::time::{Duration, Instant, SystemTime};

use futures_util::StreamExt;
use futures_util::stream::select_all;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;

use super::note;
use super::sessions::Session;
use super::signals::stop_signal;
use crate::alert::{Event, Outputs, Summary};
use crate::config::Config;
use crate::config::options::{FAIL_ON, HEARTBEAT, MIN_UPDATES, PARTIAL, Partial};
use crate::detect::severity::Severity;
use crate::diagnosis::{Arrived, Bar, Diagnosis, Ended, Status, Wanted};

/// How a headless run goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// How long each target is judged from its first update on; for ever if not given.
    pub(super) duration: Option<Duration>,
    /// How often to say that everything still works.
    pub(super) heartbeat: Duration,
    /// What a target must have shown to be judged.
    pub(super) bar: Bar,
    /// Whether the verdict makes the exit code, also of a run that a signal ended.
    pub(super) judged: bool,
}

impl Plan {
    /// What `watch` does.
    pub(super) fn watch(config: &Config) -> Self {
        let judged = config.get(&FAIL_ON).is_some();
        Self { duration: None, heartbeat: config.get(&HEARTBEAT).0, bar: bar(config), judged }
    }

    /// What `check` does.
    pub(super) fn check(config: &Config, duration: Duration) -> Self {
        Self { duration: Some(duration), heartbeat: config.get(&HEARTBEAT).0, bar: bar(config), judged: true }
    }
}

fn bar(config: &Config) -> Bar {
    Bar {
        fail_on: config.get(&FAIL_ON).unwrap_or(Severity::Warning),
        min_updates: u64::try_from(config.get(&MIN_UPDATES)).unwrap_or(u64::MAX),
        partial_passes: config.get(&PARTIAL) == Partial::Pass,
    }
}

/// One target of the run.
struct Watched {
    diagnosis: Diagnosis,
    wanted: watch::Sender<Wanted>,
    begun: Instant,
    first_update: Option<SystemTime>,
    /// The time of what came last, and when that was taken in.
    latest: Option<(SystemTime, Instant)>,
    reporter: StatusReporter,
    gaps: Vec<&'static str>,
    over: bool,
}

/// Runs until every target is judged, all recordings have ended, the reader is gone or a signal comes. Returns the exit code.
///
/// # Errors
/// The system takes no signal handler.
pub(super) async fn headless(sessions: Vec<Session>, out: Outputs, plan: Plan) -> anyhow::Result<u8> {
    let mut streams = Vec::new();
    let mut targets = Vec::new();
    for (index, session) in sessions.into_iter().enumerate() {
        streams.push(ReceiverStream::new(session.feed.events).map(move |arrived| (index, arrived)));
        let target = Watched::new(session.diagnosis, session.feed.wanted);
        target.say(&out, &Event::Hello);
        targets.push(target);
    }
    let mut events = select_all(streams);
    let mut stop = std::pin::pin!(stop_signal());
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    let mut next_heartbeat = Instant::now() + plan.heartbeat;
    let mut interrupted = false;
    while !out.is_closed() && !targets.iter().all(|target| target.over) {
        tokio::select! {
            signal = &mut stop => { signal?; interrupted = true; break }
            next = events.next() => match next {
                Some((index, arrived)) => targets[index].take(arrived, &out, plan),
                None => break,
            },
            _ = tick.tick() => targets.iter_mut().for_each(|target| target.check_time(plan)),
        }
        if Instant::now() >= next_heartbeat {
            next_heartbeat = Instant::now() + plan.heartbeat;
            for target in &targets {
                target.say(&out, &Event::Heartbeat);
            }
        }
    }
    // Only `check` promises to have looked for so long.
    let cut_short = interrupted && plan.duration.is_some();
    Ok(conclude(&targets, out, plan, cut_short))
}

/// Says what each target came to, and what the run comes to.
fn conclude(targets: &[Watched], out: Outputs, plan: Plan, cut_short: bool) -> u8 {
    let mut codes = Vec::new();
    for target in targets {
        let mut summary = Summary::new(&target.diagnosis, plan.bar, cut_short && !target.over);
        if !plan.judged {
            summary.exit_code = 0;
        }
        codes.push(summary.exit_code);
        target.say(&out, &Event::Summary(&summary));
    }
    let lost = out.finish();
    if lost > 0 {
        note(&format!("{lost} lines were lost because the reader of the output did not take them."));
    }
    // Something found goes before something that could not be judged.
    [1, 3].into_iter().find(|code| codes.contains(code)).unwrap_or(0)
}

impl Watched {
    fn new(diagnosis: Diagnosis, wanted: watch::Sender<Wanted>) -> Self {
        Self {
            diagnosis,
            wanted,
            begun: Instant::now(),
            first_update: None,
            latest: None,
            reporter: StatusReporter::default(),
            gaps: Vec::new(),
            over: false,
        }
    }

    fn say(&self, out: &Outputs, event: &Event<'_>) {
        out.say(&self.diagnosis, event);
    }

    /// Takes in one event, unless this target has been judged.
    fn take(&mut self, arrived: Arrived, out: &Outputs, plan: Plan) {
        if self.over {
            return;
        }
        let at = arrived.at;
        self.latest = Some((at, Instant::now()));
        let transitions = self.diagnosis.apply(arrived);
        for transition in &transitions {
            self.say(out, &Event::Transition(transition));
        }
        if self.reporter.tell(&self.diagnosis) {
            self.say(out, &Event::Status { at });
        }
        let gaps = self.diagnosis.gaps();
        if gaps != self.gaps {
            self.gaps = gaps;
            self.say(out, &Event::Quality { reasons: &self.gaps });
        }
        let wanted = self.diagnosis.wanted_details();
        self.wanted.send_if_modified(|known| {
            let changed = *known != wanted;
            *known = wanted;
            changed
        });
        if self.first_update.is_none() && self.diagnosis.updates() > 0 {
            self.first_update = Some(at);
        }
        self.over |= self.diagnosis.ended().is_some();
        self.check_time(plan);
    }

    /// Ends the target's run when its time is up. A target that never answers gets as much time to begin.
    fn check_time(&mut self, plan: Plan) {
        self.over |= plan.duration.is_some_and(|duration| self.watched() >= duration);
    }

    /// How long it has been watched, by the clock of what it told: a recording's times are long past, and go by faster.
    fn watched(&self) -> Duration {
        match (self.first_update, self.latest) {
            (Some(first), Some((at, told))) => at.duration_since(first).unwrap_or_default() + told.elapsed(),
            _ => self.begun.elapsed(),
        }
    }
}

/// Tells the user on standard error how the connection does, once for each change.
#[derive(Debug, Default)]
pub(super) struct StatusReporter {
    told: Option<String>,
}

impl StatusReporter {
    /// Says what changed, and returns whether anything did.
    pub(super) fn tell(&mut self, diagnosis: &Diagnosis) -> bool {
        let sentence = match (diagnosis.ended(), diagnosis.status()) {
            (Some(Ended::Complete), _) => "the recording is over.".to_owned(),
            (Some(Ended::Truncated { reason }), _) => reason.clone(),
            (None, Status::Resolving) => "looking up the address.".to_owned(),
            (None, Status::Dialing) => "connecting.".to_owned(),
            (None, Status::Live) => "connected.".to_owned(),
            (None, Status::Lost { reason, .. }) => reason.clone(),
        };
        if self.told.as_ref() == Some(&sentence) {
            return false;
        }
        // Every attempt dials again: that alone is no news.
        let again = self.told.is_some() && matches!(diagnosis.status(), Status::Resolving | Status::Dialing);
        if !again {
            note(&format!("{}: {sentence}", diagnosis.target()));
            self.told = Some(sentence);
        }
        !again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::settings::Settings;
    use crate::model::DEFAULT_RETENTION;

    #[test]
    fn a_recording_of_long_ago_is_not_over_before_its_end() {
        let diagnosis = Diagnosis::new("recording".to_owned(), Settings::default(), DEFAULT_RETENTION);
        let mut target = Watched::new(diagnosis, watch::channel(Wanted::default()).0);
        let minute = Duration::from_secs(60);
        let bar = Bar { fail_on: Severity::Warning, min_updates: 1, partial_passes: false };
        let plan = Plan { duration: Some(minute), heartbeat: minute, bar, judged: true };
        let mut tell = |seconds| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            target.first_update.get_or_insert(at);
            target.latest = Some((at, Instant::now()));
            target.check_time(plan);
            target.over
        };
        assert!(!tell(1_000), "its first update");
        assert!(!tell(1_030), "half of the time");
        assert!(tell(1_060), "all of it");
    }
}
