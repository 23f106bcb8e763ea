//! How it reads: no text that a user meets has words that the field does not use, or numbers in a form that nobody writes.

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use clap::CommandFactory;
use regex::Regex;
use tokio_canary::cli::Cli;
use tokio_canary::config::options::OPTIONS;
use tokio_canary::detect::detectors::DETECTORS;
use tokio_canary::explain;

use crate::source::{files_below, in_repository, read};

/// Words that make an engineer stumble, and what to write instead. They are patterns for whole words, in upper or lower case.
const WORDS: &[(&str, &str)] = &[
    (
        "(within|for|after|in|every) so (long|many)|so often",
        "the value, such as `observation window` or `minimum number of grants`",
    ),
    ("(get|gets|got|getting) in", "`acquire`"),
    ("(let|lets|letting) (nobody|somebody|anybody|others|tasks) in", "`grant no permit`, `admit`"),
    ("(is|are|was|were|be|been|being) (told|judged|said)", "an active verb: `report`, `examine`, `show`"),
    ("(tell|tells|told) of", "`report`, `instrument`"),
    ("(tell|tells|telling) (so|that|which|how|who|whom|where|what)", "`say`, `show`"),
    ("(go|goes|going|gone|went) on", "`continue`, `make progress`"),
    ("(come|comes|came) to an end", "`end`"),
    ("(stand|stands|stood|standing) still", "`be stuck`, `be paused`, `stall`"),
    ("(turn|turns|turned|turning) around", "`spin on`"),
    ("(works|worked|working) off", "`drain`"),
    ("never rests", "`is never idle`"),
    ("present (poll|wait|rate|state)s?", "`current`"),
    ("masses of", "`many`, `too many`"),
    ("news of", "`reports of`"),
    ("way in", "`kind of acquisition`"),
    ("could not be connected", "`could not connect`"),
    ("refused to go", "`closed the stream`"),
    ("judge targets", "`watch`"),
    ("hand over (its|their) events", "`drain`"),
    ("everything still works", "`heartbeat`"),
    ("sick|ill|illness|illnesses|patients?", "`faulty`, `fault`"),
    ("we|our|ours", "`the tool`, `tokio-canary`"),
    ("1 more are", "`1 more is`"),
];

/// Numbers in a form that nobody writes.
const NUMBERS: &[(&str, &str)] = &[
    (
        "1 (task|poll|wait|waiter|waker|event|update|permit|job|sender|receiver|message|lock|resource|site|member|target|second|time|sample|\
         sighting|grant)s",
        "the singular",
    ),
    ("1 (parties|entries|entities|ways)", "the singular"),
    ("0 (ns|µs|us|ms)", "`0 s`"),
    ("[0-9]{4,} (ns|µs|us|ms)", "the next unit"),
    (r"0\.[0-9]+ s", "milliseconds"),
    ("[0-9]+ us", "`µs`"),
    (r"[0-9]+\.[0-9]{3,} (s|ms|µs|%)", "fewer digits"),
];

/// Words that send the reader of a help text to its neighbours.
const NEIGHBOURS: &str = "the same|as above|see above|see below|this|these|those|such|of them|it";

/// Where a text stands that a user can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Titles, look-alikes, and help of settings and options in the registries.
    Registry,
    /// Pages of detectors, guides, the README.
    Docs,
    /// Sentences of findings, as scenarios show them.
    Findings,
    /// Help of commands and their arguments.
    CommandLine,
    /// What the terminal shows.
    Screens,
}

/// Texts that are not held to this yet.
const NOT_YET: &[Kind] = &[Kind::CommandLine, Kind::Screens];

/// Pages that a command writes.
const WRITTEN: &[&str] = &["docs/reference/score.md"];

/// A text, and where it stands.
#[expect(clippy::struct_field_names, reason = "a text has a text")]
struct Text {
    kind: Kind,
    place: String,
    text: String,
}

impl Text {
    fn new(kind: Kind, place: impl Into<String>, text: impl AsRef<str>) -> Self {
        let text = text.as_ref().split_whitespace().collect::<Vec<_>>().join(" ");
        Self { kind, place: place.into(), text }
    }
}

/// What must not stand in a text, and what to write instead.
struct Rule {
    pattern: Regex,
    instead: &'static str,
}

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let rules = WORDS.iter().chain(NUMBERS);
    rules.map(|(pattern, instead)| Rule { pattern: whole_words(pattern), instead }).collect()
});

