//! Shows a person what is wrong with one or more targets, in a terminal.
//!
//! State, update, view: [`state`] is all that a frame depends on besides the fleet, `update` changes it, `views` draw it, and [`Ui`] says
//! when. What is shown comes from the [`report`](crate::report). Nothing here talks to a target.

mod backend;
mod comparing;
mod editor;
pub mod hyperlinks;
mod keyboard;
pub mod keymap;
pub mod list;
mod pane;
mod signals;
pub mod state;
pub mod tables;
mod terminal;
pub mod theme;
mod ui;
pub mod update;
mod views;
mod visit;
pub mod widgets;
mod writer;

pub use self::ui::{Asked, Attention, Presentation, Ui};
pub use self::views::draw;
