//! The real binary in a process of its own: apart from what the machine configures, and what it came to.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;

use crate::source::in_repository;
use crate::support::LIMIT;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Outcome {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }
}

/// The tool with these arguments, without configuration files and variables of the machine. Both of its outputs are pipes.
pub(crate) fn tool(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokio-canary"));
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy().to_uppercase();
        if shown.starts_with("TOKIO_CANARY_") || shown.ends_with("_PROXY") || shown == "GITHUB_STEP_SUMMARY" {
            command.env_remove(name);
        }
    }
    command.args(arguments).env("XDG_CONFIG_HOME", "/nonexistent");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a process writes to standard error, read on a thread of its own: a process that is silent cannot hold up its test.
pub(crate) struct Notes {
    lines: Receiver<String>,
    heard: Vec<String>,
}

impl Notes {
    /// Takes over the standard error of a process.
    pub(crate) fn of(child: &mut Child) -> Self {
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { lines, heard: Vec::new() }
    }

    /// Waits for a line that contains some words.
    pub(crate) fn hear(&mut self, words: &str) -> String {
        loop {
            let Some(line) = self.next() else { panic!("it never said {words:?}, but {:?}", self.heard) };
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Everything that was written, once standard error is closed.
    pub(crate) fn all(&mut self) -> String {
        while self.next().is_some() {}
        self.heard.join("\n")
    }

    /// The next line; none once standard error is closed.
    fn next(&mut self) -> Option<String> {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => {
                self.heard.push(line.clone());
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("silent for {LIMIT:?} after {:?}", self.heard),
        }
    }
}

/// A folder to run the tool in.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(&[], arguments)
    }

    pub(crate) fn run_with(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Outcome {
        Outcome::of(tool(arguments).current_dir(self.folder.path()).envs(variables.iter().copied()))
    }
}

/// A recording of a service with a deadlock and nothing else.
pub(crate) fn deadlock() -> String {
    corpus("old-0.4-crossed-mutexes").to_str().unwrap().to_owned()
}

/// A recording of the corpus.
pub(crate) fn corpus(recording: &str) -> PathBuf {
    in_repository("tests/recordings").join(format!("{recording}.mcap"))
}
