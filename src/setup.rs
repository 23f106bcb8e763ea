//! How a service is made to show its tasks, for the user.

/// What makes a service serve a console.
pub const SERVE: &str = "To instrument a service, add console-subscriber to its Cargo.toml, call `console_subscriber::init()` first in \
                         its main, turn on tokio's feature `tracing`, and build it with RUSTFLAGS=\"--cfg tokio_unstable\". It then \
                         listens on 127.0.0.1:6669, or where TOKIO_CONSOLE_BIND says";

/// What makes a console show tasks.
pub const SHOW_TASKS: &str = "Build the service with --cfg tokio_unstable and Tokio's feature `tracing`, call console_subscriber::init() \
                              before the runtime starts, let every filter pass tokio=trace and runtime=trace, and remove \
                              release_max_level_* features of tracing.";

/// What makes it show locks, channels and timers.
pub const SHOW_RESOURCES: &str = "If the service uses Tokio's locks or bounded channels, a filter drops their spans or the subscriber is \
                                  installed late: let filters pass runtime=trace, and call console_subscriber::init() before the runtime \
                                  starts.";
