//! Waits for whatever comes next: a signal, a key, the time for a frame, or news from a target.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use crossterm::event::Event;
use rustix::process::{Signal, kill_current_process_group};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, sleep_until};

use super::Watched;
use super::keyboard;
use super::state::UiState;
use super::terminal::Screen;
use super::theme::Theme;
use super::update::Effect;
use crate::diagnosis::{Arrived, Wanted};

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// How often a countdown is brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// How long news are taken in before the keyboard and the screen have their turn again.
const TURN: Duration = Duration::from_millis(20);
/// How long to wait for being stopped. Where nobody could continue us, the system does not stop us at all.
const STOPPING: Duration = Duration::from_millis(500);

/// Shows the targets until the user leaves, or a signal ends it.
///
/// # Errors
/// The terminal cannot be used any more, or a part of the tool has panicked.
pub async fn run(targets: Vec<Watched>) -> anyhow::Result<()> {
    let mut feeds = Vec::new();
    let mut diagnoses = Vec::new();
    for Watched { events, wanted, diagnosis } in targets {
        feeds.push(Source { events: Some(events), wanted });
        diagnoses.push(diagnosis);
    }
    let mut signals = Signals::new()?;
    let screen = Screen::open().context("The terminal cannot be used.")?;
    let mut ui =
        Ui { screen, state: UiState::new(diagnoses, Theme::from_env()), dirty: true, next_frame: Instant::now() };
    let mut keys = keyboard::listen()?;
    let mut next_tick = Instant::now() + TICK;
    loop {
        let free = ui.screen.is_free();
        tokio::select! {
            biased;
            signal = signals.next() => match signal {
                Told::Stop => return Ok(()),
                Told::Continue => ui.enter()?,
            },
            () = ui.screen.panicked() => bail!("A part of the tool failed; the message above says where."),
            event = keys.recv() => match event {
                Some(event) => if ui.take(event?, &mut signals).await?.is_break() { return Ok(()) },
                None => bail!("The terminal sends no more keys."),
            },
            () = sleep_until(ui.next_frame.into()), if ui.dirty && free => ui.draw()?,
            () = ui.screen.freed(), if ui.dirty && !free => {}
            (target, arrived) = next_event(&mut feeds) => ui.take_news(target, arrived, &mut feeds),
            () = sleep_until(next_tick.into()), if ui.state.is_ticking() => {
                next_tick = Instant::now() + TICK;
                ui.dirty = true;
            }
        }
        for (target, feed) in feeds.iter().enumerate() {
            feed.want(ui.state.wanted(target));
        }
    }
}

/// The screen and what is on it.
struct Ui {
    screen: Screen,
    state: UiState,
    dirty: bool,
    /// Absolute, so that nothing that happens meanwhile can put it off.
    next_frame: Instant,
}

impl Ui {
    fn draw(&mut self) -> anyhow::Result<()> {
        self.dirty = false;
        self.next_frame = Instant::now() + FRAME;
        self.screen.draw(&mut self.state, SystemTime::now()).context("The terminal takes no output any more.")
    }

    fn enter(&mut self) -> anyhow::Result<()> {
        self.dirty = true;
        self.screen.enter().context("The terminal cannot be taken again.")
    }

    /// Takes in what came from the terminal.
    async fn take(&mut self, event: Event, signals: &mut Signals) -> anyhow::Result<std::ops::ControlFlow<()>> {
        let effect = match event {
            Event::Key(key) => self.state.press(key, self.screen.width(), SystemTime::now()),
            Event::Resize(..) => None,
            _ => return Ok(std::ops::ControlFlow::Continue(())),
        };
        self.dirty = true;
        match effect {
            Some(Effect::Quit) => return Ok(std::ops::ControlFlow::Break(())),
            Some(Effect::Redraw) => self.screen.forget()?,
            Some(Effect::Suspend) => {
                self.screen.leave();
                // The whole job, as the terminal itself would do it: a shell waits for all of its processes.
                kill_current_process_group(Signal::TSTP)?;
                // We may be stopped only after this call has returned.
                tokio::select! {
                    () = signals.continued() => {}
                    () = sleep(STOPPING) => {}
                }
                self.enter()?;
            }
            None => {}
        }
        Ok(std::ops::ControlFlow::Continue(()))
    }

    /// Takes in what a target said, and everything else that has arrived already.
    fn take_news(&mut self, target: usize, arrived: Arrived, feeds: &mut [Source]) {
        self.dirty = true;
        let started = Instant::now();
        let mut next = Some((target, arrived));
        while let Some((target, arrived)) = next.take() {
            self.state.apply(target, arrived);
            if started.elapsed() < TURN {
                next = feeds.iter_mut().enumerate().find_map(|(target, feed)| {
                    let arrived = feed.events.as_mut()?.try_recv().ok()?;
                    Some((target, arrived))
                });
            }
        }
    }
}

/// One target's feed.
struct Source {
    /// Until it has ended.
    events: Option<mpsc::Receiver<Arrived>>,
    wanted: watch::Sender<Wanted>,
}

impl Source {
    fn want(&self, tasks: Wanted) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != tasks;
            *wanted = tasks;
            changed
        });
    }
}

/// The next news of any target. Never resolves when all feeds have ended.
async fn next_event(feeds: &mut [Source]) -> (usize, Arrived) {
    poll_fn(|context| {
        for (target, feed) in feeds.iter_mut().enumerate() {
            let Some(events) = &mut feed.events else { continue };
            match events.poll_recv(context) {
                Poll::Ready(Some(arrived)) => return Poll::Ready((target, arrived)),
                Poll::Ready(None) => feed.events = None,
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}

/// What a signal told us.
enum Told {
    Stop,
    Continue,
}

/// The signals that concern a terminal.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    resume: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            resume: signal(SignalKind::from_raw(Signal::CONT.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.hang_up.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.resume.recv() => Told::Continue,
        }
    }

    async fn continued(&mut self) {
        self.resume.recv().await;
    }
}
