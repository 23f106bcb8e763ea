//! Shows a person what is wrong with one or more targets, in a terminal.
//!
//! State, update, view: [`state`] is all that a frame depends on, `update` changes it, `views` draw it, and `events` waits for what
//! changes it. Nothing here talks to a target.

mod events;
pub mod format;
mod keyboard;
pub mod keymap;
pub mod list;
pub mod state;
pub mod tables;
mod terminal;
pub mod theme;
pub mod update;
mod views;
pub mod widgets;
mod writer;

use std::time::SystemTime;

use ratatui::Frame;
use tokio::sync::{mpsc, watch};

use crate::diagnosis::{Arrived, Diagnosis, Wanted};

pub use self::events::run;
use self::state::UiState;

/// One target to be shown.
#[derive(Debug)]
pub struct Watched {
    /// What its feed delivers.
    pub events: mpsc::Receiver<Arrived>,
    /// Which tasks' details the feed should deliver.
    pub wanted: watch::Sender<Wanted>,
    /// What it comes to.
    pub diagnosis: Diagnosis,
}

/// Draws the whole screen as of `now`.
pub fn draw(frame: &mut Frame<'_>, state: &mut UiState, now: SystemTime) {
    views::draw(frame, state, now);
}
