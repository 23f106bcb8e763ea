//! Witnesses: recordings that were cut down to what one finding needs, to show it anywhere.
//!
//! The detectors are deterministic, so leaving something out and playing the rest says whether it was needed. [`survey`] finds out what a
//! recording shows, [`cut()`] leaves out what one finding of it does not need, [`redact`] replaces names, and a [`Statement`] in the file says
//! what has to show again.

mod cut;
mod ddmin;
mod filter;
mod inventory;
mod lab;
pub mod redact;
mod sighting;
mod statement;
mod window;

pub use self::cut::{Cut, Extent, Order, Progress, cut, enough};
pub use self::lab::Budget;
pub use self::sighting::{Sighting, choose, survey};
pub use self::statement::Statement;
