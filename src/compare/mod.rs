//! Canary against stable: whether one set of targets does worse than another that runs what is known to work.
//!
//! Pure: an [`Observer`] takes in what the diagnosis of a target says after each update, and [`compare`] makes one [`Comparison`] of all
//! observers. What is new comes first and needs no statistics; rates and times follow, each compared with how much stable differs from itself.

mod comparability;
mod comparison;
mod item;
mod judge;
mod load;
pub mod lockfile;
mod metric;
mod observer;
mod series;
mod statistics;
mod structure;

pub use self::comparison::{
    Change, Comparison, Conclusion, Coverage, Criteria, NewFinding, NewItem, Reason, Restarts, Side, Standing, Unit,
};
pub use self::item::{Item, Thing, Who};
pub use self::judge::compare;
pub use self::load::Load;
pub use self::metric::{Kind, Metric, Subject, What};
pub use self::observer::{FindingKey, Loss, Observer, Sighted};
pub use self::series::{BLOCK, Series};
pub use self::structure::{Exercise, Structure};
