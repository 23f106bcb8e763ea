//! What a hostile or unlucky target could send, and what a damaged file could hold: the tool survives it within limits of memory and time,
//! writes no control character, and calls nothing healthy that it could not read.
//!
//! `cargo test --test fuzz` feeds a few thousand inputs, always the same ones. `cargo test --release --test fuzz -- --inputs 1000000` feeds
//! others, and prints their rate and their seed. An input is made of a recording or a scenario of this repository, by its number and the
//! seed alone; it is played in a process of its own kind, so that whatever it does to that is told apart.

mod judge;
mod mutate;
#[path = "../integration/support/simulator/mod.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
#[expect(clippy::expect_used, reason = "a failed assumption is a failed test")]
mod simulator;
mod supervisor;
mod tape;
mod tree;
mod worker;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::mutate::Kind;
use crate::supervisor::End;
use crate::worker::{Harm, Task};

/// How many inputs of each kind there are unless told otherwise, and their seed.
const FEW: u64 = 400;
const SEED: u64 = 11;

/// Feeds the tool what it should never get; takes the usual flags of a test program.
#[derive(Parser)]
struct Fuzz {
    #[command(flatten)]
    usual: Arguments,
    /// How many inputs to feed, of all kinds together, instead of a few.
    #[arg(long, value_name = "N")]
    inputs: Option<u64>,
    /// The seed of the inputs; with --inputs another one each time.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Feeds this input alone, and nothing else.
    #[arg(long, value_name = "NUMBER")]
    only: Option<u64>,
    /// Writes inputs that do harm to this folder, as recordings.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    task: Task,
}

fn main() -> ExitCode {
    let fuzz = Fuzz::parse();
    let Task { kind, file, harm, .. } = &fuzz.task;
    if kind.is_some() || file.is_some() || harm.is_some() {
        return match worker::work(&fuzz.task, fuzz.seed.unwrap_or(SEED)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Nobody may be left to tell.
                let _ = writeln!(io::stderr(), "{error}");
                ExitCode::FAILURE
            }
        };
    }
    let trials = trials(&fuzz);
    libtest_mimic::run(&fuzz.usual, trials).exit_code()
}

fn trials(fuzz: &Fuzz) -> Vec<Trial> {
    let of_today = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(SEED, |since| since.as_secs());
    let seed = fuzz.seed.unwrap_or(if fuzz.inputs.is_some() { of_today } else { SEED });
    let each = fuzz.inputs.map_or(FEW, |inputs| inputs.div_ceil(3));
    let fed = Kind::ALL.map(|kind| {
        let (only, keep) = (fuzz.only, fuzz.keep.clone());
        Trial::test(kind.word(), move || feed(kind, seed, only, each, keep.as_deref()))
    });
    let mut trials: Vec<Trial> = fed.into();
    if fuzz.only.is_none() {
        trials.extend(corpus());
        trials.extend(harms());
    }
    trials
}

/// Feeds inputs of a kind, and says how fast that was.
fn feed(kind: Kind, seed: u64, only: Option<u64>, count: u64, keep: Option<&Path>) -> Result<(), Failed> {
    let numbers = only.map_or(0..count, |number| number..number + 1);
    let run = supervisor::feed(kind, seed, numbers, keep)?;
    let rate = u128::from(run.inputs) * 1_000 / run.took.as_millis().max(1);
    let told = format!("{}: {} inputs of seed {seed}, {rate} a second", kind.word(), run.inputs);
    writeln!(io::stdout(), "{told}")?;
    if run.faults.is_empty() { Ok(()) } else { Err(Failed::from(format!("{told}\n{}", run.faults.join("\n")))) }
}

/// The small recordings that did harm once.
fn corpus() -> Vec<Trial> {
    let files = std::fs::read_dir(in_repository("tests/fuzz/corpus")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = files.map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "mcap"));
    paths.sort();
    assert!(!paths.is_empty(), "the corpus is empty");
    let trial = |path: PathBuf| {
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Trial::test(format!("corpus::{name}"), move || supervisor::play(&path))
    };
    paths.into_iter().map(trial).collect()
}

/// Every kind of harm is noticed for what it is; without optimisation, arithmetic that overflows is one of them.
fn harms() -> Vec<Trial> {
    type Noticed = fn(&End) -> bool;
    let mut harms: Vec<(Harm, Noticed)> = vec![
        (Harm::Memory, |end| matches!(end, End::Killed(said) if said.contains("memory allocation"))),
        (Harm::Time, |end| matches!(end, End::TooSlow(_))),
        (Harm::Panic, |end| matches!(end, End::Panicked(said) if said.contains("asked for"))),
    ];
    if cfg!(debug_assertions) {
        harms.push((Harm::Overflow, |end| matches!(end, End::Panicked(said) if said.contains("overflow"))));
    }
    let trial = |(harm, is_noticed): (Harm, Noticed)| {
        Trial::test(format!("harm::{}", format!("{harm:?}").to_lowercase()), move || {
            let end = supervisor::harm(harm)?;
            if is_noticed(&end) { Ok(()) } else { Err(Failed::from(format!("it passed for this: {end}"))) }
        })
    };
    harms.into_iter().map(trial).collect()
}

/// A path below the root of the repository.
fn in_repository(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}
