//! How long it takes from a key to its frame: the real tool in a pseudo-terminal, in front of a service that changes all the time.
//!
//! `benches/load.sh --keys` builds what this needs and runs it.

#![expect(clippy::unwrap_used, reason = "a failed assumption ends the measurement")]
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/integration/terminal/pseudo.rs"]
mod pseudo;

/// What the pseudo-terminal shares with the tests.
mod support {
    use std::time::Duration;

    /// The longest wait for anything.
    pub(crate) const LIMIT: Duration = Duration::from_secs(60);
}

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use self::pseudo::Terminal;

/// Measures the time from a key to its frame.
#[derive(Debug, Parser)]
struct Arguments {
    /// The tool, as it is installed.
    #[arg(long)]
    tool: PathBuf,
    /// `synthetic_service`, in release.
    #[arg(long)]
    service: PathBuf,
    /// Tasks that are alive.
    #[arg(long, default_value_t = 100_000)]
    tasks: usize,
    /// Changes in a second.
    #[arg(long, default_value_t = 20_000)]
    changes: u32,
    /// Keys to press.
    #[arg(long, default_value_t = 600)]
    keys: usize,
    /// The most that one in a hundred may take; slower is a failure.
    #[arg(long, default_value = "50ms", value_parser = humantime::parse_duration)]
    limit: Duration,
    /// Set by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Keys, each with words that are on its view and not on that of the key before.
const KEYS: [(&str, &str); 6] = [
    ("o", "Vital signs, last"),
    ("t", "blame"),
    ("T", "waits for"),
    ("r", "waiters"),
    ("v", "core use"),
    ("f", "No findings yet."),
];

/// The service, which ends with this.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut command = Command::new(&arguments.service);
    command.args(["--bind", "127.0.0.1:0", "--tasks", &arguments.tasks.to_string()]);
    command.args(["--changes", &arguments.changes.to_string()]).stdout(Stdio::piped());
    let mut service = Service(command.spawn().unwrap());
    let mut lines = BufReader::new(service.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = lines.find_map(|line| Some(line.strip_prefix("listening on ")?.to_owned())).unwrap();
    // What it says later must not fill its pipe.
    thread::spawn(move || lines.for_each(drop));
    let mut terminal = Terminal::start(Command::new(&arguments.tool).args(["--isolated", &address]), 160, 45);
    terminal.hear("Vital signs, last");
    let mut times: Vec<Duration> =
        (0..arguments.keys).map(|index| time(&mut terminal, KEYS[(index + 1) % KEYS.len()])).collect();
    times.sort_unstable();
    let share = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    let (tasks, changes) = (arguments.tasks, arguments.changes);
    let line = format!(
        "{tasks} tasks, {changes} changes/s, {} keys: from key to frame p50 {:.1?}, p90 {:.1?}, p99 {:.1?}, at most {:.1?}",
        times.len(),
        share(50),
        share(90),
        share(99),
        share(100)
    );
    println!("{line}");
    terminal.press("q");
    terminal.end();
    if share(99) <= arguments.limit { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Presses a key at any moment between two updates, and waits until its view is on the screen.
fn time(terminal: &mut Terminal, (key, words): (&str, &str)) -> Duration {
    thread::sleep(Duration::from_millis(fastrand::u64(20..220)));
    let begun = Instant::now();
    terminal.press(key);
    terminal.hear(words);
    begun.elapsed()
}
