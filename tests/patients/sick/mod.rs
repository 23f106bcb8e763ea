//! Illnesses of Tokio services, each a small program with the fault that its label names.

mod actors;
mod backlogs;
mod bank;
mod blocking;
mod catalogue;
mod compute;
mod contention;
mod dropping;
mod leaks;
mod pools;
mod queues;
mod requests;
mod rounds;
mod spinning;
mod turns;
mod vital;
mod wakers;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use tokio_canary::detect::detectors::DETECTORS;
use tokio_canary::detect::severity::{Family, Severity};

use crate::service::{self, Service};

/// A faulty program and what has to be said about it.
pub(crate) struct Illness {
    /// Name on the command line.
    pub(crate) id: &'static str,
    /// What is wrong, in a sentence.
    pub(crate) about: &'static str,
    /// The detector that has to fire.
    pub(crate) finding: &'static str,
    /// How bad the finding has to become at least. Information only where the tool cannot know better, however long it looks.
    pub(crate) severity: Severity,
    /// Detectors that may fire as well, because the fault shows in these ways too.
    pub(crate) also: &'static [&'static str],
    /// How long after the start of the program the fault is there to be seen.
    pub(crate) onset: Duration,
    /// How long a client that sees the fault may take to name it and to find it that bad.
    pub(crate) within: Duration,
    /// Further conditions under which the label holds as well, but for that of forgotten causes.
    pub(crate) under: &'static [Condition],
    /// Whether it keeps a core busy.
    pub(crate) computes: bool,
    /// Where the program is written down.
    pub(crate) source: Source,
    /// Runs on the calling thread until the process ends.
    pub(crate) run: fn(),
}

/// How a program is run and watched besides the plain way, which is from its start, on several workers and alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    /// The client attaches long after the fault came.
    Late,
    /// The runtime has a single thread; not for programs whose fault needs several.
    CurrentThread,
    /// The runtime does healthy work as well; not for programs whose fault stops everything on it.
    Load,
    /// The client attaches after the target has forgotten how it came to the fault. No program lists it: it goes with every fault that is
    /// a wait.
    Forgotten,
}

/// All conditions that a program can list.
const EVERYWHERE: &[Condition] = &[Condition::Late, Condition::CurrentThread, Condition::Load];

impl Condition {
    /// The word for it in names.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::CurrentThread => "current-thread",
            Self::Load => "load",
            Self::Forgotten => "forgotten",
        }
    }
}

/// A source file, whose lines marked `// <- ID` are the places that the finding about illness ID has to name.
///
/// Lines marked `// <- also ID` may be named besides, for they are ill through no fault of theirs.
pub(crate) struct Source {
    /// End of the path as it stands in the feed.
    pub(crate) file: &'static str,
    /// The file itself.
    pub(crate) text: &'static str,
}

impl Illness {
    /// All conditions under which it is examined besides the plain way.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = Condition> {
        let detector = DETECTORS.iter().find(|detector| detector.id == self.finding);
        let family = detector.map(|detector| detector.family);
        let waits = self.finding == "full-channel" || matches!(family, Some(Family::Stuck | Family::Contention));
        self.under.iter().copied().chain(waits.then_some(Condition::Forgotten))
    }

    /// The places of which the finding has to name one, as `file:line`.
    pub(crate) fn places(&self) -> Vec<String> {
        self.source.marked(&format!("// <- {}", self.id))
    }

    /// Further places that may be named, as `file:line`.
    pub(crate) fn other_places(&self) -> Vec<String> {
        self.source.marked(&format!("// <- also {}", self.id))
    }
}

impl Source {
    fn marked(&self, marker: &str) -> Vec<String> {
        let lines = self.text.lines().enumerate();
        let marked = lines.filter(|(_, line)| line.trim_end().ends_with(marker));
        marked.map(|(index, _)| format!("{}:{}", self.file, index + 1)).collect()
    }
}

/// All illnesses, by family.
pub(crate) fn all() -> impl Iterator<Item = &'static Illness> {
    let families = [
        bank::ILLNESSES,
        catalogue::ILLNESSES,
        blocking::ILLNESSES,
        queues::ILLNESSES,
        backlogs::ILLNESSES,
        leaks::ILLNESSES,
        wakers::ILLNESSES,
        contention::ILLNESSES,
        spinning::ILLNESSES,
        turns::ILLNESSES,
        actors::ILLNESSES,
        compute::ILLNESSES,
        requests::ILLNESSES,
        dropping::ILLNESSES,
        rounds::ILLNESSES,
        vital::ILLNESSES,
        pools::ILLNESSES,
    ];
    families.into_iter().flatten()
}

/// A service with the illnesses that it is told to have.
#[derive(Parser)]
#[command(name = "sick_service")]
struct Arguments {
    /// Illness to have: may be given several times or as a list with commas.
    #[arg(long = "illness", value_name = "ID", value_delimiter = ',', value_parser = ids(), required_unless_present = "list")]
    illnesses: Vec<String>,
    /// Lists the illnesses with what has to be found, and ends.
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    service: Service,
}

/// Runs the sick service with these arguments, the program's name among them.
pub(crate) fn program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    service::program(arguments, |Arguments { illnesses, list: is_listing, service }| {
        let chosen = all().filter(|illness| illnesses.iter().any(|id| id == illness.id));
        let parts: Vec<_> = chosen.map(|illness| (illness.id, illness.run)).collect();
        if is_listing { list() } else { service.run(&parts) }
    })
}

fn ids() -> PossibleValuesParser {
    all().map(|illness| illness.id).into()
}

fn list() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for illness in all() {
        writeln!(out, "{}: {}", illness.id, illness.about)?;
        let seconds = (illness.onset + illness.within).as_secs();
        let (finding, severity) = (illness.finding, illness.severity.as_str());
        writeln!(out, "    {finding} ({severity}) within {seconds} s at {}", illness.places().join(" or "))?;
        let further: Vec<_> = illness.conditions().map(Condition::as_str).collect();
        writeln!(out, "    examined plainly, and: {}", further.join(", "))?;
        if illness.computes {
            writeln!(out, "    keeps a core busy")?;
        }
        if !illness.also.is_empty() {
            writeln!(out, "    perhaps also {}", illness.also.join(", "))?;
        }
        for place in illness.other_places() {
            writeln!(out, "    perhaps also at {place}")?;
        }
    }
    Ok(())
}
