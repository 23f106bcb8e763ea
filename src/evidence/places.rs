//! Well-known places of libraries: what is spawned or made there, so that a place which tells nothing can be named.
//!
//! A place is known by its package and file, for lines move with every release. Each row names the release in which it was looked up.

use crate::model::location::Location;
use crate::model::tokio::{ResourceKind, TaskKind};

/// What is spawned or made at a well-known place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A task for each connection of a server or client, which runs the handlers of its users.
    Connection,
    /// A task that works in the background for as long as the service runs.
    Background,
    /// A short task of the library's own.
    Chore,
    /// A task for each actor.
    Actor,
    /// Whatever the library's users give it to run.
    Executor,
    /// A semaphore whose permits are connections or other things that are lent.
    Pool,
    /// A semaphore that bounds how many requests are in progress.
    Limit,
    /// A semaphore without permits that is opened once.
    Gate,
    /// A channel for the answer to one request.
    Reply,
    /// The same for a request over HTTP.
    HttpReply,
    /// The timer of a timeout around the requests that a service answers.
    Timeout,
}

/// A well-known place.
#[derive(Debug)]
pub struct Place {
    /// The package.
    package: &'static str,
    /// The end of the file's path.
    file: &'static str,
    /// The lines, where several things happen in one file.
    lines: Option<(u32, u32)>,
    /// What it is called in a sentence.
    pub name: &'static str,
    /// What it is.
    pub part: Part,
    /// The release that was read.
    #[cfg_attr(not(test), expect(dead_code, reason = "the source of the row, for its maintainer"))]
    checked: &'static str,
}

const fn place(
    package: &'static str,
    file: &'static str,
    name: &'static str,
    part: Part,
    checked: &'static str,
) -> Place {
    Place { package, file, lines: None, name, part, checked }
}

/// Where libraries spawn tasks.
static TASKS: &[Place] = &[
    Place {
        lines: Some((1, 320)),
        ..place("axum", "src/serve/mod.rs", "axum shutdown watcher", Part::Background, "0.8.9")
    },
    place("axum", "src/serve/mod.rs", "axum connection", Part::Connection, "0.8.9"),
    place("axum", "src/serve.rs", "axum connection", Part::Connection, "0.7.9"),
    place("axum", "src/extract/ws.rs", "axum WebSocket", Part::Connection, "0.8.9"),
    place("tonic", "src/transport/server/mod.rs", "tonic connection", Part::Connection, "0.14.9"),
    place("hyper-util", "src/rt/tokio.rs", "hyper task", Part::Executor, "0.1.21"),
    place("hyper", "src/common/exec.rs", "hyper task", Part::Executor, "0.14.32"),
    place("warp", "src/filters/ws.rs", "warp WebSocket", Part::Connection, "0.3.7"),
    place("jsonrpsee-server", "src/server.rs", "jsonrpsee connection", Part::Connection, "0.25.1"),
    place("actix-rt", "src/arbiter.rs", "actix task", Part::Executor, "2.15.0"),
    place("reqwest", "src/blocking/client.rs", "reqwest blocking request", Part::Executor, "0.12.28"),
    place("sqlx-core", "src/pool/inner.rs", "sqlx pool maintenance", Part::Background, "0.8.6"),
    place("sqlx-core", "src/pool/connection.rs", "sqlx pool return", Part::Chore, "0.8.6"),
    place("deadpool-postgres", "src/lib.rs", "deadpool Postgres connection", Part::Background, "0.14.2"),
    place("reqwest", "src/async_impl/h3_client/pool.rs", "reqwest HTTP/3 connection", Part::Background, "0.12.28"),
    place("opentelemetry_sdk", "src/runtime.rs", "OpenTelemetry exporter", Part::Background, "0.31.0"),
    place("kube-client", "src/api/remote_command.rs", "kube exec session", Part::Connection, "5.0.0"),
    place("kube-client", "src/api/portforward.rs", "kube port forward", Part::Connection, "5.0.0"),
    place("tower", "src/spawn_ready/service.rs", "tower readiness check", Part::Chore, "0.5.3"),
    place("fred", "src/runtime/_tokio.rs", "fred task", Part::Background, "10.1.0"),
    place("bb8", "src/inner.rs", "bb8 reaper", Part::Background, "0.9.1"),
    place("redis", "src/aio/tokio.rs", "redis connection", Part::Background, "0.32.7"),
    place("mongodb", "src/runtime/join_handle.rs", "mongodb task", Part::Executor, "3.9.1"),
    place("async-nats", "src/lib.rs", "nats connection", Part::Background, "0.42.0"),
    place("quinn", "src/runtime/tokio.rs", "quinn driver", Part::Background, "0.11.12"),
    place("tower", "src/buffer/service.rs", "tower buffer worker", Part::Background, "0.5.3"),
    place("kameo", "src/actor/spawn.rs", "kameo actor", Part::Actor, "0.17.2"),
    place("ractor", "src/concurrency/tokio_primitives.rs", "ractor task", Part::Actor, "0.15.13"),
    place("hickory-proto", "src/runtime.rs", "hickory DNS task", Part::Background, "0.25.2"),
];

