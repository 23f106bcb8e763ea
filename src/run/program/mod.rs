//! A program that is started to be judged, with a free port for its console, and stopped with everything that it has started.

mod group;
mod guard;
mod listeners;
mod port;
mod relay;

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use signal_hook::low_level::signal_name;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use self::group::Group;
use self::guard::Guard;
use self::relay::Relay;
use super::exit::UsageError;
use super::notes::note;
use super::signals::Stop;
use crate::detect::doubt::Failure;
use crate::feed::endpoint::Address;
use crate::report::sanitize::plain;
use crate::words;

/// Where console-subscriber reads the address on which it listens, if its builder reads the environment.
const BIND: &str = "TOKIO_CONSOLE_BIND";
/// How long a program may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long it may take to be gone after SIGKILL: a process in an uninterruptible call is left behind.
const GONE: Duration = Duration::from_secs(1);
/// How often to look whether it is gone.
const LOOK: Duration = Duration::from_millis(20);

/// The name of the program that some words start, as the user wrote it.
pub(super) fn name(words: &[OsString]) -> String {
    words.first().map(|program| plain(&program.to_string_lossy()).into_owned()).unwrap_or_default()
}

/// A program that was started.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    port: u16,
    child: Child,
    group: Group,
    /// Dropped after the program was stopped.
    _guard: Guard,
    relay: Relay,
    status: Option<ExitStatus>,
}

impl Program {
    /// Starts a program in a process group of its own. What it prints goes to standard error, and it has nothing to read.
    ///
    /// # Errors
    /// There is no such program, or it cannot be started.
    pub(super) fn start(words: &[OsString], stop: &Stop) -> anyhow::Result<Self> {
        let Some((program, arguments)) = words.split_first() else {
            return Err(UsageError("There is no command after `--`.".to_owned()).into());
        };
        let name = name(words);
        let port = port::free()?;
        let (reader, writer) = io::pipe()?;
        // Everything else that can fail comes first: what was started would have to be killed.
        let relay = Relay::start(reader)?;
        let mut command = Command::new(program);
        command.args(arguments).env(BIND, format!("127.0.0.1:{port}")).process_group(0);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn().map_err(|error| UsageError(not_started(program.as_ref(), &name, &error)))?;
        // Our ends of the pipe, so that it ends with the program's.
        drop(command);
        let group = Group::led_by(&child)?;
        let guard = Guard::over(group);
        stop.kills(move || group.kill_rest());
        note(&format!(
            "Started {name} (process {}) with {BIND}=127.0.0.1:{port}; what it prints follows.",
            group.leader()
        ));
        Ok(Self { name, port, child, group, _guard: guard, relay, status: None })
    }

    /// Where its console should listen.
    pub(super) fn address(&self) -> Address {
        Address::Tcp { host: "127.0.0.1".to_owned(), port: self.port }
    }

    /// Waits until it has ended by itself; for ever once that has been said. Nothing is lost if this is dropped before.
    pub(super) async fn ends(&mut self) {
        if self.status.is_some() {
            return std::future::pending().await;
        }
        // What cannot be waited for is gone.
        let status = self.child.wait().await.unwrap_or_default();
        self.status = Some(status);
        let how = match failure(status) {
            Some(failure) => failure.describe(),
            None => "exit code 0".to_owned(),
        };
        note(&format!("{} ended with {how}.", self.name));
    }

    /// Whether it has ended by itself.
    pub(super) fn has_ended(&self) -> bool {
        self.status.is_some()
    }

    /// How it failed, if it has ended by itself and not well.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.status.and_then(failure)
    }

    /// Whether a process of it could not serve its console, because another one had the port.
    pub(super) fn has_clashed(&self) -> bool {
        self.relay.has_seen_clash()
    }

    /// What to do about that.
    pub(super) fn clash(&self) -> String {
        format!(
            "Two processes of {} serve a console, and both were given 127.0.0.1:{}: they inherit {BIND}. Only one of them is judged. Start the \
             program itself instead of a wrapper, or remove {BIND} from the environment of the others.",
            self.name, self.port
        )
    }

    /// Why its console is not where it should be, as far as that can be told already: it listens where consoles do by default.
    pub(super) fn misplaced(&self) -> Option<String> {
        listeners::misplaced(self.group, &self.name, self.port)
    }

    /// Why its console could not be reached, as far as that can be told.
    pub(super) fn unreachable(&self) -> String {
        if self.has_clashed() {
            return format!(
                "{} could not serve its console: another process has 127.0.0.1:{}. If the program starts several processes, only one of them \
                 may have {BIND} in its environment; otherwise run the check again.",
                self.name, self.port
            );
        }
        if self.has_ended() && !self.group.is_alive() {
            return format!(
                "{} ended before its console could be reached at 127.0.0.1:{}. It has to run for some seconds, and to serve a console: \
                 `console_subscriber::init()`, or a builder with `.with_default_env()`.",
                self.name, self.port
            );
        }
        listeners::unreachable(self.group, &self.name, self.port)
    }

    /// Stops it and everything that it has started: SIGTERM, and SIGKILL after a while or when a signal asks us to hurry.
    pub(super) async fn stop(mut self, stop: &Stop) {
        if self.group.is_alive() {
            let was_asked = stop.is_asked();
            self.group.terminate();
            let why = tokio::select! {
                () = self.gone() => None,
                () = sleep(GRACE) => Some(format!("did not end within {} after SIGTERM", words::limit(GRACE))),
                () = stop.asked(), if !was_asked => Some("has not ended yet".to_owned()),
            };
            if let Some(why) = why {
                note(&format!("{} {why}, so it is killed.", self.name));
                self.group.kill();
                if timeout(GONE, self.gone()).await.is_err() {
                    note(&format!(
                        "{} is still there after SIGKILL; process group {}.",
                        self.name,
                        self.group.leader()
                    ));
                }
            }
        }
        self.relay.finish(&self.name).await;
    }

    /// Waits until nothing of it is left.
    async fn gone(&mut self) {
        while self.group.is_alive() {
            // Only what is waited for is gone.
            let _ = self.child.try_wait();
            sleep(LOOK).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.group.kill_rest();
    }
}

fn failure(status: ExitStatus) -> Option<Failure> {
    use std::os::unix::process::ExitStatusExt;
    if status.success() {
        return None;
    }
    Some(match (status.code(), status.signal()) {
        (Some(code), _) => Failure::Code(code),
        (None, Some(signal)) => Failure::Signal(signal, signal_name(signal).unwrap_or("unknown")),
        (None, None) => Failure::Code(-1),
    })
}

/// Why a program did not start, and what to do about it.
fn not_started(program: &Path, name: &str, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::NotFound if program.exists() => {
            " The file exists, but not the interpreter that its first line names, or its loader."
        }
        io::ErrorKind::NotFound if name.contains(' ') => " A line for the shell is written as `-- sh -c 'LINE'`.",
        io::ErrorKind::NotFound if name.contains('/') => " Build it first, and give its path from the current folder.",
        io::ErrorKind::NotFound => " It is not in PATH; a program in the current folder is written as ./PROGRAM.",
        io::ErrorKind::PermissionDenied => " Make it executable, or start it with its interpreter.",
        _ => "",
    };
    format!("{name} cannot be started: {error}.{hint}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn how_a_program_failed() {
        let of = |raw| failure(ExitStatus::from_raw(raw)).map(Failure::describe);
        assert_eq!(of(0), None);
        assert_eq!(of(101 << 8).as_deref(), Some("exit code 101"));
        assert_eq!(of(11).as_deref(), Some("signal 11 (SIGSEGV)"));
    }
}