fn whole_words(pattern: &str) -> Regex {
    // A dot before a number belongs to it.
    Regex::new(&format!(r"(?i)(?:^|[^\w.]|\B\.)({pattern})\b")).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

#[test]
fn every_text_reads_well() {
    let texts = [registry(), docs(), findings(), command_line(), screens()];
    let mut wrong = Vec::new();
    for texts in &texts {
        let kind = texts.first().map(|text| text.kind).expect("a text of every kind");
        if NOT_YET.contains(&kind) {
            continue;
        }
        wrong.extend(texts.iter().flat_map(faults));
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong.join("\n"));
}

/// A help text is printed without its neighbours.
#[test]
fn help_of_settings_stands_alone() {
    let neighbours = whole_words(NEIGHBOURS);
    let mut wrong = Vec::new();
    for detector in DETECTORS {
        for setting in detector.all_settings() {
            let (place, help) = (format!("{}.{}", detector.id, setting.key()), setting.help());
            wrong.extend(neighbours.captures(help).map(|found| format!("{place}: `{}` in: {help}", &found[1])));
            if !help.starts_with(char::is_lowercase) || help.ends_with('.') {
                wrong.push(format!("{place}: not a noun phrase: {help}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn faults_are_found_and_nothing_else() {
    let of = |text: &str| faults(&Text::new(Kind::Findings, "here", text));
    for bad in [
        "Nobody has got in for 3 s.",
        "The task goes\non.",
        "It waits 1000 ms.",
        "It took 0 ns.",
        "1 polls",
        "1 parties are missing",
        "0.5 s",
        "What is told here",
        "We attach late.",
        "a sick service",
    ] {
        assert_eq!(of(bad).len(), 1, "{bad}: {:?}", of(bad));
    }
    for good in ["1 task waits for 999 ms.", "1.5 s, 10.1 s, 21 polls", "going, on and off", "0 s", "100 µs", "3.0 ms"]
    {
        assert_eq!(of(good), [""; 0], "{good}");
    }
    assert_eq!(of(&without_code("It `goes on` here.\n```rust\n// we go on\n```\n[there](we/go/on.md)")), [""; 0]);
}

/// What is wrong with a text, and what to write instead.
fn faults(text: &Text) -> Vec<String> {
    let faults = RULES.iter().flat_map(|rule| {
        let words = rule.pattern.captures_iter(&text.text).filter_map(|found| found.get(1));
        words.map(|word| {
            let part = around(&text.text, word.range());
            format!("{}: … {part} …: instead of `{}`, write {}", text.place, word.as_str(), rule.instead)
        })
    });
    faults.collect()
}

/// A part of a text, and the words around it.
fn around(text: &str, part: Range<usize>) -> &str {
    let before = text[..part.start].char_indices().rev().nth(30).map_or(0, |(at, _)| at);
    let after = text[part.end..].char_indices().nth(30).map_or(text.len(), |(at, _)| part.end + at);
    &text[before..after]
}

fn registry() -> Vec<Text> {
    let mut texts = Vec::new();
    for detector in DETECTORS {
        let mut add =
            |what: &str, text: &str| texts.push(Text::new(Kind::Registry, format!("{} {what}", detector.id), text));
        add("title", detector.title);
        detector.all_settings().for_each(|setting| add(setting.key(), setting.help()));
        detector.look_alikes.iter().for_each(|look_alike| add("look-alike", look_alike.describe()));
    }
    texts.extend(OPTIONS.iter().map(|option| Text::new(Kind::Registry, option.key(), option.help())));
    texts.push(Text::new(Kind::Registry, "list of detectors", explain::list()));
    texts
}

fn docs() -> Vec<Text> {
    let pages = files_below(&in_repository("docs"), "md").into_iter().chain([in_repository("README.md")]);
    let own = pages.filter(|page| !WRITTEN.iter().any(|written| page.ends_with(written)));
    own.map(|page| Text::new(Kind::Docs, page.display().to_string(), without_code(&without_score(&read(&page)))))
        .collect()
}

/// A page without the table that a command writes into it.
fn without_score(page: &str) -> String {
    let around = page.split_once("<!-- score -->").zip(page.split_once("<!-- end of score -->"));
    around.map_or_else(|| page.to_owned(), |((before, _), (_, after))| format!("{before}{after}"))
}

/// Markdown without code and without the targets of its links.
fn without_code(markdown: &str) -> String {
    let mut text = String::new();
    let mut fenced = false;
    for line in markdown.lines() {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        if !fenced && !is_fence {
            text += &line.split('`').step_by(2).collect::<Vec<_>>().join("`");
            text.push('\n');
        }
    }
    let parts = text.split("](").enumerate();
    let parts = parts.map(|(place, part)| if place == 0 { part } else { part.split_once(')').map_or(part, |it| it.1) });
    parts.collect::<Vec<_>>().join("]")
}

fn findings() -> Vec<Text> {
    snapshots(Kind::Findings, &in_repository("tests/scenarios"))
}

fn screens() -> Vec<Text> {
    snapshots(Kind::Screens, &in_repository("tests/integration/screens"))
}

/// What snapshots hold, without what they say of themselves and without the times at which findings changed.
fn snapshots(kind: Kind, folder: &Path) -> Vec<Text> {
    let is_text = |line: &&str| line.split_whitespace().nth(1) != Some("s");
    let body = |text: &str| {
        let body = text.splitn(3, "---\n").last().unwrap_or_default().to_owned();
        body.lines().filter(is_text).collect::<Vec<_>>().join("\n")
    };
    let files = files_below(folder, "snap").into_iter();
    files.map(|path| Text::new(kind, path.display().to_string(), body(&read(&path)))).collect()
}

fn command_line() -> Vec<Text> {
    let mut texts = Vec::new();
    add_command(&Cli::command(), &mut texts);
    texts
}

fn add_command(command: &clap::Command, texts: &mut Vec<Text>) {
    let mut add = |place: String, help: Option<&clap::builder::StyledStr>| {
        texts.extend(help.map(|help| Text::new(Kind::CommandLine, place, help.to_string())));
    };
    let name = command.get_name();
    add(format!("{name} --help"), command.get_about());
    add(format!("{name} --help"), command.get_long_about());
    for argument in command.get_arguments() {
        let place = format!("{name}, {}", argument.get_id());
        add(place.clone(), argument.get_help());
        add(place.clone(), argument.get_long_help());
        argument.get_possible_values().iter().for_each(|value| add(place.clone(), value.get_help()));
    }
    command.get_subcommands().for_each(|command| add_command(command, texts));
}
