//! A port for the console of a program that is about to start.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

/// Ports above those from which systems take one for each outgoing connection (IANA's dynamic ports, without Linux's default range).
const ABOVE: RangeInclusive<u16> = 61_000..=65_535;
/// How many of them are tried.
const TRIES: u64 = 64;

/// A port on the loopback address that nobody listens on.
///
/// The program binds it some time later. A port of the system's own choice may be taken in between by any outgoing connection, so one is
/// chosen that the system gives to nobody who does not ask for it.
pub(super) fn free() -> io::Result<u16> {
    let (first, count) = (*ABOVE.start(), u64::from(ABOVE.end() - ABOVE.start()) + 1);
    let random = RandomState::new().hash_one(std::process::id());
    let candidates = (0..TRIES).filter_map(|nth| u16::try_from(random.wrapping_add(nth) % count).ok());
    let mut candidates = candidates.map(|offset| first + offset).filter(|port| !is_ephemeral(*port));
    match candidates.find_map(|port| bound(port).ok()) {
        Some(port) => Ok(port),
        None => bound(0),
    }
}

/// The port that this one becomes when it is bound.
fn bound(port: u16) -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr()?.port())
}

/// Whether the system gives this port to outgoing connections.
fn is_ephemeral(port: u16) -> bool {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = range.split_whitespace().filter_map(|bound| bound.parse::<u16>().ok());
    matches!((bounds.next(), bounds.next()), (Some(first), Some(last)) if (first..=last).contains(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_bound_and_is_another_one_each_time() {
        let ports: Vec<u16> = (0..8).map(|_| free().expect("a free port")).collect();
        assert!(ports.iter().all(|port| bound(*port).is_ok()), "{ports:?}");
        assert!(ports.iter().any(|port| *port != ports[0]), "{ports:?}");
    }
}
