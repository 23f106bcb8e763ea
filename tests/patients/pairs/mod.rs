//! Pairs of real programs, canary against stable, compared by the real tool: how often it is wrong about those that are equal, and about those that
//! are not.

pub(crate) mod shop;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::ValueEnum as _;
use libtest_mimic::{Failed, Trial};

use self::shop::Change;
use crate::corpus;
use crate::machine::{Demand, Machine};
use crate::page;
use crate::process;

/// How long a pair is watched, as the simulated ones are.
const WATCH: Duration = Duration::from_secs(92);
/// Pairs that run concurrently: each is two programs and the tool, which are idle most of the time.
const AT_A_TIME: usize = 9;
/// How much earlier stable starts in the pair that differs by that.
const HEAD_START: Duration = Duration::from_secs(20);
/// Where the table stands.
const GUIDE: &str = "docs/guides/compare.md";
const MARKERS: (&str, &str) = ("<!-- real pairs -->", "<!-- end of real pairs -->");

/// A program to compare.
#[derive(Debug, Clone, Copy)]
enum Program {
    /// A version of the shop.
    Shop(Change),
    /// A family of healthy habits in one process.
    Healthy(&'static str),
}

/// A canary and what it is compared with.
struct Pair {
    name: &'static str,
    /// What differs, in a few words.
    what: &'static str,
    /// Whether that is a regression.
    is_worse: bool,
    canary: Program,
    stable: Program,
    /// How much earlier stable starts.
    head_start: Duration,
}

const fn equal(name: &'static str, what: &'static str, canary: Change) -> Pair {
    let (canary, stable) = (Program::Shop(canary), Program::Shop(Change::None));
    Pair { name, what, is_worse: false, canary, stable, head_start: Duration::ZERO }
}

const fn worse(name: &'static str, what: &'static str, canary: Change) -> Pair {
    Pair { is_worse: true, ..equal(name, what, canary) }
}

const fn itself(name: &'static str, what: &'static str, family: &'static str) -> Pair {
    let program = Program::Healthy(family);
    Pair { canary: program, stable: program, ..equal(name, what, Change::None) }
}

const PAIRS: &[Pair] = &[
    equal("the same shop", "nothing but chance", Change::None),
    Pair {
        head_start: HEAD_START,
        ..equal("a fresh process", "stable has been running for 20 s already", Change::None)
    },
    equal("more load", "twice the requests", Change::MoreLoad),
    equal("slightly slower", "the database takes 20 % longer", Change::SlightlySlower),
    Pair {
        stable: Program::Shop(Change::BusyTable),
        ..equal("a busy lock", "nothing but chance, at a lock that is nearly always taken", Change::BusyTable)
    },
    itself("servers", "nothing but chance, in programs that answer requests", "servers"),
    itself("queues", "nothing but chance, in programs with channels", "queues"),
    itself("sharing", "nothing but chance, in programs with locks and pools", "sharing"),
    itself("spawning", "nothing but chance, in programs that spawn many tasks", "spawning"),
    worse(
        "a lock held longer",
        "a lock that few wait for on stable is held for 36 ms instead of 12 ms",
        Change::LongerHold,
    ),
    Pair {
        stable: Program::Shop(Change::BusyTable),
        ..worse(
            "a busy lock held longer",
            "the same at a lock that is nearly always taken",
            Change::BusyTableHeldLonger,
        )
    },
    worse("a blocking poll", "each request computes 30 ms in one poll", Change::BlockingPoll),
    worse("a task leak", "a new kind of task, one every 700 ms, never ends", Change::Leak),
    worse("a leak of a known task", "requests that never end, one a second", Change::LeakOfRequests),
    worse("a new lock order", "a job takes two locks the other way round", Change::LockOrder),
    worse("a spin", "the timer is polled every 4 ms instead of every 500 ms", Change::Spin),
    worse("slow requests", "the database takes two and a half times as long", Change::SlowRequests),
    worse("a deadlock", "two tasks wait for each other", Change::Deadlock),
];

/// What the tool says of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Regression,
    Same,
    NotEnoughData,
}

/// Compares each selected pair `times` times, prints a table of the verdicts, and writes it into the guide if `writes` is set. Returns whether all
/// verdicts were right.
///
/// # Errors
/// A program or the tool cannot be started, or the guide has no place for the table.
pub(crate) fn run(times: usize, tool: &Path, selects: impl Fn(&str) -> bool, writes: bool) -> io::Result<bool> {
    let chosen: Vec<&Pair> = PAIRS.iter().filter(|pair| selects(pair.name)).collect();
    let machine = Machine::new(AT_A_TIME);
    let mut table = Table { rows: chosen.iter().map(|pair| (*pair, [0; 3])).collect() };
    for time in 1..=times {
        writeln!(io::stderr(), "round {time} of {times}")?;
        let said: Vec<io::Result<(Said, String)>> = thread::scope(|scope| {
            let compared = chosen.iter().enumerate().map(|(rank, pair)| {
                let machine = &machine;
                scope.spawn(move || {
                    let _place = machine.place_for(rank, Demand::Little);
                    pair.compare(tool)
                })
            });
            let compared: Vec<_> = compared.collect();
            let failed = || Err(io::Error::other("a comparison panicked"));
            compared.into_iter().map(|it| it.join().unwrap_or_else(|_| failed())).collect()
        });
        for (said, (pair, counts)) in said.into_iter().zip(&mut table.rows) {
            let (said, sentence) = said?;
            counts[said as usize] += 1;
            if said == Said::NotEnoughData || pair.is_wrong(said) {
                writeln!(io::stderr(), "{}: {sentence}", pair.name)?;
            }
        }
    }
    let rows = table.page();
    writeln!(io::stdout(), "{rows}")?;
    if writes {
        page::replace(&guide(), MARKERS, &rows)?;
    }
    Ok(table.false_alarms() + table.misses() == 0)
}

