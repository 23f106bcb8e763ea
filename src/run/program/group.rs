//! The process group of a program: what it has started, as far as that has not left the group.

use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;

/// A process group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(Pid);

impl Group {
    /// The group that a process leads.
    ///
    /// # Errors
    /// It has been waited for already.
    pub(super) fn led_by(child: &Child) -> io::Result<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        id.map(Self).ok_or_else(|| io::Error::other("the process has ended already"))
    }

    /// The id of the group, which is that of its leader.
    pub(super) fn leader(self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Asks everything in it to end, also what is stopped.
    pub(super) fn terminate(self) {
        for signal in [Signal::TERM, Signal::CONT] {
            // What has ended already needs no signal.
            let _ = kill_process_group(self.0, signal);
        }
    }

    /// Ends everything in it.
    pub(super) fn kill(self) {
        // What has ended already needs no signal.
        let _ = kill_process_group(self.0, Signal::KILL);
    }

    /// Kills what is left of it. The id of an empty group may belong to another process by now.
    pub(super) fn kill_rest(self) {
        if self.is_alive() {
            self.kill();
        }
    }

    /// Whether anything in it runs. What has ended and is not waited for by its parent does not.
    pub(super) fn is_alive(self) -> bool {
        test_kill_process_group(self.0) != Err(Errno::SRCH) && self.has_running()
    }

    #[cfg(target_os = "linux")]
    fn has_running(self) -> bool {
        // Where nothing can be read, something may run.
        self.members().is_none_or(|members| !members.is_empty())
    }

    #[cfg(not(target_os = "linux"))]
    fn has_running(self) -> bool {
        true
    }

    /// The processes in it that have not ended; `None` if that cannot be read.
    #[cfg(target_os = "linux")]
    pub(super) fn members(self) -> Option<Vec<procfs::process::Process>> {
        let all = procfs::process::all_processes().ok()?;
        let is_member = |process: &procfs::process::Process| {
            process.stat().is_ok_and(|stat| stat.pgrp == self.leader() && !matches!(stat.state, 'Z' | 'X'))
        };
        Some(all.flatten().filter(is_member).collect())
    }
}
