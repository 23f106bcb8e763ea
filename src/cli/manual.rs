//! The manual pages, one for each command: what the command line knows of it, and what it does not know, exit codes, variables and examples.

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::Cli;
use super::help::help;
use crate::config::options::OPTIONS;
use crate::config::variable;

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The command, without the name of the tool: `config show`; empty for the tool itself.
    pub command: String,
    /// The name of its file.
    pub file: String,
    /// The page, in roff.
    pub text: Vec<u8>,
}

/// What is known of a command beyond its arguments.
struct Entry {
    command: &'static str,
    exits: &'static [(&'static str, &'static str)],
    variables: Variables,
    examples: &'static [(&'static str, &'static str)],
}

/// Which variables of the environment a command reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variables {
    /// None but those of the terminal.
    Terminal,
    /// Those that set what a configuration file can set, too.
    All,
}

const DONE: (&str, &str) = ("0", "Done.");
const USAGE: (&str, &str) = ("2", "Wrong arguments, settings or files.");
const FAILED: (&str, &str) = ("4", "The tool failed, or could not write all of its output.");
const SIGNALLED: (&str, &str) = ("129, 130, 143", "A second SIGHUP, SIGINT or SIGTERM ended it at once.");

const ENTRIES: &[Entry] = &[
    Entry {
        command: "",
        exits: &[("0", "The user has left, or a signal ended it."), USAGE, FAILED, SIGNALLED],
        variables: Variables::All,
        examples: &[
            ("tokio-canary", "Show the service on this machine that listens on the default port."),
            ("tokio-canary 10.0.0.7:6669 unix:/run/orders/console", "Show two services."),
            ("tokio-canary incident.mcap --speed 10x", "Play a recording as if it were the service."),
            (
                "tokio-canary incident.mcap --at 01:30 --open deadlock",
                "Show a finding as it was after a minute and a half.",
            ),
        ],
    },
    Entry {
        command: "watch",
        exits: &[
            ("0", "A signal ended it, its output was closed, or its recordings have ended; with --fail-on as check."),
            ("1", "With --fail-on: a finding that counts has fired."),
            USAGE,
            ("3", "With --fail-on: it could not be judged."),
            FAILED,
            SIGNALLED,
        ],
        variables: Variables::All,
        examples: &[
            ("tokio-canary watch localhost:6669", "Print a line for each finding."),
            (
                "tokio-canary watch localhost:6669 --output ndjson --heartbeat 10s",
                "Write ndjson for a script, with a heartbeat.",
            ),
            (
                "tokio-canary watch localhost:6669 --listen 9464",
                "Serve metrics to Prometheus, and the verdict to a rollout, on this machine only.",
            ),
        ],
    },
    Entry {
        command: "check",
        exits: &[
            ("0", "Healthy, and there was enough to judge; with --exit-zero, also instead of 1 and 3."),
            (
                "1",
                "A finding at or above --fail-on has fired, also if it was resolved since; or a finding of --expect-finding has not.",
            ),
            USAGE,
            ("3", "It could not be judged, was interrupted, or the command failed."),
            FAILED,
            SIGNALLED,
        ],
        variables: Variables::All,
        examples: &[
            ("tokio-canary check localhost:6669 --for 60s", "Judge a canary."),
            (
                "tokio-canary check --for 30s --warmup 5s -- ./target/release/orders --port 0",
                "Start a service with a free port for its console, judge it, and stop it.",
            ),
            (
                "tokio-canary check localhost:6669 --baseline baseline.toml --update-baseline",
                "Accept what is found now; without --update-baseline only what is new counts.",
            ),
            (
                "tokio-canary check deadlock.mcap --expect-finding deadlock@bank.rs --min-activity 0",
                "Require a recording to show its deadlock.",
            ),
            (
                "tokio-canary check localhost:6669 --output text --output ndjson=verdict.ndjson",
                "Also write the events to a file.",
            ),
            (
                "tokio-canary check localhost:6669 --output github --output junit=canary.xml --output sarif=canary.sarif",
                "Report to a GitHub workflow, as tests, and to code scanning.",
            ),
            (
                "tokio-canary check localhost:6669 --redact --output brief=canary.md",
                "Write a brief that can be shown anywhere.",
            ),
            (
                "tokio-canary check localhost:6669 --locked",
                "Fail on tasks, locks and channels that are not in tokio-canary.lock.",
            ),
            (
                "tokio-canary check localhost:6669 --expect listener --fail-on critical",
                "Require the task listener to exist.",
            ),
        ],
    },
    Entry {
        command: "demo",
        exits: &[("0", "The user has left, or everything was printed."), USAGE, FAILED, SIGNALLED],
        variables: Variables::Terminal,
        examples: &[
            ("tokio-canary demo", "See it work, also over ssh, without a service."),
            ("tokio-canary demo --output ndjson | head", "See what a script would read."),
        ],
    },
    Entry {
        command: "compare",
        exits: &[
            ("0", "The canary does not differ from stable, or the lockfile is written."),
            ("1", "A regression: the canary has a finding or an order of locks that stable has not, or does worse."),
            USAGE,
            ("3", "Not enough data, as of an idle canary; or it was interrupted."),
            FAILED,
            SIGNALLED,
        ],
        variables: Variables::All,
        examples: &[
            ("tokio-canary compare --canary 10.0.0.7:6669 --stable 10.0.0.8:6669 --for 2m", "Compare two services."),
            ("tokio-canary compare --tui --canary 10.0.0.7:6669 --stable 10.0.0.8:6669", "Show that while it runs."),
            ("tokio-canary compare --canary new.mcap --stable old.mcap", "Compare two recordings."),
            (
                "tokio-canary compare --canary deploy/new --stable deploy/old --all-pods -n shop --output sarif=canary.sarif",
                "Compare all pods of two Deployments, for code scanning.",
            ),
            (
                "tokio-canary compare --stable localhost:6669 --for 1m --write=tokio-canary.lock",
                "Write down the structure of a service; check --locked fails on what is new.",
            ),
        ],
    },
    Entry {
        command: "blame",
        exits: &[
            ("0", "Done."),
            USAGE,
            ("3", "Nothing to measure: the target was not reached, or sent a single update; or it was interrupted."),
            FAILED,
            SIGNALLED,
        ],
        variables: Variables::All,
        examples: &[
            ("tokio-canary blame localhost:6669 --for 1m", "Show where the time of tasks goes, and who costs whom."),
            ("tokio-canary blame incident.mcap --output folded > blame.folded", "Write stacks for a flame graph."),
        ],
    },
    Entry {
        command: "doctor",
        exits: &[
            ("0", "Every target can be watched."),
            USAGE,
            ("3", "A target cannot be watched: the steps say why."),
            FAILED,
            SIGNALLED,
        ],
        variables: Variables::All,
        examples: &[
            ("tokio-canary doctor localhost:6669", "Find out why nothing is shown of a service."),
            ("tokio-canary doctor https://canary.example --ca ca.pem", "Find out what is wrong with a proxy."),
        ],
    },
    Entry {
        command: "record",
        exits: &[("0", "The recording is complete, also if a signal ended it."), USAGE, FAILED, SIGNALLED],
        variables: Variables::All,
        examples: &[("tokio-canary record localhost:6669 -o incident.mcap --for 5m", "Record five minutes.")],
    },
    Entry {
        command: "witness",
        exits: &[
            ("0", "The witness is written."),
            ("1", "The finding does not show."),
            USAGE,
            ("3", "The service sent no update, or the command was interrupted."),
            FAILED,
            SIGNALLED,
        ],
        variables: Variables::All,
        examples: &[(
            "tokio-canary witness deadlock --from incident.mcap -o witness.mcap --redact",
            "Cut a recording down to its deadlock, without names.",
        )],
    },
    Entry {
        command: "verify",
        exits: &[("0", "The finding shows again."), ("1", "It does not."), USAGE, FAILED],
        variables: Variables::Terminal,
        examples: &[("tokio-canary verify witness.mcap", "See whether this version still finds it.")],
    },
    Entry {
        command: "explain",
        exits: &[DONE, USAGE, FAILED],
        variables: Variables::All,
        examples: &[
            ("tokio-canary explain", "List the detectors."),
            ("tokio-canary explain deadlock", "What its findings mean and what to do."),
        ],
    },
    Entry { command: "config", exits: &[DONE, USAGE, FAILED], variables: Variables::All, examples: SHOW },
    Entry { command: "config show", exits: &[DONE, USAGE, FAILED], variables: Variables::All, examples: SHOW },
    Entry {
        command: "config check",
        exits: &[("0", "The configuration is valid."), ("2", "It has mistakes, or the arguments are wrong."), FAILED],
        variables: Variables::All,
        examples: &[
            ("tokio-canary config check", "Check all sources."),
            ("tokio-canary config check gate.toml", "Check one file."),
        ],
    },
    Entry {
        command: "config prometheus-rules",
        exits: &[DONE, USAGE, FAILED],
        variables: Variables::Terminal,
        examples: &[(
            "tokio-canary config prometheus-rules >tokio-canary.rules.yml",
            "Write the file that Prometheus reads.",
        )],
    },
    Entry {
        command: "completions",
        exits: &[DONE, USAGE, FAILED],
        variables: Variables::Terminal,
        examples: &[("tokio-canary completions bash", "Print the script; source it in the start file of the shell.")],
    },
    Entry {
        command: "skill",
        exits: &[DONE, USAGE, FAILED],
        variables: Variables::Terminal,
        examples: &[("tokio-canary skill", "Print the page; put it where your assistant looks for such pages.")],
    },
    Entry {
        command: "man",
        exits: &[DONE, USAGE, FAILED],
        variables: Variables::Terminal,
        examples: &[
            ("tokio-canary man check", "Print one page; pipe it into man -l -."),
            ("tokio-canary man --to /usr/local/share/man/man1", "Install all of them."),
        ],
    },
];

