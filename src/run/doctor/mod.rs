//! `doctor`: looks at targets step by step, and says of each whether it can be watched.

mod lines;
mod process;

use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use self::lines::Lines;
use self::process::{LOOK, Process, Used};
use super::exit::{INCONCLUSIVE, SUCCESS, UsageError, worst_of};
use super::opener::options;
use super::signals::Stop;
use super::watch::Watch;
use crate::cli::DoctorArgs;
use crate::config::Config;
use crate::config::options::RETAIN;
use crate::diagnosis::Diagnosis;
use crate::doctor::{self, Checkup, Cost, File, Seen};
use crate::feed::endpoint::{Address, Target};
use crate::feed::live::examine::examine;
use crate::feed::recording::{self, Events, Speed};
use crate::feed::{Feed, live, mapped};
use crate::fleet::{Member, Step};
use crate::report::Snapshot;
use crate::report::feed::FeedView;
use crate::report::sanitize::Charset;

/// How long a target is watched unless `--for` says otherwise.
pub(super) const DEFAULT_LOOK: Duration = Duration::from_secs(5);

/// How long its first update is waited for, if that is longer.
const FIRST: Duration = Duration::from_secs(10);

/// Looks at every target, one after the other. Returns the exit code: 0 if all of them can be watched, 3 if one cannot.
///
/// # Errors
/// What is seen cannot be written.
pub(super) async fn run(args: &DoctorArgs, config: &Config, stop: &Stop) -> anyhow::Result<u8> {
    if config.targets().is_empty() {
        return Err(UsageError("Name the target to look at: those of `targets-from` come and go.".to_owned()).into());
    }
    let mut lines = Lines::open(&args.output, charset()).map_err(UsageError)?;
    let mut codes = Vec::new();
    for target in config.targets() {
        if stop.is_asked() {
            codes.push(INCONCLUSIVE);
            break;
        }
        let look = Look { target, config, duration: args.duration.unwrap_or(DEFAULT_LOOK), stop };
        codes.push(look.report(&mut lines).await?);
    }
    Ok(worst_of(codes))
}

fn charset() -> Charset {
    if io::stdout().is_terminal() { Charset::of_terminal(|name| env::var(name).ok()) } else { Charset::Unicode }
}

/// A target that is looked at.
struct Look<'a> {
    target: &'a Target,
    config: &'a Config,
    duration: Duration,
    stop: &'a Stop,
}

/// What came of watching it.
struct Watched {
    view: Option<FeedView>,
    seen: Seen,
}

impl Look<'_> {
    /// Looks at it, and says each step as soon as it has ended.
    async fn report(&self, lines: &mut Lines) -> anyhow::Result<u8> {
        let name = self.target.to_string();
        lines.begin(&name)?;
        let mut checkup = Checkup::new(self.target);
        match self.target {
            Target::Live(address) => {
                checkup.went(examine(address, &options(self.config)).await);
                lines.steps(checkup.steps_from(0), &name)?;
                let said = checkup.steps_from(0).len();
                if checkup.failed().is_none() {
                    self.feed_of(address, &mut checkup).await;
                }
                checkup.close();
                lines.steps(checkup.steps_from(said), &name)?;
            }
            Target::Recording(path) => {
                self.recording_of(path, &mut checkup).await;
                checkup.close();
                lines.steps(checkup.steps_from(0), &name)?;
            }
        }
        let is_interrupted = self.stop.is_asked();
        let code = if checkup.failed().is_some() || is_interrupted { INCONCLUSIVE } else { SUCCESS };
        lines.end(&checkup, (code, is_interrupted), &name)?;
        Ok(code)
    }

    async fn feed_of(&self, address: &Address, checkup: &mut Checkup) {
        let process = Process::at(address);
        let before = match process.as_ref().and_then(Process::used) {
            Some(began) => {
                sleep(LOOK).await;
                process.as_ref().and_then(Process::used).map(|used| used.share_since(&began))
            }
            None => None,
        };
        let began = process.as_ref().and_then(Process::used);
        let feed = live::open(address.clone(), options(self.config));
        let Watched { view, seen } = self.watch(feed).await;
        let ended: Option<Used> = process.as_ref().and_then(Process::used);
        let cost = process.zip(before).zip(began.zip(ended)).map(|((process, before), (began, ended))| Cost {
            process: (process.id, process.name),
            before,
            during: ended.share_since(&began),
        });
        checkup.note(view.iter().flat_map(|view| doctor::feed(view, &seen, Some(cost.as_ref()))));
    }

    async fn recording_of(&self, path: &Path, checkup: &mut Checkup) {
        let opened =
            file(path).and_then(|file| Ok((file, recording::open(path, Speed::Max).map_err(|it| it.to_string())?)));
        let (file, feed) = match opened {
            Ok((file, feed)) => (Ok(file), feed),
            Err(sentence) => return checkup.note(doctor::recording(&Err(sentence), &Seen::default())),
        };
        let Watched { view, seen } = self.watch(feed).await;
        checkup.note(doctor::recording(&file, &seen));
        checkup.note(view.iter().flat_map(|view| doctor::feed(view, &seen, None)));
    }

    /// Watches a feed: a recording to its end, a service for a while.
    async fn watch(&self, feed: Feed) -> Watched {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let seeing = seen.clone();
        let feed = mapped(feed, move |arrived| {
            seeing.lock().unwrap_or_else(PoisonError::into_inner).take(&arrived);
            arrived
        });
        let (settings, retention) = (self.config.settings().clone(), self.config.get(&RETAIN).0);
        let mut watch = Watch::default();
        let id = watch.open(Diagnosis::new(self.target.to_string(), settings, retention), feed);
        let is_live = matches!(self.target, Target::Live(_));
        let mut until = Instant::now() + FIRST.max(self.duration);
        let mut has_begun = false;
        let mut asked = std::pin::pin!(self.stop.asked());
        loop {
            let step = tokio::select! {
                () = &mut asked => break,
                () = sleep_until(until), if is_live => break,
                step = watch.next() => step,
            };
            if matches!(step, None | Some(Step::Closed(_))) {
                break;
            }
            let updates = watch.fleet().member(id).map_or(0, |member| member.diagnosis().updates());
            if updates > 0 && !std::mem::replace(&mut has_begun, true) {
                until = Instant::now() + self.duration;
            }
        }
        let view = watch.fleet().member(id).map(|member: &Member| Snapshot::new(watch.fleet(), member).feed());
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Watched { view, seen }
    }
}

/// The file of a recording, as far as its beginning tells.
fn file(path: &Path) -> Result<File, String> {
    let events = Events::open(path).map_err(|error| error.to_string())?;
    let bytes = path.metadata().map(|it| it.len()).unwrap_or_default();
    Ok(File { bytes, target: events.target().to_owned(), version: events.version().to_owned() })
}
