//! The score as a table, printed and written into the page of scores.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::{Options, Verdict};
use crate::programs::{PROGRAMS, Program, Severity};
use crate::service::{Subscriber, Variant};

/// What stands around the table in the page of scores.
const MARKERS: (&str, &str) = ("<!-- services -->", "<!-- /services -->");
/// First line of that page; the table comes right after it where there are no markers yet.
const TITLE: &str = "# Score\n";

/// The table with its totals and how it came about.
pub(crate) fn page(options: &Options, verdicts: &[Verdict]) -> String {
    let columns: Vec<_> = options.subscriber.iter().map(|&subscriber| of_subscriber(subscriber, verdicts)).collect();
    let names: Vec<_> = options.subscriber.iter().map(|subscriber| subscriber.package()).collect();
    let rows: String =
        PROGRAMS.iter().flat_map(|file| file.iter()).filter_map(|program| row(program, &columns)).collect();
    let Options { seed, rate_factor, size_factor, .. } = options;
    let totals = totals(&names, &columns);
    let (heads, line) = heads(&names);
    format!(
        "## Services on published crates

Written by `cargo run --manifest-path tests/services/Cargo.toml -- score --write docs/reference/score.md`, which starts the
small services in [`tests/services`](../../tests/services), each with a fault that somebody reported in public and then repaired,
under the same load (seed {seed}, loads times {rate_factor}, sizes times {size_factor}), with each subscriber that serves the feed.

{totals}
- *Found*: seconds from the start of the tool until a finding of one of the label's families is as severe as the label asks.
- *As*: the severity and the detector of that finding. *Place* is right if it names a task, a line or a library of the label.
- *Beside*: warnings that the label does not explain. *Repaired*: what the tool says about the repaired service; any warning is
  a false alarm.
- For growing crowds the label demands information only: for some minutes they look like clients that stay.

| service | crates | fault | reported as |{heads}
|---|---|---|---|{line}
{rows}
## Programs with one mechanism each
"
    )
}

/// The verdicts on services whose feed one subscriber serves.
fn of_subscriber(subscriber: Subscriber, verdicts: &[Verdict]) -> Vec<&Verdict> {
    verdicts.iter().filter(|it| it.trial.subscriber == subscriber).collect()
}

/// The heads of the columns that every subscriber has, and the line below them.
fn heads(names: &[&str]) -> (String, String) {
    let heads = |name: &str| {
        let with = if names.len() > 1 { format!(" with {name}") } else { String::new() };
        format!(" found{with} | as | place | beside | repaired |")
    };
    (names.iter().map(|name| heads(name)).collect(), names.iter().map(|_| "---|---|---|---|---|").collect())
}

/// What the verdicts add up to, in a column for each subscriber.
fn totals(names: &[&str], columns: &[Vec<&Verdict>]) -> String {
    let columns: Vec<_> = columns.iter().map(|verdicts| sums(verdicts)).collect();
    let row = |name: &str, cells: Vec<&str>| format!("| {name} | {} |\n", cells.join(" | "));
    let rows = SUMS.iter().enumerate().map(|(at, name)| row(name, columns.iter().map(|it| &*it[at]).collect()));
    let line = "---|".repeat(names.len());
    format!("{}|---|{line}\n{}", row("", names.to_vec()), rows.collect::<String>())
}

/// What is added up.
const SUMS: [&str; 7] = [
    "faults found as severe as the label asks",
    "faults found, information included",
    "at the right place",
    "false alarms on repaired services",
    "false alarms beside the fault",
    "time to detect, median",
    "time to detect, worst",
];

fn sums(verdicts: &[&Verdict]) -> [String; SUMS.len()] {
    let faulty: Vec<_> = verdicts.iter().filter(|it| it.trial.variant == Variant::Faulty).collect();
    let healthy: Vec<_> = verdicts.iter().filter(|it| it.trial.variant == Variant::Healthy).collect();
    let found: Vec<_> = faulty.iter().filter(|it| it.is_found).collect();
    let placed = found.iter().filter(|it| it.is_placed).count();
    let noticed = faulty.iter().filter(|it| it.found.is_some()).count();
    let beside: usize = faulty.iter().map(|it| it.alarms.len()).sum();
    let alarms: usize = healthy.iter().map(|it| it.alarms.len()).sum();
    let mut delays: Vec<_> = found.iter().filter_map(|it| Some(it.found.as_ref()?.after)).collect();
    delays.sort();
    let seconds = |delay: Option<&Duration>| {
        delay.map_or_else(|| "-".to_owned(), |delay| format!("{:.1} s", delay.as_secs_f64()))
    };
    let (all, twins, found) = (faulty.len(), healthy.len(), found.len());
    [
        format!("{found} of {all}"),
        format!("{noticed} of {all}"),
        format!("{placed} of {found}"),
        format!("{alarms} on {twins}"),
        beside.to_string(),
        seconds(delays.get(delays.len() / 2)),
        seconds(delays.last()),
    ]
}

