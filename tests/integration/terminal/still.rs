//! Nothing is written to the terminal while nothing on it changes, so that a view may stay open over a slow line and on a battery.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message;

use super::pseudo::Terminal;
use super::{RECORDING, place, started, updates};
use crate::source::in_repository;
use crate::support::fake_service::{FakeService, Script};
use crate::support::updates::idle;
use crate::support::{LIMIT, run};
use crate::tool::tool;

/// For how long nothing may be written: several intervals of whatever is looked at now and then.
const STILL: Duration = Duration::from_millis(1300);
/// Whoever writes nothing for so long has written the last frame.
const SETTLED: Duration = Duration::from_millis(400);
/// Updates that change nothing, and the time between two of them.
const UPDATES: u64 = 25;
const PAUSE: Duration = Duration::from_millis(40);

/// How much was written once nothing has been for a while.
fn settled(terminal: &Terminal) -> usize {
    let (begun, mut since, mut before) = (Instant::now(), Instant::now(), terminal.written());
    while since.elapsed() < SETTLED {
        std::thread::sleep(Duration::from_millis(20));
        let now = terminal.written();
        if now != before {
            (since, before) = (Instant::now(), now);
        }
        assert!(begun.elapsed() < LIMIT, "it never settles:\n{}", terminal.text());
    }
    before
}

/// Looks that nothing more is written.
fn assert_still(terminal: &Terminal, what: &str) {
    let before = settled(terminal);
    std::thread::sleep(STILL);
    assert_eq!(terminal.written() - before, 0, "bytes are written: {what}\n{}", terminal.text());
}

#[test]
fn a_paused_recording_is_still_in_every_view() {
    let path = in_repository(RECORDING);
    let mut terminal = started(&[path.to_str().unwrap(), "--at", "00:20"]);
    terminal.wait_for("its place", |screen| place(screen).is_some_and(|(at, _)| at >= 19));
    let views =
        [("o", "Longest waits"), ("f", "severity"), ("\r", "What to do"), ("T", "waits for"), ("?", "next finding")];
    for (keys, word) in views {
        terminal.press(keys);
        terminal.hear(word);
        assert_still(&terminal, word);
    }
    terminal.press("qq");
    assert!(terminal.end().success());
}

#[test]
fn a_recording_that_has_ended_is_still() {
    let mut terminal = started(&["demo", "--speed", "max"]);
    terminal.hear("The recording has ended");
    assert_still(&terminal, "the end");
    terminal.press("q");
    assert!(terminal.end().success());
}

/// Runs a test in a thread of its own beside some services.
fn beside<const COUNT: usize>(test: impl FnOnce([Arc<FakeService>; COUNT]) + Send + 'static) {
    run(async {
        let script = || Script { initial: Some(idle(20).encode_to_vec()), ..Script::default() };
        let mut services = Vec::new();
        for _ in 0..COUNT {
            services.push(Arc::new(FakeService::start(script()).await));
        }
        let services = services.try_into().unwrap_or_else(|_| unreachable!("as many as were started"));
        tokio::task::spawn_blocking(move || test(services)).await.unwrap();
    });
}

/// Sends updates in which nothing happens but that time passes.
fn publish(service: &FakeService, updates: RangeInclusive<u64>) {
    for update in updates {
        service.publish(&idle(20 + 100 * update));
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn updates_of_a_target_change_nothing_on_the_page_of_another() {
    beside(|[shown, other]| {
        let addresses = [shown.address.to_string(), other.address.to_string()];
        let mut terminal = Terminal::start(&mut tool(&[&addresses[0], &addresses[1]]), 120, 40);
        terminal.wait_for("both targets", |screen| screen.contains("1:") && screen.contains("2:"));
        terminal.wait_for("an update", |screen| updates(screen) == Some(1));
        terminal.press("T");
        terminal.hear("no tasks");
        // Its tab says what it comes to: that it is quiet, from a number of updates on.
        publish(&other, 1..=2 * UPDATES);
        terminal.hear(" WARN");
        let (before, first) = (settled(&terminal), terminal.text());
        publish(&other, 2 * UPDATES + 1..=3 * UPDATES);
        assert_eq!(terminal.text(), first);
        assert_eq!(terminal.written() - before, 0, "bytes are written\n{first}");
        terminal.press("\t");
        terminal.wait_for("what has come meanwhile", |screen| updates(screen) == Some(1 + 3 * UPDATES));
        terminal.press("q");
        assert!(terminal.end().success());
    });
}

#[test]
fn an_update_in_which_nothing_happens_changes_the_count_of_updates_alone() {
    beside(|[service]| {
        let mut terminal = Terminal::start(&mut tool(&[&service.address.to_string()]), 120, 40);
        terminal.wait_for("an update", |screen| updates(screen) == Some(1));
        terminal.press("T");
        terminal.hear("no tasks");
        let (before, first) = (settled(&terminal), terminal.text());
        publish(&service, 1..=UPDATES);
        let last = terminal.wait_for("all of them", |screen| updates(screen) == Some(1 + UPDATES));
        let below = |screen: &str| screen.split_once('\n').unwrap().1.to_owned();
        assert_eq!(below(&first), below(&last), "all but the line of the connection");
        let written = terminal.written() - before;
        let most = usize::try_from(UPDATES).unwrap() * 100;
        assert!(written > 0 && written < most, "{written} bytes for {UPDATES} updates\n{last}");
        terminal.press("q");
        assert!(terminal.end().success());
    });
}
