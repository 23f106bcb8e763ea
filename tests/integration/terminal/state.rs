//! What the terminal is like after the tool: as it was before, however that ended and whatever was on the screen.

use std::env;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::{Criteria, Diagnosis};
use tokio_canary::fleet::Fleet;
use tokio_canary::model::DEFAULT_RETENTION;
use tokio_canary::report::repository::Repository;
use tokio_canary::tui::theme::Theme;
use tokio_canary::tui::{Attention, Presentation, Ui};

use super::pseudo::{ALTERNATE, CURSOR, Terminal};
use super::{RECORDING, started};
use crate::source::in_repository;
use crate::support::service::Service;
use crate::tool::{corpus, tool};

/// Keys that open views, and a word on each.
const VIEWS: &[(&str, &str)] = &[
    ("f", "severity"),
    ("\r", "What to do"),
    ("x", "WHY IT HURTS"),
    ("v", "polls/s"),
    ("t", "blame"),
    ("T", "waits for"),
    ("r", "Mutex"),
    ("?", "open the next finding, from anywhere"),
];

/// Looks that the terminal is taken, so that there is something to give back.
fn is_taken(terminal: &Terminal) {
    assert!(terminal.is_raw(), "keys come one by one");
    let modes = terminal.modes();
    assert_eq!((modes.get(&ALTERNATE), modes.get(&CURSOR)), (Some(&true), Some(&false)), "{modes:?}");
}

#[test]
fn it_is_as_it_was_after_every_view() {
    let path = in_repository(RECORDING);
    for (keys, word) in VIEWS {
        for is_killed in [false, true] {
            // Narrow enough that nothing stands beside the overview.
            let mut terminal = Terminal::start(&mut tool(&[path.to_str().unwrap(), "--at", "00:20"]), 100, 40);
            terminal.hear("deadlock");
            if ["\r", "x"].contains(keys) {
                terminal.press("f");
                terminal.hear("severity");
            }
            terminal.press(keys);
            terminal.hear(word);
            is_taken(&terminal);
            if is_killed {
                terminal.signal(Signal::TERM);
            } else {
                terminal.press(if *keys == "?" || *keys == "x" { "qq" } else { "q" });
            }
            terminal.ended();
            terminal.assert_as_it_was();
        }
    }
}

#[test]
fn it_is_as_it_was_after_a_comparison() {
    let path = |recording| corpus(recording).to_string_lossy().into_owned();
    let (canary, stable) = (path("field/sqlx_stream_nested-faulty"), path("field/redis_blpop_shared-healthy"));
    for is_killed in [false, true] {
        let mut terminal = started(&["compare", "--tui", "--canary", &canary, "--stable", &stable]);
        terminal.hear("Press q to leave with exit code 1.");
        is_taken(&terminal);
        if is_killed {
            terminal.signal(Signal::TERM);
        } else {
            terminal.press("q");
        }
        assert_eq!(terminal.ended().code(), Some(1), "the verdict stands");
        terminal.assert_as_it_was();
    }
}

#[test]
fn a_service_that_is_killed_leaves_what_was_known_and_the_terminal_as_it_was() {
    Service::run_if_asked();
    let test = "terminal::state::a_service_that_is_killed_leaves_what_was_known_and_the_terminal_as_it_was";
    let mut service = Service::start(test, Duration::from_secs(60));
    let mut terminal = started(&[&service.address]);
    terminal.hear("deadlock");
    service.kill();
    let screen = terminal.hear("Not connected.");
    assert!(screen.contains("LOST, retry in ") && screen.contains("deadlock"), "{screen}");
    is_taken(&terminal);
    terminal.press("q");
    terminal.ended();
    terminal.assert_as_it_was();
}

/// Whoever draws panics, as a view with a fault in it would: the message is legible, and the shell gets back what it had.
#[test]
fn a_panic_of_a_view_gives_the_terminal_back() {
    const ALONE: &str = "CANARY_TEST_PANICS";
    if env::var_os(ALONE).is_some() {
        panic_with_a_terminal();
    }
    let mut itself = Command::new(env::current_exe().unwrap());
    itself
        .args(["--exact", "terminal::state::a_panic_of_a_view_gives_the_terminal_back", "--nocapture"])
        .env(ALONE, "1");
    let mut terminal = Terminal::start(&mut itself, 100, 30);
    terminal.hear("a target of a test");
    is_taken(&terminal);
    terminal.press("v");
    terminal.hear("a view with a fault in it");
    assert!(!terminal.ended().success());
    terminal.assert_as_it_was();
}

fn panic_with_a_terminal() -> ! {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let theme = Theme::new(true, true);
        let presentation = Presentation { theme, repository: Repository::default(), hyperlinks: None };
        let mut ui = Ui::open(Criteria::default(), presentation).unwrap();
        let mut fleet = Fleet::default();
        fleet.join(Diagnosis::new("a target of a test".to_owned(), Settings::default(), DEFAULT_RETENTION));
        loop {
            let attention = ui.attention().await;
            assert!(!matches!(attention, Attention::Key(_)), "a view with a fault in it");
            ui.attend(attention, &fleet).await.unwrap();
        }
    })
}
