//! The service as a process: started, asked what it has served, and looked at from outside.

use std::fs;
use std::io::{self, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

use crate::service::{Load, Subscriber};
use crate::usage::{next_line, ratio, resident};

/// The name that console-subscriber gives its thread.
const SUBSCRIBER: &str = "console_subscri";

/// A running service.
pub(crate) struct Served {
    /// Where its feed is, as `host:port`.
    pub(crate) address: String,
    child: Ended,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// A child process that does not outlive its measurement.
pub(crate) struct Ended(pub(crate) Child);

/// What it got done and took in a while.
pub(crate) struct Usage {
    /// Requests served per second.
    pub(crate) requests: f64,
    /// CPU time, in percent of one core.
    pub(crate) cpu: f64,
    /// What of it the thread of console-subscriber used.
    pub(crate) subscriber: f64,
    /// Resident memory at the end, in MiB.
    pub(crate) memory: u64,
}

/// What it has done and used so far.
struct Reading {
    at: Instant,
    requests: u64,
    ticks: u64,
    subscriber_ticks: u64,
}

impl Served {
    pub(crate) fn start(load: Load, subscriber: Subscriber) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", &load.to_string(), &subscriber.to_string()]);
        let mut child = Ended(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let missing = || io::Error::other("the service has no pipes");
        let input = child.0.stdin.take().ok_or_else(missing)?;
        let output = BufReader::new(child.0.stdout.take().ok_or_else(missing)?);
        let mut served = Self { address: String::new(), child, input, output };
        served.address = next_line(&mut served.output)?;
        Ok(served)
    }

    pub(crate) fn measure(&mut self, length: Duration) -> io::Result<Usage> {
        let before = self.read()?;
        thread::sleep(length);
        let after = self.read()?;
        let seconds = (after.at - before.at).as_secs_f64();
        let share = |ticks: u64| 100.0 * ratio(ticks, clock_ticks_per_second()) / seconds;
        Ok(Usage {
            requests: ratio(after.requests - before.requests, 1) / seconds,
            cpu: share(after.ticks - before.ticks),
            subscriber: share(after.subscriber_ticks - before.subscriber_ticks),
            memory: resident(self.child.0.id())?,
        })
    }

    fn read(&mut self) -> io::Result<Reading> {
        writeln!(self.input)?;
        let requests = next_line(&mut self.output)?.parse().map_err(io::Error::other)?;
        let process = format!("/proc/{}", self.child.0.id());
        let mut subscriber_ticks = 0;
        for thread in fs::read_dir(format!("{process}/task"))? {
            let thread = thread?.path();
            if fs::read_to_string(thread.join("comm"))?.starts_with(SUBSCRIBER) {
                subscriber_ticks += ticks(&fs::read_to_string(thread.join("stat"))?)?;
            }
        }
        let ticks = ticks(&fs::read_to_string(format!("{process}/stat"))?)?;
        Ok(Reading { at: Instant::now(), requests, ticks, subscriber_ticks })
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // A console whose terminal is gone does not end by itself: it goes on without one, at the cost of half a core.
        let id = self.0.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)) {
            let _ = kill_process(child, Signal::KILL);
        }
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time of a process or a thread, from its `stat`: counted from behind the name, which may contain spaces.
fn ticks(stat: &str) -> io::Result<u64> {
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields).unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    ticks.sum::<Result<u64, _>>().map_err(io::Error::other)
}
