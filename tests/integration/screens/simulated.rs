//! Pages about what only a process that works for a while has: a pool with too few permits, and a lock and a channel that close a cycle.

use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio_canary::fleet::Fleet;
use tokio_canary::tui::state::UiState;
use tokio_canary::tui::theme::Theme;

use super::Session;
use super::service::Service;
use crate::source::in_repository;
use crate::support::simulator::scenario::Scenario;
use crate::support::simulator::timeline::{Told, play};

const SIZES: [(u16, u16); 2] = [(160, 45), (80, 24)];

/// More requests come than a pool of ten can serve, and give up.
const POOL: &str = r#"
about = "A pool with too few permits."
run = "61s"
shared = [{ name = "pool", kind = "semaphore", permits = 10, place = "src/pool.rs:18:22" }]
spawn = [{ name = "request", place = "src/http.rs:41:9", at = "500ms", repeat = { every = "10ms", times = 6000 }, body = [{ acquire = { of = "pool", within = "700ms" } }, { wait = "380ms" }, { release = "pool" }] }]
"#;

/// A session with a process at the end of a scenario.
fn after(scenario: &Scenario, (width, height): (u16, u16)) -> Session {
    let terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut fleet = Fleet::default();
    let target = fleet.join(play(scenario, Told::Once).diagnosis);
    Session { terminal, state: UiState::new(Theme::new(true, true)), fleet, target, service: Service::default() }
}

/// The words of a screen, whatever its width.
fn words(screen: &str) -> String {
    screen.replace(['"', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_pool_says_how_many_permits_it_would_need() {
    for size @ (width, height) in SIZES {
        let mut session = after(&Scenario::parse(POOL), size);
        session.keys("r / kind:semaphore enter enter G");
        let screen = session.screen();
        assert!(words(&screen).contains("Sizing It has 10 permits and would need 38."), "{screen}");
        assert_snapshot!(format!("sizing_{width}x{height}"), screen);
        session.keys("f / contended-lock enter enter");
        let screen = session.screen();
        assert!(words(&screen).contains("it would need 38 instead of 10 permits"), "{screen}");
        assert_snapshot!(format!("sizing_finding_{width}x{height}"), screen);
    }
}

#[test]
fn a_lock_and_a_channel_that_close_a_cycle_are_one_diagram() {
    let path = in_repository("tests/scenarios/deadlock/fires-through-channel.toml");
    for size @ (width, height) in SIZES {
        let mut session = after(&Scenario::read(&path), size);
        session.keys("f / deadlock enter enter");
        let mut screen = session.screen();
        // Where there is no room for it below the sentences, one goes down to the first other task that waits.
        for _ in 0..8 {
            if !screen.contains("├ task 25 handler") {
                session.keys("down");
                screen = session.screen();
            }
        }
        let all = words(&screen);
        for part in ["may be the receiver of", "is full and blocks", "holds", "blocks the first task"] {
            assert!(all.contains(part), "{part}: {screen}");
        }
        assert_snapshot!(format!("channel_cycle_{width}x{height}"), screen);
    }
}
