//! The score: each faulty service is watched until its fault is found, each repaired one for a while, by the real tool.

mod examination;
mod keep;
mod process;
mod table;
mod verdict;

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::programs::{PROGRAMS, Program};
use crate::service::{Feed, Subscriber, Variant};

pub(crate) use self::verdict::Verdict;

/// How long every repaired service is watched with --quick.
const QUICK: Duration = Duration::from_secs(60);

/// What is scored, and how.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Words, of which a program's name has to contain one.
    words: Vec<String>,
    /// The build of tokio-canary that watches.
    #[arg(long, value_name = "PATH", default_value = default_tool())]
    tool: PathBuf,
    /// Seed of everything that is random in the services.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Multiply each program's load by this.
    #[arg(long, default_value_t = 1.0)]
    rate_factor: f64,
    /// Multiply each program's size by this.
    #[arg(long, default_value_t = 1.0)]
    size_factor: f64,
    /// Watch each repaired service for a minute, instead of 90 s or five minutes.
    #[arg(long)]
    quick: bool,
    /// How the feeds are served.
    #[command(flatten)]
    feed: Feed,
    /// Attach this many seconds after the service was started, when it may have been sick for long.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, conflicts_with = "write")]
    attach_after: u64,
    /// Only the faulty or only the repaired ones.
    #[arg(long, value_enum)]
    only: Option<Variant>,
    /// What serves the feeds; more than one is scored side by side.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["console", "canary"])]
    subscriber: Vec<Subscriber>,
    /// How many services run at a time, but for those that need the machine to themselves.
    #[arg(long, default_value_t = 6)]
    at_once: usize,
    /// Write the table into this file, between its markers.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Keep the recorded feeds and their labels in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

/// A release build of the repository, where cargo puts it.
fn default_tool() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/tokio-canary")
}

/// One service to watch.
#[derive(Clone, Copy)]
pub(crate) struct Trial {
    pub(crate) program: &'static Program,
    pub(crate) variant: Variant,
    pub(crate) subscriber: Subscriber,
}

impl Trial {
    /// Name of the recorded feed.
    pub(crate) fn recording(&self) -> String {
        let (id, variant) = (self.program.id, self.variant.as_str());
        match self.subscriber {
            Subscriber::Console => format!("{id}-{variant}.mcap"),
            Subscriber::Canary => format!("{id}-{variant}-{}.mcap", self.subscriber.as_str()),
        }
    }

    /// Whether nothing else may run meanwhile.
    fn runs_alone(&self) -> bool {
        self.variant == Variant::Faulty && self.program.way.runs_alone()
    }
}

impl Options {
    /// How a service is started.
    fn arguments(&self, trial: Trial) -> Vec<String> {
        let Trial { program, variant, subscriber } = trial;
        let (rate, size) = self.load_of(program);
        let values = [
            ("--variant", variant.as_str().to_owned()),
            ("--subscriber", subscriber.as_str().to_owned()),
            ("--seed", self.seed.to_string()),
            ("--rate", rate.to_string()),
            ("--size", size.to_string()),
            ("--retention", self.feed.retention.to_string()),
            ("--publish-interval", self.feed.publish_interval.to_string()),
            ("--bind", "127.0.0.1:0".to_owned()),
        ];
        let flags = values.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]);
        ["run", program.id]
            .map(str::to_owned)
            .into_iter()
            .chain(flags)
            .chain(["--die-with-parent".to_owned()])
            .collect()
    }

    /// The rate and the size of a program under these factors.
    fn load_of(&self, program: &Program) -> (f64, usize) {
        let both = self.rate_factor * self.size_factor;
        let (of_rate, of_size) =
            if program.size_is_capacity { (both, both) } else { (self.rate_factor, self.size_factor) };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes are small"
        )]
        let size = ((program.size as f64 * of_size).round() as usize).max(1);
        (program.rate * of_rate, size)
    }

    fn watch_of_twin(&self, program: &Program) -> Duration {
        if self.quick { QUICK } else { program.way.watch_of_twin() }
    }

    fn chosen(&self) -> Vec<Trial> {
        let programs = PROGRAMS.iter().flat_map(|file| file.iter());
        let by_name = |program: &&Program| {
            self.words.is_empty() || self.words.iter().any(|word| program.id.contains(word.as_str()))
        };
        let variants =
            [Variant::Healthy, Variant::Faulty].into_iter().filter(|&it| self.only.is_none_or(|only| only == it));
        let of = |variant| {
            let programs = programs.clone().filter(by_name);
            programs.flat_map(move |program| {
                self.subscriber.iter().map(move |&subscriber| Trial { program, variant, subscriber })
            })
        };
        // The longest first.
        let mut trials: Vec<_> = variants.flat_map(of).collect();
        trials.sort_by_key(|trial| std::cmp::Reverse(self.watch_of_twin(trial.program)));
        trials
    }
}

/// Watches what was chosen, prints and writes the table, and returns whether all is as it has to be.
///
/// # Errors
///
/// When there is nothing to watch or no tool, or a file cannot be written.
pub(crate) fn run(options: &Options) -> anyhow::Result<bool> {
    anyhow::ensure!(
        options.tool.exists(),
        "there is no tool at {}; `cargo build --release` in the repository makes one, --tool names another",
        options.tool.display()
    );
    let trials = options.chosen();
    anyhow::ensure!(!trials.is_empty(), "no program has any of these words in its name");
    if let Some(folder) = &options.keep {
        keep::make_room(folder, &trials)?;
    }
    let (alone, together): (Vec<_>, Vec<_>) = trials.iter().partition(|trial| trial.runs_alone());
    let mut verdicts = watch_all(options, together, options.at_once.max(1));
    verdicts.extend(watch_all(options, alone, 1));
    if let Some(folder) = &options.keep {
        keep::label(folder, &verdicts)?;
    }
    let page = table::page(options, &verdicts);
    writeln!(io::stdout(), "{page}")?;
    if let Some(file) = &options.write {
        table::write(file, &page)?;
    }
    Ok(verdicts.iter().all(Verdict::is_right))
}

/// Watches services, so many at a time.
fn watch_all(options: &Options, trials: Vec<&Trial>, at_once: usize) -> Vec<Verdict> {
    let queue = Mutex::new(VecDeque::from(trials));
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(trial) = next(&queue) {
                    let verdict = verdict::judge(*trial, examination::examine(options, *trial));
                    // Nobody may be left to tell.
                    let _ = writeln!(io::stderr(), "{verdict}");
                    verdicts.lock().unwrap_or_else(PoisonError::into_inner).push(verdict);
                }
            });
        }
    });
    verdicts.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn next<'a>(queue: &Mutex<VecDeque<&'a Trial>>) -> Option<&'a Trial> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}
