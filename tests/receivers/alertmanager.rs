//! The tool sends alerts to Debian's Alertmanager, and `amtool` shows them and their end.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{PATIENCE, Ward, ask_to_end, await_end, start};
use crate::steps::{Outcome, Test, await_that, is, write};
use crate::watched;

/// How often an alert is sent again where a test waits for that.
const OFTEN: Duration = Duration::from_millis(500);
/// How often where an alert must not end by itself within a test.
const SELDOM: Duration = Duration::from_secs(60 * 60);

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 4] = [
        ("alertmanager::shows_an_alert_and_its_end", shows_an_alert_and_its_end),
        ("alertmanager::keeps_an_alert_that_is_repeated", keeps_an_alert),
        ("alertmanager::ends_an_alert_by_itself_when_nobody_repeats_it", ends_an_alert_by_itself),
        ("alertmanager::that_was_restarted_is_told_again", is_told_again),
    ];
    tests.map(|(name, test)| Trial::test(name, move || test().map_err(Into::into))).into()
}

/// An Alertmanager that runs.
struct Alertmanager {
    port: u16,
    folder: TempDir,
    process: Ward,
}

impl Alertmanager {
    fn start() -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Self::start_at(port)
    }

    fn start_at(port: u16) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("alertmanager.yml");
        fs::write(&config, "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n")?;
        let mut command = Command::new("prometheus-alertmanager");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", folder.path().join("data").display()));
        command.args([&format!("--web.listen-address=127.0.0.1:{port}"), "--cluster.listen-address="]);
        let process = start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
        await_that("Alertmanager", || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
        Ok(Self { port, folder, process })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The alerts that fire, as `amtool` shows them.
    fn alerts(&self) -> Outcome<Vec<Value>> {
        let url = format!("--alertmanager.url={}", self.url());
        let output = Command::new("amtool").args(["alert", "query", &url, "--output=json"]).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        // It shows alerts until somebody clears them away, and says when they have ended.
        let alerts: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        let now = humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string();
        Ok(alerts.into_iter().filter(|it| it["endsAt"].as_str().is_some_and(|ends| ends > now.as_str())).collect())
    }

    fn deadlocks(&self) -> Outcome<Vec<Value>> {
        Ok(self.alerts()?.into_iter().filter(|it| it["labels"]["alertname"] == "TokioDeadlock").collect())
    }

    /// The tool, which watches a target and tells this of it.
    fn watch(&self, target: &str, resend: Duration) -> io::Result<Ward> {
        let text = format!("[[alertmanager]]\nurl = \"{}\"\nresend = \"{}ms\"\n", self.url(), resend.as_millis());
        let config = write(self.folder.path(), "config.toml", &(text + "labels = { team = \"bank\" }\n"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokio-canary"));
        command.args(["watch", target, "--isolated", "--config", &config]);
        start(command.stdin(Stdio::null()).stdout(Stdio::null()))
    }
}

fn shows_an_alert_and_its_end() -> Outcome<()> {
    let (mut program, target) = watched()?;
    let alertmanager = Alertmanager::start()?;
    let mut watch = alertmanager.watch(&target, SELDOM)?;
    await_that("the alert", || Ok(!alertmanager.deadlocks()?.is_empty()))?;
    let alerts = alertmanager.deadlocks()?;
    let [alert] = alerts.as_slice() else { return Err(format!("one alert, but there are {alerts:?}").into()) };
    let labels = &alert["labels"];
    for (label, value) in [
        ("severity", "critical"),
        ("job", "tokio-canary"),
        ("instance", target.trim_start_matches("http://")),
        ("detector", "deadlock"),
        ("family", "stuck"),
        ("grade", "proof"),
        ("team", "bank"),
    ] {
        is(labels[label] == value, &format!("{label} is {value}: {labels}"))?;
    }
    let location = labels["location"].as_str().unwrap_or_default();
    is(location.contains("tests/receivers/program.rs:"), &format!("the place of the fault: {location}"))?;
    let summary = alert["annotations"]["summary"].as_str().unwrap_or_default();
    is(summary.starts_with("deadlock at "), &format!("the summary: {summary}"))?;

    writeln!(program.0.stdin.as_mut().ok_or("no standard input")?, "repair")?;
    await_that("the end of the alert", || Ok(alertmanager.deadlocks()?.is_empty()))?;
    ask_to_end(&watch.0);
    is(await_end(&mut watch.0, PATIENCE)?.success(), "the end of the watch")
}

fn keeps_an_alert() -> Outcome<()> {
    let (_program, target) = watched()?;
    let alertmanager = Alertmanager::start()?;
    let _watch = alertmanager.watch(&target, OFTEN)?;
    await_that("the alert", || Ok(!alertmanager.deadlocks()?.is_empty()))?;
    // It stays for longer than it would by itself.
    thread::sleep(OFTEN * 6);
    is(alertmanager.deadlocks()?.len() == 1, "an alert that is repeated")
}

fn ends_an_alert_by_itself() -> Outcome<()> {
    let (_program, target) = watched()?;
    let alertmanager = Alertmanager::start()?;
    let watch = alertmanager.watch(&target, OFTEN)?;
    await_that("the alert", || Ok(!alertmanager.deadlocks()?.is_empty()))?;
    drop(watch);
    await_that("the end of the alert", || Ok(alertmanager.deadlocks()?.is_empty()))
}

fn is_told_again() -> Outcome<()> {
    let (_program, target) = watched()?;
    let alertmanager = Alertmanager::start()?;
    let _watch = alertmanager.watch(&target, OFTEN)?;
    await_that("the alert", || Ok(!alertmanager.deadlocks()?.is_empty()))?;
    let Alertmanager { port, folder: _folder, process } = alertmanager;
    drop(process);
    let restarted = Alertmanager::start_at(port)?;
    await_that("the alert again", || Ok(!restarted.deadlocks()?.is_empty()))
}
