//! [`tokio::sync::mpsc`], with channels that can be seen.
//!
//! All names, methods and guarantees are those of tokio, whose documentation applies: also its panics, its cancel safety and what happens
//! on closing. [`channel_named`] and [`unbounded_channel_named`] are new, and give the channel a name to be seen by.

mod bounded;
mod permit;
mod receiver;
mod unbounded;

pub use bounded::{Sender, WeakSender, channel, channel_named};
pub use permit::{OwnedPermit, Permit, PermitIterator};
pub use receiver::Receiver;
pub use tokio::sync::mpsc::error;
pub use unbounded::{
    UnboundedReceiver, UnboundedSender, WeakUnboundedSender, unbounded_channel, unbounded_channel_named,
};
