//! The service as a process: started, asked what it has served, and looked at from outside.

use std::fs;
use std::io::{self, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::service::{Load, Subscriber};
use crate::usage::{next_line, ratio, resident};

/// A running service, which does not outlive its measurement.
pub(crate) struct Served {
    /// Where its feed is, as `host:port`.
    pub(crate) address: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// What it got done and took in a while.
pub(crate) struct Usage {
    /// Requests served per second.
    pub(crate) requests: f64,
    /// CPU time, in percent of one core.
    pub(crate) cpu: f64,
    /// Resident memory at the end, in MiB.
    pub(crate) memory: u64,
}

impl Served {
    pub(crate) fn start(load: Load, subscriber: Subscriber) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--serve", &load.to_string(), &subscriber.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let missing = || io::Error::other("the service has no pipes");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(missing)?);
        let mut served = Self { address: String::new(), child, input, output };
        served.address = next_line(&mut served.output)?;
        Ok(served)
    }

    pub(crate) fn measure(&mut self, length: Duration) -> io::Result<Usage> {
        let (start, requests, used) = self.read()?;
        thread::sleep(length);
        let (end, requests_after, used_after) = self.read()?;
        let seconds = (end - start).as_secs_f64();
        let cpu = 100.0 * used_after.saturating_sub(used).as_secs_f64() / seconds;
        Ok(Usage { requests: ratio(requests_after - requests, 1) / seconds, cpu, memory: resident(self.child.id())? })
    }

    fn read(&mut self) -> io::Result<(Instant, u64, Duration)> {
        writeln!(self.input)?;
        let requests = next_line(&mut self.output)?.parse().map_err(io::Error::other)?;
        let mut used = Duration::ZERO;
        // The times in `stat` are counted in ticks of 10 ms, at which a service with a timer is always or never found running.
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let scheduled = fs::read_to_string(thread?.path().join("schedstat"))?;
            let nanoseconds = scheduled.split_whitespace().next().unwrap_or_default();
            used += Duration::from_nanos(nanoseconds.parse().map_err(io::Error::other)?);
        }
        Ok((Instant::now(), requests, used))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
