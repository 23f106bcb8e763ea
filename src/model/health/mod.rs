//! How far the feed can be relied on: the target's clock, what was lost or late, what the target still remembers.

pub mod clock;
pub mod lag;
pub mod quality;
pub mod retention;
