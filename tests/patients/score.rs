//! The score: how many of the illnesses were found, how fast, and how often there was an alarm without reason.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use tokio_canary::detect::severity::Severity;

use crate::page;
use crate::verdict::{Console, Verdict};

/// What stands around the totals, in the README as in the score itself.
const MARKERS: (&str, &str) = ("<!-- score -->", "<!-- end of score -->");
/// What stands around the score of the services on published crates, which their own command writes into the same page.
const SERVICES: (&str, &str) = ("<!-- services -->", "<!-- /services -->");
/// First line of the page.
const TITLE: &str = "# Score\n\n";

/// Prints the score, and writes it into a file and its totals into the README.
///
/// # Errors
///
/// When either file cannot be written, or the README has no place for the totals.
pub(crate) fn publish(file: &Path, verdicts: &[Verdict], healthy_for: Duration, sick_for: Duration) -> io::Result<()> {
    let totals = Totals::of(verdicts).table();
    let block = format!("{}\n{totals}{}", MARKERS.0, MARKERS.1);
    writeln!(io::stdout(), "\n{totals}")?;
    // There is none yet where the page is new.
    let services = services(&fs::read_to_string(file).unwrap_or_default());
    fs::write(file, format!("{TITLE}{services}{}", page(verdicts, &block, healthy_for, sick_for)))?;
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    page::replace(&readme, MARKERS, &totals)
}

/// The part of a page about the services, which is kept as it is.
fn services(page: &str) -> String {
    let part = page::around(page, SERVICES);
    part.map_or_else(String::new, |(_, inside, _)| format!("{}{inside}{}\n\n", SERVICES.0, SERVICES.1))
}

/// Counts over all verdicts.
#[derive(Default)]
struct Totals {
    sick: usize,
    /// Sick programs whose fault has to become a warning at least, and how many of them did.
    grave: usize,
    warned: usize,
    healthy: usize,
    found: usize,
    noticed: usize,
    placed: usize,
    alarms_on_healthy: usize,
    alarms_beside: usize,
    delays: Vec<Duration>,
    console_found: usize,
    console_warned: usize,
    console_on_healthy: usize,
    console_beside: usize,
    sizes: usize,
}

impl Totals {
    fn of(verdicts: &[Verdict]) -> Self {
        let mut totals = Self::default();
        for verdict in verdicts {
            let none = Console::default();
            let console = verdict.console.as_ref().unwrap_or(&none);
            totals.sizes += usize::from(console.sizes > 0);
            let Some((_, severity)) = verdict.expected else {
                totals.healthy += 1;
                totals.alarms_on_healthy += verdict.alarms;
                totals.console_on_healthy += console.alarms.len();
                continue;
            };
            let (found, is_grave) = (verdict.found == Some(true), severity >= Severity::Warning);
            totals.sick += 1;
            totals.grave += usize::from(is_grave);
            totals.warned += usize::from(found && is_grave);
            totals.found += usize::from(found);
            totals.noticed += usize::from(verdict.noticed);
            totals.placed += usize::from(found && verdict.place != Some(false));
            totals.alarms_beside += verdict.alarms;
            totals.delays.extend(verdict.delay.filter(|_| found));
            let console_found = !console.found_by.is_empty();
            totals.console_found += usize::from(console_found);
            totals.console_warned += usize::from(console_found && is_grave);
            totals.console_beside += console.alarms.len();
        }
        totals.delays.sort();
        totals
    }

    fn table(&self) -> String {
        let &Self { sick, grave, healthy, found, placed, .. } = self;
        let share = |part: usize, whole: usize| format!("{part} of {whole} ({})", percent(part, whole));
        let precision = |found: usize, alarms: usize| percent(found, found + alarms);
        let ours = self.alarms_on_healthy + self.alarms_beside;
        let theirs = self.console_on_healthy + self.console_beside;
        let median = self.delays.get(self.delays.len() / 2).copied().unwrap_or_default();
        let worst = self.delays.last().copied().unwrap_or_default();
        let rows = [
            ("faults found as warnings (recall)", share(self.warned, grave), share(self.console_warned, grave)),
            ("faults found, information included", share(self.noticed, sick), share(self.console_found, sick)),
            ("at the right place", share(placed, found), "-".to_owned()),
            (
                &format!("false alarms on {healthy} healthy programs"),
                self.alarms_on_healthy.to_string(),
                self.console_on_healthy.to_string(),
            ),
            ("false alarms beside the fault", self.alarms_beside.to_string(), self.console_beside.to_string()),
            ("precision", precision(found, ours), precision(self.console_found, theirs)),
            ("time to detect, median", seconds(median), "-".to_owned()),
            ("time to detect, worst", seconds(worst), "-".to_owned()),
        ];
        let mut table = "| | tokio-canary | tokio-console's warnings |\n|---|---|---|\n".to_owned();
        for (what, ours, theirs) in rows {
            // A string takes everything.
            let _ = writeln!(table, "| {what} | {ours} | {theirs} |");
        }
        table
    }
}

