//! The configuration: every source of it is read once, and comes to one [`Config`] in which each value knows where it comes from.
//!
//! From weakest to strongest: the defaults, the user's own file, `./tokio-canary.toml`, the file of `--config`, the environment, the flags.
//! Whoever is closer to the run wins. With `--config` the user's own file is not read. Suppressions are not values: those of all files apply.
//!
//! `./tokio-canary.toml` comes with a checkout, perhaps a stranger's, so it may only set thresholds and suppressions.

mod accepted;
mod appearance;
pub mod baseline;
mod check;
mod document;
mod environment;
mod fault;
mod file;
mod flags;
pub mod headers;
mod layer;
mod listen;
pub mod options;
mod origin;
pub mod output;
mod period;
mod pods;
mod quote;
mod rate_limit;
pub mod receiver;
mod resolved;
mod show;
mod sources;
pub mod word;

pub use self::check::{Checked, check};
pub use self::environment::variable;
pub use self::fault::{Fault, Faults};
pub use self::file::LOCAL_FILE;
pub use self::flags::Flags;
pub use self::listen::Listen;
pub use self::origin::{Origin, Sourced};
pub use self::pods::Pods;
pub use self::resolved::Config;
pub use self::show::show;
pub use self::sources::Sources;
