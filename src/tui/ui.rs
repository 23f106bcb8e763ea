//! The terminal as a consumer: it takes steps in, says when it needs attention, and does what that asks for.

use std::io;
use std::process::ExitStatus;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail};
use crossterm::event::{Event, KeyEvent};
use rustix::process::{Signal, kill_current_process_group};
use tokio::process::Child;
use tokio::time::{sleep, sleep_until};

use super::editor;
use super::hyperlinks::Hyperlinks;
use super::keyboard::Keyboard;
use super::signals::Signals;
use super::state::UiState;
use super::terminal::Screen;
use super::theme::Theme;
use super::update::{Effect, Surroundings};
use super::views;
use crate::diagnosis::Criteria;
use crate::fleet::{Fleet, Step, TargetId};
use crate::playing::Ask;
use crate::report::TaskKey;
use crate::report::progress::ProgressView;
use crate::report::repository::Repository;

/// The least time between two frames.
const FRAME: Duration = Duration::from_millis(33);
/// How often a countdown is brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait for being stopped. Where nobody could continue us, the system does not stop us at all.
const STOPPING: Duration = Duration::from_millis(500);

/// What needs the attention of the terminal.
#[derive(Debug)]
pub enum Attention {
    /// The process was stopped and has been continued.
    Continue,
    /// A thread has panicked; the terminal has been given back already.
    Panicked,
    /// A key was pressed.
    Key(KeyEvent),
    /// Something else came from the terminal, such as a new size of it.
    Other,
    /// The keyboard is gone.
    NoKeyboard(Option<io::Error>),
    /// The user has left the editor.
    Edited(io::Result<ExitStatus>),
    /// It is time for a frame.
    Frame,
    /// The terminal has taken the frame before.
    Free,
    /// What is on the screen has grown older.
    Tick,
}

/// What the user asks for that the terminal cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing.
    Nothing,
    /// To leave.
    Leave,
    /// A text in a file of its own.
    Keep {
        /// The text.
        text: String,
        /// The name of the file.
        file: String,
    },
    /// A witness of a finding of a target.
    Witness {
        /// The target.
        target: TargetId,
        /// The finding.
        fingerprint: String,
    },
    /// To play a recording otherwise.
    Play {
        /// The target.
        target: TargetId,
        /// How.
        ask: Ask,
    },
    /// To save what is kept of a target.
    Save {
        /// The target.
        target: TargetId,
    },
}

/// What the screen looks like.
#[derive(Debug)]
pub struct Presentation {
    /// Colours and glyphs.
    pub theme: Theme,
    /// Where the places of targets are.
    pub repository: Repository,
    /// What makes places lead there, where it is wanted.
    pub hyperlinks: Option<Hyperlinks>,
}

/// The screen, the keyboard and what is on the screen.
pub struct Ui {
    screen: Screen,
    state: UiState,
    hyperlinks: Option<Hyperlinks>,
    keys: Keyboard,
    editor: Option<Child>,
    signals: Signals,
    dirty: bool,
    is_ticking: bool,
    /// Absolute, so that nothing that happens meanwhile can put it off.
    next_frame: Instant,
    next_tick: Instant,
}

