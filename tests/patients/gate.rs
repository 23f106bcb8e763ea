//! Real programs that `check` starts: judged, named where their console is out of reach, and stopped.

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use console_subscriber::ConsoleLayer;
use libtest_mimic::{Failed, Trial};
use tokio::time::interval;

use crate::corpus::FLAG;

/// The program with a console of the usual builder.
pub(crate) const BUILDER: &str = "usual_builder";
/// The argument that lets its builder ignore the environment.
pub(crate) const STUBBORN: &str = "stubborn";

/// Runs as a service with a bit of load, whose console is made by the usual builder.
pub(crate) fn program(is_stubborn: bool) -> ExitCode {
    let builder = ConsoleLayer::builder().with_default_env().publish_interval(Duration::from_millis(250));
    let builder = if is_stubborn { builder.server_addr(([127, 0, 0, 1], 0)) } else { builder };
    builder.init();
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let mut ticks = interval(Duration::from_millis(50));
        loop {
            ticks.tick().await;
            // It is done when it is: nobody waits for it.
            drop(tokio::spawn(std::future::ready(())));
        }
    })
}

/// A run of `check` over a program, and what has to come of it.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    /// A line for the shell in which `P` is this program as a patient; without any, the program is started itself.
    script: &'static str,
    code: i32,
    /// What the verdict contains.
    verdict: &'static str,
    /// What standard error contains.
    notes: &'static str,
}

const CASES: &[Case] = &[
    Case {
        name: "healthy",
        arguments: &["--for", "4s"],
        script: "exec P usual_builder",
        code: 0,
        verdict: "sh PASS (exit 0): no findings. Based on ",
        notes: "with TOKIO_CONSOLE_BIND=127.0.0.1:",
    },
    Case {
        name: "proof-ends-it",
        arguments: &["--for", "10m"],
        script: "exec P sick_service --illness deadlock",
        code: 1,
        verdict: "sh FAIL (exit 1): 1 critical. Worst: deadlock at ",
        notes: "deadlock is proof and cannot recover, so the watch ends here",
    },
    Case {
        name: "failure-beside-a-finding",
        arguments: &["--for", "10m", "--no-early-exit"],
        script: "P sick_service --illness deadlock & sleep 12; exit 5",
        code: 1,
        verdict: "Not fully judged: the command ended with exit code 5.",
        notes: "sh ended with exit code 5.",
    },
    Case {
        name: "builder-that-ignores-the-environment",
        arguments: &["--wait-for-target", "4s"],
        script: "exec P usual_builder stubborn",
        code: 3,
        verdict: "no update ever arrived",
        notes: "sh runs, but it listens only on port ",
    },
    Case {
        name: "two-processes-on-one-port",
        arguments: &["--for", "8s"],
        script: "P usual_builder & sleep 2; P usual_builder & wait",
        code: 3,
        verdict: "a process of the command could not serve its feed because another one had the port",
        notes: "Two processes of sh serve a console, and both were given 127.0.0.1:",
    },
    Case {
        name: "one-process-after-the-other",
        arguments: &["--for", "10m", "--partial", "pass"],
        script: "P healthy_service --pattern intervals --for 6s; P healthy_service --pattern intervals --for 6s",
        code: 0,
        verdict: "sh PASS (exit 0): no findings. Based on ",
        notes: "sh ended with exit code 0.",
    },
];

/// What is tested about commands that `check` starts, with this build of the tool.
pub(crate) fn trials(tool: &Path) -> Vec<Trial> {
    CASES
        .iter()
        .map(|case| {
            let tool = tool.to_owned();
            Trial::test(format!("gate::{}", case.name), move || run(case, &tool).map_err(Failed::from))
        })
        .collect()
}

fn run(case: &Case, tool: &Path) -> Result<(), String> {
    let outcome = judge(case, tool).map_err(|error| error.to_string())?;
    let (verdict, notes) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    let is_right = outcome.status.code() == Some(case.code)
        && verdict.contains(case.verdict)
        && notes.contains(case.notes)
        && !notes.contains("is killed");
    if is_right { Ok(()) } else { Err(format!("{}\n{verdict}\n{notes}", outcome.status)) }
}

fn judge(case: &Case, tool: &Path) -> io::Result<Output> {
    let own = std::env::current_exe()?;
    let script = case.script.replace("P ", &format!("\"$0\" {FLAG} "));
    let mut command = Command::new(tool);
    command.args(["check", "--isolated"]).args(case.arguments).args(["--", "sh", "-c", &script]).arg(own);
    command.stdin(Stdio::null());
    let begun = Instant::now();
    let outcome = command.output()?;
    if begun.elapsed() > Duration::from_secs(120) {
        return Err(io::Error::other("it took minutes"));
    }
    Ok(outcome)
}
