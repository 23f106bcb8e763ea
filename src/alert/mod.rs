//! Tell a machine, or a log: what happens to targets, as events for any number of sinks.
//!
//! A [`Sink`](sink::Sink) takes events and the run's summary; each has a queue and a thread of its own, so that none can delay another
//! or the diagnosis. A new output is a new sink.

mod blame;
mod classes;
mod comparison;
mod documents;
pub mod event;
pub mod http;
mod limit;
mod lines;
mod names;
mod ndjson;
mod outlet;
mod outputs;
pub mod push;
pub mod sink;
mod stream;
mod text;

pub use self::blame::blame_lines;
pub use self::comparison::comparison_line;
pub use self::documents::DocumentFormat;
pub use self::limit::Limits;
pub use self::lines::{LineFormat, Lines};
pub use self::ndjson::{SCHEMA, stamped};
pub use self::outputs::{Failure, JOB_SUMMARY, Outputs};
