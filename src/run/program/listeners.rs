//! Where a program listens instead of where its console should, and what to do about it.

use super::BIND;
use super::group::Group;
use crate::feed::endpoint::DEFAULT_PORT;

/// What a builder that reads the environment looks like.
const BUILDER: &str = "`console_subscriber::init()` reads it, and so does a builder with `.with_default_env()`";

/// Why its console is not where it should be, if it listens where consoles do by default.
pub(super) fn misplaced(group: Group, name: &str, port: u16) -> Option<String> {
    let ports = ports_of(group)?;
    (ports.contains(&DEFAULT_PORT) && !ports.contains(&port)).then(|| ignored(name, port))
}

/// Why its console could not be reached.
pub(super) fn unreachable(group: Group, name: &str, port: u16) -> String {
    let Some(ports) = ports_of(group) else {
        return format!(
            "{name} runs, but nothing answers at 127.0.0.1:{port}, where {BIND} says its console should be: {BUILDER}."
        );
    };
    if ports.contains(&port) {
        return format!("{name} listens at 127.0.0.1:{port}, but has sent no update from there.");
    }
    if ports.contains(&DEFAULT_PORT) {
        return ignored(name, port);
    }
    let elsewhere = match ports.as_slice() {
        [] => "no process of it listens on any port".to_owned(),
        [port] => format!("it listens only on port {port}"),
        ports => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            format!("it listens only on ports {}", ports.join(", "))
        }
    };
    format!(
        "{name} runs, but {elsewhere}. {BIND} puts its console at 127.0.0.1:{port}. Check that console-subscriber is built in and started; \
         {BUILDER}."
    )
}

fn ignored(name: &str, port: u16) -> String {
    format!(
        "{name} listens at port {DEFAULT_PORT}, where consoles are by default, and not at 127.0.0.1:{port}: the builder of its console ignores \
         {BIND}. {BUILDER}; a later `.server_addr(…)` replaces what it read."
    )
}

/// The ports of this machine at which processes of a group listen, in order; `None` if that cannot be read.
#[cfg(target_os = "linux")]
fn ports_of(group: Group) -> Option<Vec<u16>> {
    use std::collections::BTreeSet;

    use procfs::net::{TcpState, tcp, tcp6};
    use procfs::process::FDTarget;

    let sockets = group.members()?.into_iter().filter_map(|member| member.fd().ok()).flatten().flatten();
    let inodes: BTreeSet<u64> = sockets
        .filter_map(|it| match it.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    // A machine without IPv6 has no file for it.
    let all = tcp().ok()?.into_iter().chain(tcp6().unwrap_or_default());
    let listening = all.filter(|it| it.state == TcpState::Listen && inodes.contains(&it.inode));
    Some(listening.map(|it| it.local_address.port()).collect::<BTreeSet<_>>().into_iter().collect())
}

#[cfg(not(target_os = "linux"))]
fn ports_of(_: Group) -> Option<Vec<u16>> {
    None
}
