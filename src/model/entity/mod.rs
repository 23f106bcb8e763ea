//! What the target consists of: tasks with their spawn sites, resources, async ops.

pub mod async_op;
pub mod details;
pub mod resource;
pub mod site;
pub mod stats;
pub mod task;
pub mod thread;