impl Pair {
    /// Starts both programs, lets the tool compare them, and returns its verdict with the first sentence.
    fn compare(&self, tool: &Path) -> io::Result<(Said, String)> {
        let (_stable, stable) = process::start_patient(&self.stable.command())?;
        thread::sleep(self.head_start);
        let (_canary, canary) = process::start_patient(&self.canary.command())?;
        let mut command = Command::new(tool);
        command.args(["compare", "--isolated", "--for", &format!("{}s", WATCH.as_secs())]);
        command.args(["--canary", &canary, "--stable", &stable]).stdin(Stdio::null());
        let outcome = command.output()?;
        let text = String::from_utf8_lossy(&outcome.stdout);
        let sentence = text.lines().next().unwrap_or_default().to_owned();
        let said = match outcome.status.code() {
            Some(0) => Said::Same,
            Some(1) => Said::Regression,
            Some(3) => Said::NotEnoughData,
            _ => return Err(io::Error::other(String::from_utf8_lossy(&outcome.stderr).into_owned())),
        };
        Ok((said, sentence))
    }

    fn is_wrong(&self, said: Said) -> bool {
        if self.is_worse { said != Said::Regression } else { said == Said::Regression }
    }
}

impl Program {
    fn command(self) -> Vec<String> {
        match self {
            Self::Shop(change) => {
                let word = change.to_possible_value().map_or_else(String::new, |it| it.get_name().to_owned());
                corpus::command(shop::PROGRAM, &["--change", &word])
            }
            Self::Healthy(family) => corpus::healthy_command(family),
        }
    }
}

/// How often each verdict was given about each pair.
struct Table<'a> {
    rows: Vec<(&'a Pair, [usize; 3])>,
}

impl Table<'_> {
    /// How often something was said of pairs that are worse, or of those that are not.
    fn times(&self, is_worse: bool, counts: impl Fn(&Pair, usize) -> bool) -> usize {
        let rows = self.rows.iter().filter(|(pair, _)| pair.is_worse == is_worse);
        rows.flat_map(|(pair, times)| times.iter().enumerate().filter(|(said, _)| counts(pair, *said)))
            .map(|(_, times)| times)
            .sum()
    }

    fn false_alarms(&self) -> usize {
        self.times(false, |_, said| said == Said::Regression as usize)
    }

    fn misses(&self) -> usize {
        self.times(true, |_, said| said != Said::Regression as usize)
    }

    fn page(&self) -> String {
        let mut page =
            "| pair | what differs | regression | same | not enough data |\n|---|---|---|---|---|\n".to_owned();
        for (pair, [regression, same, unsure]) in &self.rows {
            // A string takes everything.
            let _ = writeln!(page, "| {} | {} | {regression} | {same} | {unsure} |", pair.name, pair.what);
        }
        let (equal, different) = (self.times(false, |_, _| true), self.times(true, |_, _| true));
        let unsure = self.times(false, |_, said| said == Said::NotEnoughData as usize);
        let _ = writeln!(
            page,
            "\n{} false alarms in {equal} comparisons of equal programs, {unsure} of which had not enough data; {} misses in {different} \
             comparisons of different ones.",
            self.false_alarms(),
            self.misses(),
        );
        page
    }
}

fn guide() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(GUIDE)
}

/// What is tested without comparing anything: the guide has a row for each pair, and at least half a dozen pairs of each kind.
pub(crate) fn trials() -> [Trial; 1] {
    [Trial::test("pairs::the-guide-has-every-pair", || {
        let text = fs::read_to_string(guide())?;
        let (_, table, _) = page::around(&text, MARKERS).ok_or("the guide has no table")?;
        let begin = |pair: &Pair| format!("| {} | {} |", pair.name, pair.what);
        let missing: Vec<&str> = PAIRS.iter().filter(|it| !table.contains(&begin(it))).map(|it| it.name).collect();
        let worse = PAIRS.iter().filter(|pair| pair.is_worse).count();
        if !missing.is_empty() {
            return Err(Failed::from(format!("the guide has no row for {missing:?}: write it with --compare")));
        }
        if worse < 6 || PAIRS.len() - worse < 6 { Err(Failed::from("too few pairs of a kind")) } else { Ok(()) }
    })]
}
