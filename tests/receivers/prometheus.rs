//! Debian's Prometheus: `promtool` accepts the rules and their tests, and the server scrapes the tool, which watches a faulty service, and
//! fires the alert.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{ChildStderr, Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{PATIENCE, Ward, ask_to_end, await_end, start};
use crate::steps::{Outcome, Test, await_that, is, write};
use crate::watched;

/// The tests.
pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 3] = [
        ("prometheus::accepts_the_rules_and_their_tests", accepts_the_rules),
        ("prometheus::reads_the_metrics_without_complaint", reads_the_metrics),
        ("prometheus::fires_the_alert_of_a_deadlock_and_of_its_waits", fires_the_alert),
    ];
    tests.map(|(name, test)| Trial::test(name, move || test().map_err(Into::into))).into()
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// What `tokio-canary config prometheus-rules` prints.
fn rules() -> Outcome<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_tokio-canary")).args(["config", "prometheus-rules"]).output()?;
    is(output.status.success(), "the rules are printed")?;
    Ok(String::from_utf8(output.stdout)?)
}

fn promtool(command: &mut Command) -> Outcome<()> {
    let output = command.output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    is(output.status.success(), &format!("promtool is content: {said}"))
}

fn accepts_the_rules() -> Outcome<()> {
    let printed = rules()?;
    is(
        printed == std::fs::read_to_string(folder().join("tokio-canary.rules.yml"))?,
        "the rules are those that are kept",
    )?;
    promtool(Command::new("promtool").args(["check", "rules", "tokio-canary.rules.yml"]).current_dir(folder()))?;
    promtool(Command::new("promtool").args(["test", "rules", "tokio-canary.test.yml"]).current_dir(folder()))
}

/// The tool, which watches a target and serves what it sees.
struct Watching {
    tool: Ward,
    /// Where it serves, as `127.0.0.1:port`.
    server: String,
    _notes: BufReader<ChildStderr>,
}

impl Watching {
    fn start(target: &str) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokio-canary"));
        command.args(["watch", target, "--isolated", "--listen", "127.0.0.1:0"]);
        let mut tool = start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()))?;
        let mut notes = BufReader::new(tool.0.stderr.take().ok_or("no standard error")?);
        let server = loop {
            let mut line = String::new();
            is(notes.read_line(&mut line)? > 0, "it serves")?;
            if let Some(rest) = line.split("Serving http://").nth(1) {
                break rest.split('/').next().unwrap_or_default().to_owned();
            }
        };
        Ok(Self { tool, server, _notes: notes })
    }
}

fn reads_the_metrics() -> Outcome<()> {
    let (_program, target) = watched()?;
    let watching = Watching::start(&target)?;
    let metrics = || get(&format!("http://{}/metrics", watching.server));
    // The last to come: delays need two updates.
    await_that("a delay", || Ok(metrics()?.contains("\ntokio_canary_scheduling_delay_seconds{")))?;
    // The linter of Prometheus reads the text format: names, units, types and duplicates.
    let metrics = metrics()?;
    let folder = tempfile::tempdir()?;
    let file = write(folder.path(), "metrics", &metrics)?;
    promtool(Command::new("promtool").args(["check", "metrics"]).stdin(std::fs::File::open(file)?))
}

/// A Prometheus that runs, and scrapes one address every second.
struct Prometheus {
    url: String,
    _folder: TempDir,
    _process: Ward,
}

impl Prometheus {
    fn start(scrapes: &str) -> Outcome<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = tempfile::tempdir()?;
        // Nobody waits five minutes here for what has to hold for five minutes.
        let rules = rules()?.replace("for: 5m", "for: 2s").replace("[5m])) > 10", "[10s])) > 0.5");
        write(folder.path(), "rules.yml", &rules)?;
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: tokio-canary, static_configs: [{{targets: [\"{scrapes}\"]}}]}}]\n"
        );
        let config = write(folder.path(), "prometheus.yml", &config)?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={config}"));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
        let url = format!("http://127.0.0.1:{port}");
        await_that("Prometheus", || Ok(get(&format!("{url}/-/ready")).is_ok()))?;
        Ok(Self { url, _folder: folder, _process: process })
    }

    fn ask(&self, path: &str) -> Outcome<Value> {
        Ok(serde_json::from_str::<Value>(&get(&format!("{}/api/v1/{path}", self.url))?)?["data"].take())
    }

    /// The labels of the alerts of this name that fire.
    fn firing(&self, name: &str) -> Outcome<Vec<Value>> {
        let mut alerts = self.ask("alerts")?;
        let all = alerts["alerts"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let is_it = |it: &Value| it["labels"]["alertname"] == name && it["state"] == "firing";
        Ok(all.into_iter().filter(is_it).map(|mut it| it["labels"].take()).collect())
    }
}

fn fires_the_alert() -> Outcome<()> {
    let (_program, target) = watched()?;
    let mut watching = Watching::start(&target)?;
    let prometheus = Prometheus::start(&watching.server)?;
    await_that("the alert of the deadlock", || Ok(!prometheus.firing("TokioDeadlock")?.is_empty()))?;
    let labels = prometheus.firing("TokioDeadlock")?.remove(0);
    for (label, value) in
        [("severity", "critical"), ("detector", "deadlock"), ("target", &target), ("job", "tokio-canary")]
    {
        is(labels[label] == value, &format!("{label} is {value}: {labels}"))?;
    }
    await_that("the alert of the waits", || Ok(!prometheus.firing("TokioWaiting")?.is_empty()))?;
    let labels = prometheus.firing("TokioWaiting")?.remove(0);
    let location = labels["location"].as_str().unwrap_or_default();
    is(labels["kind"] == "Mutex" && location.contains("program.rs:"), &format!("a lock of the program: {labels}"))?;
    is(prometheus.firing("TokioTargetDown")?.is_empty(), "the target is up")?;
    is(
        get(&format!("http://{}/gate", watching.server)).is_err_and(|error| error.to_string().contains("412")),
        "the gate is closed",
    )?;
    ask_to_end(&watching.tool.0);
    is(await_end(&mut watching.tool.0, PATIENCE)?.success(), "the end of the watch")?;
    // The tool is gone, and so are its series.
    await_that("the alert that it is gone", || Ok(!prometheus.firing("TokioCanaryDown")?.is_empty()))
}

/// The body of a successful answer.
fn get(url: &str) -> Outcome<String> {
    Ok(ureq::get(url).call()?.body_mut().read_to_string()?)
}
