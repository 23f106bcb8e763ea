//! How far the feed can be relied on: the target's clock, how much of the time it accounts for, what was lost or late, what the target still remembers.

pub mod clock;
pub mod lag;
pub mod quality;
pub mod retention;
pub mod watch_time;
