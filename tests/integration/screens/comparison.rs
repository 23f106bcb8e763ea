//! A comparison on the screen: two made-up services, and what is said of them while they are compared and afterwards.

#![expect(clippy::expect_used, reason = "a buffer can be drawn on")]

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use tokio_canary::compare::{Criteria, Observer, compare};
use tokio_canary::detect::severity::Severity;
use tokio_canary::feed::Status;
use tokio_canary::fleet::{Fleet, TargetId};
use tokio_canary::report::comparison::ComparisonView;
use tokio_canary::report::progress::{ComparedTarget, ProgressView};
use tokio_canary::tui::state::{Root, UiState};
use tokio_canary::tui::update::{Effect, Surroundings};

use super::diagnosis;
use super::service::Service;

const LIMIT: Duration = Duration::from_secs(120);

/// A side of a comparison.
struct Side {
    target: TargetId,
    service: Service,
    observer: Observer,
    /// How often its worker is polled in a second, and for how long each time.
    polls: (u32, Duration),
}

/// A terminal, a canary and a stable service.
pub(super) struct Pair {
    terminal: Terminal<TestBackend>,
    state: UiState,
    fleet: Fleet,
    sides: Vec<Side>,
    seconds: u64,
}

impl Pair {
    pub(super) fn new(width: u16, height: u16, state: UiState) -> Self {
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer is a terminal");
        let mut fleet = Fleet::default();
        let sides = ["http://10.0.0.7:6669", "http://10.0.0.8:6669"].map(|name| {
            let (target, mut service) = (fleet.join(diagnosis(name)), Service::default());
            service.spawn(1, "worker", "src/worker.rs", 12);
            service.spawn(2, "transfer", "src/bank.rs", 41);
            service.spawn(3, "audit", "src/bank.rs", 57);
            service.mutex(101, "src/bank.rs", 12);
            service.mutex(102, "src/bank.rs", 13);
            fleet.apply(target, service.status(Status::Live));
            Side { target, service, observer: Observer::default(), polls: (80, Duration::from_micros(400)) }
        });
        let mut pair = Self { terminal, state, fleet, sides: sides.into(), seconds: 0 };
        pair.show(false);
        pair
    }

    /// Lets both run for a while.
    pub(super) fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            for side in &mut self.sides {
                (0..side.polls.0).for_each(|_| side.service.poll(1, Some(side.polls.1)));
                let update = side.service.tick();
                self.fleet.apply(side.target, update);
                let member = self.fleet.member(side.target).expect("it is watched");
                side.observer.observe(member.diagnosis());
            }
        }
        self.seconds += seconds;
        self.show(false);
    }

    /// Lets two tasks of the canary wait for each other.
    pub(super) fn deadlock(&mut self) {
        let service = &mut self.sides[0].service;
        service.lock(201, 2, 101);
        service.lock(202, 3, 102);
        service.wait(203, 2, 102);
        service.wait(204, 3, 101);
    }

    /// Compares them, and shows that.
    pub(super) fn show(&mut self, is_over: bool) {
        let (canary, stable) = (&self.sides[0].observer, &self.sides[1].observer);
        let criteria = Criteria { fail_on: Severity::Warning, fails_on_new: false };
        let target = |(side, index): (&Side, usize)| ComparedTarget {
            id: side.target,
            side: ["canary", "stable"][index],
            is_done: is_over,
        };
        self.state.compare(ProgressView {
            comparison: ComparisonView::of(&compare(&[canary], &[stable], criteria)),
            watched: canary.watched().min(stable.watched()),
            limit: Some(LIMIT),
            is_over,
            targets: self.sides.iter().zip(0..).map(target).collect(),
        });
    }

    pub(super) fn screen(&mut self) -> String {
        let now = self.sides[0].service.now();
        let (state, fleet) = (&mut self.state, &self.fleet);
        self.terminal
            .draw(|frame| tokio_canary::tui::draw(frame, state, fleet, now))
            .expect("a buffer can be drawn on");
        self.terminal.backend().to_string()
    }

    pub(super) fn buffer(&self) -> &Buffer {
        self.terminal.backend().buffer()
    }

    fn press(&mut self, code: KeyCode) -> Option<Effect> {
        self.screen();
        let width = self.terminal.backend().buffer().area.width;
        let around = Surroundings { fleet: &self.fleet, width, now: self.sides[0].service.now() };
        self.state.press(KeyEvent::new(code, KeyModifiers::NONE), around)
    }
}