/// A service in the table, unless it was not watched.
fn row(program: &Program, columns: &[Vec<&Verdict>]) -> Option<String> {
    let Program { id, crates, way, issue, .. } = program;
    let cells: Vec<_> = columns.iter().map(|verdicts| cells_of(program, verdicts)).collect();
    cells.iter().any(Option::is_some).then(|| {
        let link = issue.split_once('#').map_or_else(
            || (*issue).to_owned(),
            |(repository, number)| format!("[{issue}](https://github.com/{repository}/issues/{number})"),
        );
        let cells: String = cells.into_iter().map(|cells| cells.unwrap_or_else(|| " - |".repeat(5))).collect();
        format!("| `{id}` | {crates} | {} | {link} |{cells}\n", way.as_str())
    })
}

/// What there is to say of a program with one subscriber; none if it was not watched.
fn cells_of(program: &Program, verdicts: &[&Verdict]) -> Option<String> {
    let of = |variant| verdicts.iter().find(|it| it.trial.program.id == program.id && it.trial.variant == variant);
    let (faulty, healthy) = (of(Variant::Faulty), of(Variant::Healthy));
    (faulty.is_some() || healthy.is_some()).then(|| {
        let (found, severity, place, beside) =
            faulty.map_or_else(|| ["-"; 4].map(str::to_owned).into(), |verdict| cells(verdict));
        let repaired = healthy.map_or_else(|| "-".to_owned(), |verdict| of_repaired(verdict));
        format!(" {found} | {severity} | {place} | {beside} | {repaired} |")
    })
}

/// Found, as, place and beside.
fn cells(verdict: &Verdict) -> (String, String, String, String) {
    let beside = verdict.alarms.len().to_string();
    if let Some(failure) = &verdict.failure {
        return ("**not examined**".to_owned(), failure.clone(), "-".to_owned(), beside);
    }
    let Some(found) = &verdict.found else {
        return ("**no**".to_owned(), "-".to_owned(), "-".to_owned(), beside);
    };
    let after = format!("{:.1}", found.after.as_secs_f64());
    let when = match (verdict.is_found, found.severity) {
        (true, _) => after,
        (false, Severity::Info) => format!("**as information** ({after})"),
        (false, _) => format!("**late** ({after})"),
    };
    let place = if verdict.is_placed { "yes" } else { "**no**" };
    (when, format!("{} `{}`", found.severity.as_str(), found.detector), place.to_owned(), beside)
}

fn of_repaired(verdict: &Verdict) -> String {
    let watched = verdict.watched.as_secs();
    if verdict.failure.is_some() {
        return "**not examined**".to_owned();
    }
    if verdict.alarms.is_empty() {
        return format!("nothing in {watched} s");
    }
    let alarms: Vec<_> = verdict.alarms.iter().map(|alarm| format!("`{}`", alarm.detector)).collect();
    format!("**{}** in {watched} s", alarms.join(", "))
}

/// Puts the table into a page of scores: in the place of the last one, or at its beginning.
///
/// # Errors
///
/// When the page cannot be read or written, or is no page of scores.
pub(crate) fn write(file: &Path, page: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let new = placed(&text, page)
        .with_context(|| format!("{} has neither a line {} nor the title {TITLE}", file.display(), MARKERS.0))?;
    fs::write(file, new).with_context(|| format!("{} cannot be written", file.display()))
}

/// The text of a page of scores with this table in its place; none if it has no place for it.
fn placed(text: &str, page: &str) -> Option<String> {
    let block = format!("{}\n{page}{}", MARKERS.0, MARKERS.1);
    let last = text.split_once(MARKERS.0).and_then(|(before, rest)| Some((before, rest.split_once(MARKERS.1)?.1)));
    if let Some((before, after)) = last {
        return Some(format!("{before}{block}{after}"));
    }
    text.strip_prefix(TITLE).map(|rest| format!("{TITLE}\n{block}\n{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_comes_first_and_the_rest_of_the_page_stays() {
        let page = "# Score\n\nAnd what others wrote.\n";
        let once = placed(page, "one\n").unwrap();
        assert_eq!(once, "# Score\n\n<!-- services -->\none\n<!-- /services -->\n\nAnd what others wrote.\n");
        let twice = placed(&once, "two\n").unwrap();
        assert_eq!(twice, once.replace("one", "two"));
        assert_eq!(placed("# Another page\n", "one\n"), None);
    }
}
