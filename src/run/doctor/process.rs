//! The process behind a target, where it runs on this machine and may be looked at: the CPU time that it uses.

use std::time::{Duration, Instant};

use crate::feed::endpoint::Address;

/// How long a process is looked at before it is watched: CPU time is counted in steps of 10 ms.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// A process of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: i32,
    pub(super) name: String,
}

/// The CPU time that a process has used by a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    at: Instant,
    cpu: Duration,
}

impl Used {
    /// The share of a core since an earlier moment.
    pub(super) fn share_since(&self, earlier: &Self) -> f64 {
        let passed = self.at.saturating_duration_since(earlier.at);
        let used = self.cpu.saturating_sub(earlier.cpu);
        if passed.is_zero() { 0.0 } else { used.div_duration_f64(passed) }
    }
}

#[cfg(target_os = "linux")]
impl Process {
    /// The process that listens at an address of this machine; `None` if there is none, or it may not be looked at.
    pub(super) fn at(address: &Address) -> Option<Self> {
        use procfs::process::{FDTarget, all_processes};

        let inodes = listening(address)?;
        let holds = |target: &FDTarget| matches!(target, FDTarget::Socket(inode) if inodes.contains(inode));
        let mut processes = all_processes().ok()?.flatten();
        // The files of other users' processes cannot be seen.
        let process =
            processes.find(|it| it.fd().is_ok_and(|mut all| all.any(|fd| fd.is_ok_and(|fd| holds(&fd.target)))))?;
        Some(Self { id: process.pid, name: process.stat().ok()?.comm })
    }

    /// The CPU time that it has used; `None` once it has ended.
    pub(super) fn used(&self) -> Option<Used> {
        let stat = procfs::process::Process::new(self.id).and_then(|process| process.stat()).ok()?;
        let ticks = u32::try_from(stat.utime.saturating_add(stat.stime)).ok()?;
        let second = u32::try_from(procfs::ticks_per_second()).ok().filter(|it| *it > 0)?;
        Some(Used { at: Instant::now(), cpu: Duration::from_secs(1).saturating_mul(ticks) / second })
    }
}

/// The sockets of this machine that listen at an address; `None` if it is elsewhere.
#[cfg(target_os = "linux")]
fn listening(address: &Address) -> Option<Vec<u64>> {
    use std::net::IpAddr;

    use procfs::net::{TcpState, tcp, tcp6, unix};

    match address {
        Address::Tcp { host, port } | Address::Tls { host, port } => {
            let is_here =
                host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
            if !is_here {
                return None;
            }
            // A machine without IPv6 has no file for it.
            let all = tcp().ok()?.into_iter().chain(tcp6().unwrap_or_default());
            let here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
            let listens = all.filter(|it| it.state == TcpState::Listen && here(it.local_address.ip()));
            Some(listens.filter(|it| it.local_address.port() == *port).map(|it| it.inode).collect())
        }
        Address::Unix(path) => {
            let path = std::path::absolute(path).ok()?;
            let named = unix().ok()?.into_iter().filter(|it| it.path.as_deref() == Some(path.as_path()));
            Some(named.map(|it| it.inode).collect())
        }
        Address::Pod(_) => None,
    }
}

#[cfg(not(target_os = "linux"))]
impl Process {
    /// Nothing is known of it here.
    pub(super) fn at(_: &Address) -> Option<Self> {
        None
    }

    /// Nothing is known of it here.
    pub(super) fn used(&self) -> Option<Used> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_process_that_listens_is_found_and_its_time_grows() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let address = Address::Tcp { host: "localhost".to_owned(), port };
        let process = Process::at(&address).expect("this one");
        assert_eq!(u32::try_from(process.id), Ok(std::process::id()));
        let before = process.used().expect("it runs");
        let began = Instant::now();
        let mut spent = 0_u64;
        while began.elapsed() < Duration::from_millis(200) {
            spent = std::hint::black_box(spent.wrapping_add(1));
        }
        assert!(process.used().expect("it runs").share_since(&before) > 0.0);
        let elsewhere = Address::Tcp { host: "canary.example".to_owned(), port };
        assert_eq!(Process::at(&elsewhere), None);
    }
}
