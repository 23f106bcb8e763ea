//! A real service for the tool to attach to: this test started again in a process of its own, with a console-subscriber in front of it.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

#[expect(dead_code, reason = "the examples use all of it")]
#[path = "../../../examples/service/mod.rs"]
mod program;

use std::env;
use std::future::pending;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tokio::sync::Mutex;
use tokio::time::{interval, sleep};

/// Set in the process that is the service, to its arguments.
const ARGUMENTS: &str = "CANARY_TEST_SERVICE";

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    service: program::Service,
}

/// A service in a process of its own, in which two tasks wait for each other. Dropping it ends it.
pub(crate) struct Service {
    pub(crate) child: Child,
    /// Where its feed is.
    pub(crate) address: String,
}

impl Service {
    /// Starts one, as a process in which the test of this name calls [`Service::run_if_asked`] first.
    pub(crate) fn start(test: &str, retention: Duration) -> Self {
        let retention = format!("{}ms", retention.as_millis());
        let arguments =
            format!("service --bind 127.0.0.1:0 --publish-interval 100ms --die-with-parent --retention {retention}");
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(ARGUMENTS, arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let said = lines.find_map(|line| Some(line.split_once("listening on ")?.1.to_owned()));
        Self { address: said.unwrap(), child }
    }

    /// Is the service, where this process was started as one.
    pub(crate) fn run_if_asked() {
        let Ok(arguments) = env::var(ARGUMENTS) else { return };
        let arguments = arguments.split(' ').map(Into::into);
        let code = program::program(arguments, |it: Arguments| it.service.run(&[("bank", bank)]));
        assert_eq!(code, ExitCode::SUCCESS);
    }

    /// Ends it as the system would: without a word.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bank() {
    program::workers(2).block_on(async {
        let (checking, savings) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        tokio::spawn(transfer(Arc::clone(&checking), Arc::clone(&savings)));
        tokio::spawn(transfer(savings, checking));
        tokio::spawn(tick());
        pending::<()>().await;
    });
}

async fn transfer(from: Arc<Mutex<i64>>, to: Arc<Mutex<i64>>) {
    let mut taken = from.lock().await;
    sleep(Duration::from_millis(100)).await;
    *to.lock().await += 1;
    *taken -= 1;
}

async fn tick() {
    let mut due = interval(Duration::from_millis(20));
    loop {
        due.tick().await;
    }
}