/// The page with a row for each program.
fn page(verdicts: &[Verdict], block: &str, healthy_for: Duration, sick_for: Duration) -> String {
    let mut rows: Vec<_> = verdicts.iter().collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let rows: String = rows.into_iter().map(row).collect();
    let (healthy_for, sick_for) = (humantime::format_duration(healthy_for), humantime::format_duration(sick_for));
    let sizes = Totals::of(verdicts).sizes;
    let count = verdicts.len();
    let by_design = by_design(verdicts);
    format!(
        "Written by `cargo test --test patients -- --score docs/reference/score.md`, which started the {count} programs below, each as a
process of its own with the real console-subscriber, and let this tool judge each of them through that feed. Healthy programs were
watched for {healthy_for}, faulty ones for {sick_for} or as long as their label allows, whichever is more. The programs are in
[`tests/patients`](../../tests/patients).

{block}

## How to read it

- A label says which detector has to fire, how severe its finding has to become, at which places in the source, from when on
  the fault is there to be seen, how long it may take to find it, and what may fire besides. *Found* is: that detector fired, at
  that severity or above, in that time.
- The recall counts the faults whose label asks for a warning at least. The faults of {by_design} are information by design: the
  feed alone cannot tell whether they do harm. They count in the second row, in which every finding counts that came in time,
  however severe.
- *Place* is right if the finding names one of the labelled lines.
- *Seconds* run from the start of the tool or the time at which the fault can be seen, whichever is later, until the line is
  printed with which the finding is as severe as the label asks.
- A *false alarm* is a finding at warning or critical that the label does not explain; on a healthy program, any. Precision is
  the share of found programs among those and all false alarms.
- `+late`: the tool attaches 35 s after the program has started. `+current-thread`: the runtime has a single thread. `+load`: the
  runtime does healthy work as well, namely requests with a task each, a pipeline and a worker pool. `+forgotten`: the target
  keeps what has ended for 5 s only and the tool attaches 20 s after the start, so that the feed no longer tells who acquired
  what; of faults that are waits, any finding of the stuck, contention or queue family at a labelled line counts then.
- *Console* is what the five warnings of stock tokio-console, with its thresholds, say about the same feed
  ([`baseline.rs`](../../tests/patients/baseline.rs)). A warning about a task that was spawned at a labelled line counts as found,
  whatever it says; a warning about any other task as a false alarm, once for each place. Not counted are `lost-waker` of `main`,
  which rests in `pending()` here, and the two warnings about the size of futures, which {sizes} of the {count} programs had.

## Programs

| program | has to be found | at least | found | place | seconds | false alarms | console | console's false alarms |
|---|---|---|---|---|---|---|---|---|
{rows}"
    )
}

fn row(verdict: &Verdict) -> String {
    let word = |answer: Option<bool>| answer.map_or("-", |yes| if yes { "yes" } else { "**no**" });
    let found = match verdict.found {
        Some(false) if verdict.noticed => "**as information**",
        found => word(found),
    };
    let delay = verdict.delay.map_or_else(|| "-".to_owned(), |delay| format!("{:.1}", delay.as_secs_f64()));
    let detector =
        verdict.expected.map_or_else(|| "nothing".to_owned(), |(id, _)| format!("[`{id}`](../detectors/{id}.md)"));
    let severity = verdict.expected.map_or("-", |(_, severity)| severity.as_str());
    let list = |lints: Vec<&str>| if lints.is_empty() { "-".to_owned() } else { lints.join(", ") };
    let console = verdict.console.as_ref();
    let found_by = list(console.map(|console| console.found_by.iter().copied().collect()).unwrap_or_default());
    let elsewhere = console.map(|console| console.alarms.iter().map(|warning| warning.lint).collect());
    let elsewhere = list(elsewhere.unwrap_or_default());
    let (name, place, alarms) = (&verdict.name, word(verdict.place), verdict.alarms);
    format!(
        "| `{name}` | {detector} | {severity} | {found} | {place} | {delay} | {alarms} | {found_by} | {elsewhere} |\n"
    )
}

/// The programs, each once, whose label asks for information only.
fn by_design(verdicts: &[Verdict]) -> String {
    let of_label = verdicts.iter().filter(|verdict| verdict.expected.is_some_and(|(_, it)| it == Severity::Info));
    let names = of_label.map(|verdict| verdict.name.split('+').next().unwrap_or_default());
    let names: BTreeSet<_> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.into_iter().collect::<Vec<_>>().join(", ") }
}

/// A share with one digit, and never rounded up to everything.
fn percent(part: usize, whole: usize) -> String {
    match (part * 1_000).checked_div(whole) {
        None => "-".to_owned(),
        Some(share) if share % 10 == 0 => format!("{} %", share / 10),
        Some(share) => format!("{}.{} %", share / 10, share % 10),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