impl Ui {
    /// Takes the terminal, to show targets measured by these criteria.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(criteria: Criteria, presentation: Presentation) -> anyhow::Result<Self> {
        let Presentation { theme, repository, hyperlinks } = presentation;
        let signals = Signals::new()?;
        let screen = Screen::open().context("The terminal cannot be used.")?;
        let now = Instant::now();
        Ok(Self {
            screen,
            state: UiState { criteria, repository, ..UiState::new(theme) },
            hyperlinks,
            keys: Keyboard::listen()?,
            editor: None,
            signals,
            dirty: true,
            is_ticking: false,
            next_frame: now,
            next_tick: now + TICK,
        })
    }

    /// Gives the terminal back, from any thread, for a process that ends in the middle of something.
    pub fn restorer(&self) -> impl FnOnce() + Send + 'static {
        self.screen.restorer()
    }

    /// Takes in a step. Whatever it was, the picture may be another.
    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Joined(_) | Step::Arrived { .. } | Step::Closed(_) | Step::Left(_) => self.dirty = true,
        }
    }

    /// The task of a target that is on the screen, whose details are worth having.
    pub fn open_task(&self, target: TargetId) -> Option<TaskKey> {
        self.state.open_task(target)
    }

    /// Waits until something needs attention. Nothing is lost if it is dropped before.
    pub async fn attention(&mut self) -> Attention {
        let (free, is_editing) = (self.screen.is_free(), self.editor.is_some());
        tokio::select! {
            biased;
            () = self.signals.continued() => Attention::Continue,
            () = self.screen.panicked() => Attention::Panicked,
            status = editor::closed(&mut self.editor) => Attention::Edited(status),
            event = self.keys.next() => match event {
                Some(Ok(Event::Key(key))) => Attention::Key(key),
                Some(Ok(_)) => Attention::Other,
                Some(Err(error)) => Attention::NoKeyboard(Some(error)),
                None => Attention::NoKeyboard(None),
            },
            () = sleep_until(self.next_frame.into()), if self.dirty && free && !is_editing => Attention::Frame,
            () = self.screen.freed(), if self.dirty && !free => Attention::Free,
            () = sleep_until(self.next_tick.into()), if self.is_ticking => Attention::Tick,
        }
    }

    /// Makes the next frame a new one.
    pub fn refresh(&mut self) {
        self.dirty = true;
    }

    /// Opens the page of a finding of a target.
    pub fn open_finding(&mut self, fleet: &Fleet, target: TargetId, fingerprint: &str) {
        self.state.open_finding(fleet, target, fingerprint);
        self.dirty = true;
    }

    /// Shows what a comparison of the targets comes to so far.
    pub fn compare(&mut self, view: ProgressView) {
        self.state.compare(view);
        self.dirty = true;
    }

    /// Shows a sentence until the next key.
    pub fn say(&mut self, sentence: String) {
        self.state.message = Some(sentence);
        self.dirty = true;
    }

    /// Does what something that needs attention asks for, and returns what it cannot do itself.
    ///
    /// # Errors
    /// The terminal cannot be used any more, or a part of the tool has panicked.
    pub async fn attend(&mut self, attention: Attention, fleet: &Fleet) -> anyhow::Result<Asked> {
        match attention {
            Attention::Continue => self.enter()?,
            Attention::Panicked => bail!("A part of the tool failed; the message above says where."),
            Attention::Key(key) => return self.press(key, fleet).await,
            Attention::Other => self.dirty = true,
            Attention::NoKeyboard(Some(error)) => return Err(error).context("The keyboard cannot be read."),
            Attention::NoKeyboard(None) => bail!("The terminal sends no more keys."),
            Attention::Frame => self.draw(fleet)?,
            Attention::Edited(status) => self.edited(status)?,
            Attention::Free => {}
            Attention::Tick => {
                self.next_tick = Instant::now() + TICK;
                self.dirty = true;
            }
        }
        Ok(Asked::Nothing)
    }

    fn draw(&mut self, fleet: &Fleet) -> anyhow::Result<()> {
        self.dirty = false;
        self.next_frame = Instant::now() + FRAME;
        self.is_ticking = self.state.is_ticking(fleet);
        let (state, hyperlinks, now) = (&mut self.state, &mut self.hyperlinks, SystemTime::now());
        let drawn = self.screen.draw(|frame| {
            views::draw(frame, state, fleet, now);
            if let Some(hyperlinks) = hyperlinks {
                hyperlinks.apply(frame.buffer_mut(), &state.repository);
            }
        });
        drawn.context("The terminal takes no output any more.")
    }

    /// Leaves the terminal to the user's editor. The targets are watched all the same.
    fn edit(&mut self, path: &str, line: u32) -> anyhow::Result<()> {
        self.keys.leave();
        self.screen.leave();
        match editor::open(path, line) {
            Ok(editor) => {
                self.editor = Some(editor);
                Ok(())
            }
            Err(sentence) => {
                self.keys.resume();
                self.say(sentence);
                self.enter()
            }
        }
    }

    fn edited(&mut self, status: io::Result<ExitStatus>) -> anyhow::Result<()> {
        self.editor = None;
        self.keys.resume();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => self.say(format!("The editor failed: {status}.")),
            Err(error) => self.say(format!("The editor cannot be waited for: {error}.")),
        }
        self.enter()
    }

    fn enter(&mut self) -> anyhow::Result<()> {
        self.dirty = true;
        self.screen.enter().context("The terminal cannot be taken again.")
    }

    async fn press(&mut self, key: KeyEvent, fleet: &Fleet) -> anyhow::Result<Asked> {
        let around = Surroundings { fleet, width: self.screen.width(), now: SystemTime::now() };
        self.dirty = true;
        match self.state.press(key, around) {
            Some(Effect::Quit) => return Ok(Asked::Leave),
            Some(Effect::Witness { target, fingerprint }) => return Ok(Asked::Witness { target, fingerprint }),
            Some(Effect::Copy { text, file }) => {
                self.screen.copy(&text).context("The terminal takes no output any more.")?;
                return Ok(Asked::Keep { text, file });
            }
            Some(Effect::Edit { path, line }) => self.edit(&path, line)?,
            Some(Effect::Play { target, ask }) => return Ok(Asked::Play { target, ask }),
            Some(Effect::Save { target }) => return Ok(Asked::Save { target }),
            Some(Effect::Redraw) => self.screen.forget()?,
            Some(Effect::Suspend) => {
                self.screen.leave();
                // The whole job, as the terminal itself would do it: a shell waits for all of its processes.
                kill_current_process_group(Signal::TSTP)?;
                // We may be stopped only after this call has returned.
                tokio::select! {
                    () = self.signals.continued() => {}
                    () = sleep(STOPPING) => {}
                }
                self.enter()?;
            }
            None => {}
        }
        Ok(Asked::Nothing)
    }
}
