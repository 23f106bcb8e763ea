//! The arguments of `compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::args::{Judging, Outputs, positive_duration};
use super::help::help;
use super::looks::Drawing;
use super::one_of::one_of;
use super::reading::Reading;
use crate::compare::lockfile;
use crate::config::options::FAIL_ON;
use crate::detect::severity::Severity;
use crate::feed::endpoint::Target;

/// How long running services are compared unless `--for` says otherwise.
const DEFAULT_FOR: Duration = Duration::from_secs(120);

/// `compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// What is new: running services or recordings, one or several; repeatable.
    #[arg(long, value_name = "TARGET", num_args = 1.., required_unless_present = "write")]
    pub canary: Vec<Target>,
    /// What is known to work: running services or recordings, one or several; repeatable.
    #[arg(long, value_name = "TARGET", num_args = 1.., required = true)]
    pub stable: Vec<Target>,
    /// Time to watch each target, and the longest wait for its first update [default: 2m; a recording is read to its end].
    #[arg(long = "for", value_name = "DURATION", value_parser = positive_duration)]
    pub duration: Option<Duration>,
    /// Show the comparison in the terminal while it runs; `q` leaves, with the exit code of the verdict.
    #[arg(long, requires = "canary")]
    pub tui: bool,
    /// What it is drawn with.
    #[command(flatten)]
    pub drawing: Drawing,
    /// Every pod that a target of Kubernetes means, as they come and go, each as a target of its own, instead of one of them.
    #[arg(long, help_heading = "Kubernetes")]
    pub all_pods: bool,
    /// Where the result goes.
    #[command(flatten)]
    pub outputs: Outputs,
    /// The severity that counts.
    #[arg(long, value_name = "SEVERITY", value_parser = one_of::<Severity>(), help = help(&FAIL_ON))]
    pub fail_on: Option<Severity>,
    /// Count any structure that stable does not have as a regression, such as a new spawn site, and not only a new order of locks.
    #[arg(long)]
    pub fail_on_new: bool,
    /// Lockfile to write: adds the structure of all targets to what is in it [default: tokio-canary.lock].
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = lockfile::DEFAULT_FILE)]
    pub write: Option<PathBuf>,
    /// Settings of detectors, and tasks that must exist.
    #[command(flatten)]
    pub judging: Judging,
    /// Options of reading.
    #[command(flatten)]
    pub reading: Reading,
}

impl Compare {
    /// All targets, those of the canary first.
    pub fn targets(&self) -> Vec<Target> {
        [&self.canary[..], &self.stable].concat()
    }

    /// How long a running service is watched.
    pub fn limit(&self) -> Duration {
        self.duration.unwrap_or(DEFAULT_FOR)
    }
}