fn pair(width: u16, height: u16) -> Pair {
    Pair::new(width, height, UiState::default())
}

#[test]
fn what_is_the_same_so_far_is_said_first_with_the_numbers_of_both_sides() {
    let mut pair = pair(160, 45);
    pair.run(15);
    let early = pair.screen();
    assert!(early.contains("Not enough data yet, after 14 s of 2 min: the canary was watched for 14.0 s"), "{early}");
    assert!(
        early.contains("Numbers are compared once each side has 5 good blocks of 10 s: canary 1, stable 1."),
        "{early}"
    );
    pair.run(60);
    assert_snapshot!("comparison_same_160x45", pair.screen());
    pair.run(46);
    pair.show(true);
    assert_snapshot!("comparison_ended_80x24", resized(&mut pair, 80, 24));
}

#[test]
fn what_is_worse_is_said_first_and_leads_to_its_page() {
    let mut pair = pair(160, 45);
    pair.run(20);
    pair.deadlock();
    pair.sides[0].polls = (80, Duration::from_millis(3));
    pair.run(70);
    assert_snapshot!("comparison_regression_160x45", pair.screen());
    assert_snapshot!("comparison_regression_80x24", resized(&mut pair, 80, 24));
    assert_snapshot!("comparison_regression_40x10", resized(&mut pair, 40, 10));
    resized(&mut pair, 120, 40);
    assert!(pair.press(KeyCode::Enter).is_none());
    let page = pair.screen();
    assert!(page.contains("Deadlock: 2 tasks") && page.contains("Wait cycle"), "{page}");
    pair.press(KeyCode::Esc);
    assert!(pair.screen().contains("Regression so far"), "back at the comparison");
    for key in ['o', 'f'] {
        pair.press(KeyCode::Char(key));
        assert!(!pair.screen().contains("Regression so far"));
        pair.press(KeyCode::Esc);
        assert!(pair.screen().contains("Regression so far"), "Esc leads back from {key}");
    }
    pair.press(KeyCode::Char('t'));
    pair.press(KeyCode::Char('c'));
    assert!(pair.screen().contains("Regression so far"));
}

#[test]
fn a_canary_that_is_idle_is_not_called_the_same() {
    let mut pair = pair(80, 24);
    pair.sides[0].polls.0 = 0;
    pair.run(80);
    assert_snapshot!("comparison_idle_80x24", pair.screen());
}

#[test]
fn a_line_about_a_target_leads_to_its_findings() {
    let mut pair = pair(120, 40);
    pair.run(70);
    pair.press(KeyCode::Char('G'));
    assert_eq!(pair.state.front_target().map(|it| (it.target, it.link.clone())), Some((pair.sides[1].target, None)));
    pair.press(KeyCode::Enter);
    assert_eq!(pair.state.pane().map(|pane| pane.root), Some(Root::Findings));
    assert_eq!(pair.state.active, Some(pair.sides[1].target));
}

#[test]
fn without_a_comparison_its_key_says_so() {
    let mut session = super::sick(80, 24);
    session.keys("c");
    assert!(session.screen().contains("Nothing is compared; `tokio-canary compare --tui` does that."));
}

fn resized(pair: &mut Pair, width: u16, height: u16) -> String {
    pair.terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer is a terminal");
    pair.screen()
}
