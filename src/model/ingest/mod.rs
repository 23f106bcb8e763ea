//! What an update changes: the only writers of the model.

mod cancellations;
mod changes;
mod decode;
mod ends;
mod ops;
mod resources;
mod sites;
mod tasks;
mod time;
mod waits;

pub use self::changes::Changes;