/// Where libraries make resources.
static RESOURCES: &[(ResourceKind, Place)] = &[
    (ResourceKind::Semaphore, place("sqlx-core", "src/pool/inner.rs", "sqlx pool", Part::Pool, "0.8.6")),
    (ResourceKind::Semaphore, place("sqlx-core", "src/sync.rs", "sqlx pool", Part::Pool, "0.8.6")),
    (ResourceKind::Semaphore, place("deadpool", "src/managed/pool.rs", "deadpool pool", Part::Pool, "0.12.3")),
    (ResourceKind::Semaphore, place("deadpool", "src/managed/mod.rs", "deadpool pool", Part::Pool, "0.12.1")),
    (ResourceKind::Semaphore, place("deadpool", "src/unmanaged/mod.rs", "deadpool pool", Part::Pool, "0.12.3")),
    (
        ResourceKind::Semaphore,
        place("tower", "src/limit/concurrency/layer.rs", "tower concurrency limit", Part::Limit, "0.5.3"),
    ),
    (
        ResourceKind::Semaphore,
        place("tower", "src/limit/concurrency/service.rs", "tower concurrency limit", Part::Limit, "0.5.3"),
    ),
    (ResourceKind::Semaphore, place("kameo", "src/actor/spawn.rs", "kameo start-up gate", Part::Gate, "0.17.2")),
    (ResourceKind::Oneshot, place("hyper", "src/client/dispatch.rs", "hyper response", Part::HttpReply, "1.12.0")),
    (ResourceKind::Oneshot, place("redis", "src/aio/multiplexed_connection.rs", "redis reply", Part::Reply, "0.32.7")),
    (ResourceKind::Oneshot, place("redis", "src/aio/pubsub.rs", "redis reply", Part::Reply, "0.32.7")),
    (ResourceKind::Oneshot, place("tower", "src/buffer/service.rs", "tower buffer response", Part::Reply, "0.5.3")),
    (ResourceKind::Sleep, place("tower-http", "src/timeout/service.rs", "tower-http timeout", Part::Timeout, "0.6.11")),
    (ResourceKind::Sleep, place("tower", "src/timeout/mod.rs", "tower timeout", Part::Timeout, "0.5.3")),
    (ResourceKind::Sleep, place("hyper-util", "src/rt/tokio.rs", "hyper timer", Part::Executor, "0.1.21")),
];

/// Packages whose places mean something to rules besides those in the tables.
const OTHERS: [&str; 2] = ["console-subscriber", "tokio"];

/// Whether any rule knows places of a package.
pub fn is_known_package(name: &str) -> bool {
    OTHERS.contains(&name) || TASKS.iter().chain(RESOURCES.iter().map(|(_, place)| place)).any(|it| it.package == name)
}

/// Whether tasks that are spawned at a place may do any kind of work, so that siblings say nothing of each other: a library runs what its users
/// give it there. Actors are siblings by their names.
pub fn is_no_place_of_work(kind: TaskKind, location: &Location) -> bool {
    location.is_library() && of_task(kind, location).is_none_or(|place| place.part != Part::Actor)
}

impl Place {
    fn is_at(&self, location: &Location) -> bool {
        let of_package = location.package().is_some_and(|package| package.name == self.package);
        let in_lines =
            self.lines.is_none_or(|(first, last)| location.line().is_some_and(|line| (first..=last).contains(&line)));
        of_package && location.file().ends_with(self.file) && in_lines
    }
}

/// What is spawned at a place, if that is well known.
pub fn of_task(kind: TaskKind, location: &Location) -> Option<&'static Place> {
    let spawned = kind.is_spawned() && location.is_library();
    spawned.then(|| TASKS.iter().find(|place| place.is_at(location))).flatten()
}

/// What is made at a place, if that is well known.
pub fn of_resource(kind: ResourceKind, location: &Location) -> Option<&'static Place> {
    let known =
        location.is_library().then(|| RESOURCES.iter().find(|(of, place)| *of == kind && place.is_at(location)));
    known.flatten().map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_known_by_package_and_file_whatever_the_release() {
        let name = |location: &str| of_task(TaskKind::Task, &Location::parse(location)).map(|place| place.name);
        assert_eq!(name("axum-0.8.9/src/serve/mod.rs:389:5"), Some("axum connection"));
        assert_eq!(name("axum-0.8.1/src/serve/mod.rs:276:9"), Some("axum shutdown watcher"));
        assert_eq!(name("hyper-util-0.1.9/src/rt/tokio.rs:115:9"), Some("hyper task"));
        assert_eq!(name("sqlx-core-0.8.6/src/pool/connection.rs:208:13"), Some("sqlx pool return"));
        assert_eq!(name("sqlx-core-0.8.6/src/pool/inner.rs:529:5"), Some("sqlx pool maintenance"));
        // Its `rt::spawn` is `track_caller`: no task of it is ever from there, and one that were could be of any kind.
        assert_eq!(name("sqlx-core-0.8.6/src/rt/mod.rs:68:41"), None);
        assert_eq!(name("src/serve/mod.rs:389:5"), None);
        assert_eq!(name("my-axum-0.8.9/src/serve/mod.rs:389:5"), None);
        let pool = of_resource(ResourceKind::Semaphore, &Location::parse("sqlx-core-0.8.2/src/sync.rs:37:17"));
        assert_eq!(pool.map(|place| place.part), Some(Part::Pool));
        assert!(of_resource(ResourceKind::Oneshot, &Location::parse("sqlx-core-0.8.2/src/sync.rs:37:17")).is_none());
    }

    #[test]
    fn a_package_is_known_by_its_whole_name() {
        assert!(["axum", "deadpool", "tokio"].into_iter().all(is_known_package));
        assert!(!["my-axum", "tokio-util", "orders", ""].into_iter().any(is_known_package));
    }

    #[test]
    fn every_row_says_where_it_was_looked_up() {
        for place in TASKS.iter().chain(RESOURCES.iter().map(|(_, place)| place)) {
            assert!(place.checked.starts_with(|it: char| it.is_ascii_digit()), "{}", place.name);
        }
    }
}
