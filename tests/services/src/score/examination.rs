//! One examination: start the service, let the tool watch it, and write down what it says.

use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use super::process::{self, PATIENCE};
use super::verdict::Finding;
use super::{Options, Trial};
use crate::service::Variant;

/// How long a faulty service is watched after its fault was found: what else would be said comes with it.
const AFTERWARDS: Duration = Duration::from_secs(4);

/// What the tool said.
pub(crate) struct Report {
    /// The lines of its output, with the time since it was started.
    pub(crate) lines: Vec<(Duration, Value)>,
    /// How long it watched.
    pub(crate) watched: Duration,
}

/// Starts a service and lets the tool watch it.
///
/// # Errors
///
/// When either cannot be started, or ends too early, or the tool says what is not JSON.
pub(crate) fn examine(options: &Options, trial: Trial) -> anyhow::Result<Report> {
    let (mut service, target) = process::start_service(&options.arguments(trial))?;
    thread::sleep(Duration::from_secs(options.attach_after));
    let mut command = Command::new(&options.tool);
    let watch = match trial.variant {
        Variant::Faulty => {
            command.args(["watch", &target]);
            Duration::from_secs(trial.program.label.within) + AFTERWARDS
        }
        Variant::Healthy => {
            let watch = options.watch_of_twin(trial.program);
            command.args(["check", &target, "--for", &format!("{}s", watch.as_secs()), "--fail-on", "warning"]);
            watch + PATIENCE
        }
    };
    command.args(["--isolated", "--output", "ndjson"]);
    if let Some(folder) = &options.keep {
        command.arg("--record").arg(folder.join(trial.recording()));
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let started = Instant::now();
    let mut tool = process::start(&mut command)?;
    let output = process::collect_lines(tool.0.stdout.take());
    let mut lines = Vec::new();
    let mut enough = watch;
    let mut found = false;
    loop {
        let left = (started + enough).saturating_duration_since(Instant::now());
        let (at, line) = match output.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        };
        let (after, line) = (at - started, serde_json::from_str(&line?)?);
        if !found && trial.variant == Variant::Faulty {
            found = Finding::read(after, &line).is_some_and(|finding| finding.is_meant(trial.program));
            if found {
                enough = watch.min(after + AFTERWARDS);
            }
        }
        lines.push((after, line));
    }
    let watched = started.elapsed();
    anyhow::ensure!(service.0.try_wait()?.is_none(), "the service has ended by itself");
    process::end(&mut tool.0)?;
    for (at, line) in output {
        lines.push((at - started, serde_json::from_str(&line?)?));
    }
    lines.first().context("the tool has said nothing")?;
    Ok(Report { lines, watched })
}