const SHOW: &[(&str, &str)] = &[
    ("tokio-canary config show", "What differs from the defaults, and where it comes from."),
    ("tokio-canary config show --all", "A template for a file."),
];

/// The exit codes of a command, and what each means.
pub(super) fn exits(command: &str) -> &'static [(&'static str, &'static str)] {
    ENTRIES.iter().find(|entry| entry.command == command).map_or(&[], |entry| entry.exits)
}

/// The pages of all commands, that of the tool first.
///
/// # Errors
/// The generator fails.
pub fn pages() -> io::Result<Vec<Page>> {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    collect(&cli, "", &mut pages)?;
    Ok(pages)
}

fn collect(command: &Command, name: &str, pages: &mut Vec<Page>) -> io::Result<()> {
    pages.push(page(command, name)?);
    for inner in command.get_subcommands() {
        collect(inner, format!("{name} {}", inner.get_name()).trim(), pages)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str) -> io::Result<Page> {
    let man = Man::new(command.clone()).source(concat!("tokio-canary ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(entry) = ENTRIES.iter().find(|entry| entry.command == name) {
        sections(entry).to_writer(&mut text)?;
    }
    Ok(Page { command: name.to_owned(), file: man.get_filename(), text })
}

fn sections(entry: &Entry) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in entry.exits {
        roff.control("TP", []).text([bold(*code)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    if entry.variables == Variables::All {
        for option in OPTIONS {
            roff.control("TP", []).text([bold(variable(option.key()))]).text([roman(format!("{}.", help(*option)))]);
        }
        for (variable, meaning) in OTHER_VARIABLES {
            roff.control("TP", []).text([bold(*variable)]).text([roman(*meaning)]);
        }
    }
    for (variable, meaning) in TERMINAL_VARIABLES {
        roff.control("TP", []).text([bold(*variable)]).text([roman(*meaning)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    for (line, meaning) in entry.examples {
        roff.control("TP", []).text([italic(*line)]).text([roman(*meaning)]);
    }
    roff
}

const OTHER_VARIABLES: &[(&str, &str)] = &[
    (
        "TOKIO_CANARY_<DETECTOR>__<SETTING>",
        "A setting of a detector, such as TOKIO_CANARY_BLOCKED_WORKER__CRITICAL=2s.",
    ),
    ("TOKIO_CANARY_TARGETS, TOKIO_CANARY_OUTPUT", "Targets and outputs, with commas between them."),
    (
        "TOKIO_CANARY_ALERTMANAGER, TOKIO_CANARY_WEBHOOK, TOKIO_CANARY_ON_TRANSITION",
        "Receivers of alerts, as the flags name them, with commas between them.",
    ),
    (
        "TOKIO_CANARY_ALERTMANAGER_BEARER_TOKEN, TOKIO_CANARY_WEBHOOK_BEARER_TOKEN, TOKIO_CANARY_WEBHOOK_SECRET",
        "Secrets of the receivers that flags and variables name.",
    ),
    ("TOKIO_CANARY_CONFIG", "The configuration file to read, as --config names it."),
    ("XDG_CONFIG_HOME", "The folder of your own configuration file, tokio-canary/config.toml (default: ~/.config)."),
];

const TERMINAL_VARIABLES: &[(&str, &str)] = &[
    (
        "LC_ALL, LC_CTYPE, LANG",
        "The characters that the terminal shows: Unicode, unless the first that is set is not UTF-8.",
    ),
    ("TERM", "The type of terminal; without one, or with `dumb`, there is no terminal view."),
    ("NO_COLOR", "If it is set, nothing is coloured."),
    ("PAGER, LESS", "The program that shows long pages, and its options."),
];

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn every_command_has_a_page_with_all_sections() {
        let pages = pages().expect("pages");
        assert_eq!(pages.len(), ENTRIES.len());
        for Page { command, file, text } in &pages {
            let text = String::from_utf8_lossy(text);
            for section in ["NAME", "SYNOPSIS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"] {
                let heading = [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")];
                assert!(heading.iter().any(|it| text.contains(it)), "`{command}` has no section {section}: {text}");
            }
            let expected = format!("tokio-canary {command}");
            assert_eq!(*file, format!("{}.1", expected.trim().replace(' ', "-")));
        }
    }

    #[test]
    fn every_example_is_understood() {
        for (line, _) in ENTRIES.iter().flat_map(|entry| entry.examples) {
            // What a shell makes of the output is no argument.
            let command = line.split(['>', '|']).next().unwrap_or_default().trim();
            assert!(Cli::try_parse_from(command.split(' ')).is_ok(), "{line}");
        }
    }
}
