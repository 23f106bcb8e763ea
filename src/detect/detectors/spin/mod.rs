//! Tasks that never rest.

pub(super) mod busy_loop;
pub(super) mod needless_spawn_blocking;
pub(super) mod self_wakes;
