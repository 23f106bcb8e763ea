//! Ends a program when the tool is killed and can do nothing itself any more.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::group::Group;

/// Blocks until the tool exits and closes the pipe, then kills the process group passed as `$0`.
const SCRIPT: &str = "read -r _; kill -TERM -$0 && sleep 5 && kill -KILL -$0";

/// A shell that outlives the tool. It ends with this.
#[derive(Debug)]
pub(super) struct Guard(Option<Child>);

impl Guard {
    /// Watches over a group from now on; where there is no shell, nobody does.
    pub(super) fn over(group: Group) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, &group.leader().to_string()]).process_group(0);
        Self(shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut shell) = self.0.take() {
            // Before its input ends. What has ended already needs no end.
            let _ = shell.kill();
            let _ = shell.wait();
        }
    }
}
