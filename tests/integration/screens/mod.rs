//! What is on the screen: a made-up service, keys, and the whole picture that comes of it.

mod colours;
mod comparison;
mod fleet;
mod links;
mod pictures;
mod service;
mod simulated;
mod states;
mod widths;

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use insta::assert_snapshot;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Modifier;
use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::{Criteria, Diagnosis};
use tokio_canary::feed::{Arrived, Ended, FeedEvent, Status, Update};
use tokio_canary::fleet::{Fleet, Member, TargetId};
use tokio_canary::model::DEFAULT_RETENTION;
use tokio_canary::playing::{Ask, Playing};
use tokio_canary::report::connection::ConnectionView;
use tokio_canary::report::repository::Repository;
use tokio_canary::tui::state::{Pane, Root, UiState};
use tokio_canary::tui::theme::Theme;
use tokio_canary::tui::update::{Effect, Surroundings};

use self::service::Service;

/// A terminal, what is on it, and the service behind it.
struct Session {
    terminal: Terminal<TestBackend>,
    state: UiState,
    fleet: Fleet,
    /// The target behind which the service is.
    target: TargetId,
    service: Service,
}

impl Session {
    fn new(width: u16, height: u16) -> Self {
        Self::with_theme(width, height, Theme::new(true, true))
    }

    fn with_theme(width: u16, height: u16, theme: Theme) -> Self {
        let terminal = Terminal::new(TestBackend::new(width, height)).expect("a buffer is a terminal");
        let mut fleet = Fleet::default();
        let target = fleet.join(diagnosis("http://127.0.0.1:6669"));
        Self { terminal, state: UiState::new(theme), fleet, target, service: Service::default() }
    }

    fn apply(&mut self, arrived: Arrived) {
        self.fleet.apply(self.target, arrived);
    }

    fn pane(&self) -> &Pane {
        &self.state.panes[&self.target]
    }

    fn connect(&mut self) {
        let live = self.service.status(Status::Live);
        self.apply(live);
    }

    fn tick(&mut self, seconds: usize) {
        for _ in 0..seconds {
            let update = self.service.tick();
            self.apply(update);
        }
    }

    /// Presses keys, one word each; a word that is no key's name is typed.
    fn keys(&mut self, keys: &str) -> Option<Effect> {
        let mut last = None;
        for key in keys.split(' ') {
            let codes = match key {
                "enter" => vec![KeyCode::Enter],
                "esc" => vec![KeyCode::Esc],
                "space" => vec![KeyCode::Char(' ')],
                "down" => vec![KeyCode::Down],
                "right" => vec![KeyCode::Right],
                "left" => vec![KeyCode::Left],
                "tab" => vec![KeyCode::Tab],
                "up" => vec![KeyCode::Up],
                word => word.chars().map(KeyCode::Char).collect(),
            };
            for code in codes {
                last = self.press(KeyEvent::new(code, KeyModifiers::NONE));
            }
        }
        last
    }

    fn press(&mut self, key: KeyEvent) -> Option<Effect> {
        self.draw();
        let width = self.terminal.backend().buffer().area.width;
        self.state.press(key, Surroundings { fleet: &self.fleet, width, now: self.service.now() })
    }

    fn draw(&mut self) {
        let now = self.service.now();
        self.terminal
            .draw(|frame| tokio_canary::tui::draw(frame, &mut self.state, &self.fleet, now))
            .expect("a buffer can be drawn on");
    }

    /// What is on the screen now.
    fn screen(&mut self) -> String {
        self.draw();
        self.terminal.backend().to_string()
    }

    /// The lines that stand out as selected.
    fn selected(&mut self) -> Vec<String> {
        self.draw();
        let buffer = self.terminal.backend().buffer();
        let row = |y| (0..buffer.area.width).map(move |x| &buffer[(x, y)]);
        let rows = (3..buffer.area.height).filter(|y| row(*y).all(|cell| cell.modifier.contains(Modifier::REVERSED)));
        rows.map(|y| row(y).map(|cell| cell.symbol()).collect::<String>().trim().to_owned()).collect()
    }
}

fn diagnosis(target: &str) -> Diagnosis {
    Diagnosis::new(target.to_owned(), Settings::default(), DEFAULT_RETENTION)
}

fn lost(seconds: u64) -> Status {
    let reason = "Nothing is listening at http://127.0.0.1:6669 (connection refused). Is the service running? To instrument a service, \
                  add console-subscriber to its Cargo.toml, call `console_subscriber::init()` first in its main, turn on tokio's \
                  feature `tracing`, and build it with RUSTFLAGS=\"--cfg tokio_unstable\".";
    Status::Lost { reason: reason.to_owned(), retry_at: service::at(0) + Duration::from_secs(seconds) }
}

/// A service with two tasks that wait for each other, one that blocks its thread, and one that is well.
fn sick(width: u16, height: u16) -> Session {
    let mut session = Session::new(width, height);
    fall_ill(&mut session);
    session
}

fn fall_ill(session: &mut Session) {
    session.connect();
    let service = &mut session.service;
    service.spawn(7, "transfer", "src/bank.rs", 41);
    service.spawn(9, "audit", "src/bank.rs", 57);
    service.spawn(11, "resize", "src/images.rs", 12);
    service.spawn(
        12,
        "",
        "/home/build/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/hyper-1.6.0/src/rt.rs",
        230,
    );
    service.mutex(101, "src/bank.rs", 12);
    service.mutex(102, "src/bank.rs", 13);
    session.tick(3);
    let service = &mut session.service;
    for task in [7, 9] {
        service.poll(task, Some(Duration::from_micros(200)));
    }
    service.lock(201, 7, 101);
    service.lock(202, 9, 102);
    service.wait(203, 7, 102);
    service.wait(204, 9, 101);
    session.tick(4);
    session.service.poll(11, None);
    session.tick(6);
}

#[test]
fn the_first_screen_says_what_is_waited_for() {
    let mut session = Session::new(80, 24);
    assert_snapshot!("connecting", session.screen());
    let dialing = session.service.status(Status::Dialing);
    session.apply(dialing);
    let screen = session.screen();
    assert!(screen.contains("  dialing") && screen.contains("Connecting."), "{screen}");
    session.connect();
    assert!(session.screen().contains("waiting for the first update"));
}

#[test]
fn a_target_that_does_not_answer_is_told_in_full_with_the_time_of_the_next_try() {
    let mut session = Session::new(80, 24);
    let status = session.service.status(lost(4));
    session.apply(status);
    assert_snapshot!("unreachable", session.screen());
}

#[test]
fn why_there_is_no_connection_is_said_once() {
    let mut session = Session::new(80, 24);
    let status = session.service.status(lost(4));
    session.apply(status);
    for keys in ["o", "f"] {
        session.keys(keys);
        let screen = session.screen();
        assert_eq!(screen.matches("Nothing is listening").count(), 1, "{keys}: {screen}");
        assert_eq!(screen.matches("Not connected.").count(), 1, "{keys}: {screen}");
    }
    assert_snapshot!("unreachable_findings", session.screen());
    session.keys("T");
    assert!(session.screen().contains("Not connected. Nothing is listening"), "{}", session.screen());
}

#[test]
fn the_smallest_screen_says_what_is_wrong_before_a_key_whatever_the_connection() {
    let mut session = sick(40, 10);
    let status = session.service.status(lost(20));
    session.apply(status);
    let screen = session.screen();
    assert_snapshot!("overview_lost_40x10", screen);
    assert!(screen.contains("Not connected.") && screen.contains("critical  deadlock"), "{screen}");
}

#[test]
fn sites_and_tasks_without_a_name_have_their_line() {
    let mut session = Session::new(40, 10);
    session.connect();
    for id in 0..30 {
        session.service.spawn(7 + id, "", "src/background.rs", 60);
        session.service.spawn(107 + id, "", "src/background_refresh_of_all_caches.rs", 70);
    }
    session.tick(3);
    for list in ["t", "T"] {
        session.keys(list);
        let screen = session.screen();
        // Of a place that is too long the end stays.
        assert!(screen.contains("background.rs:60") && screen.contains("s.rs:70 "), "{list}: {screen}");
    }
}

#[test]
fn what_is_not_judged_while_a_target_lags_is_said_in_every_view() {
    let mut session = Session::new(80, 24);
    session.connect();
    session.service.spawn(7, "worker", "src/main.rs", 3);
    session.tick(3);
    let Arrived { event: FeedEvent::Update(mut update), .. } = session.service.tick() else { panic!("an update") };
    update.lag = Some(Duration::from_secs(3));
    let event = session.service.event(FeedEvent::Update(update));
    session.apply(event);
    for keys in ["o", "f", "t", "T", "enter", "r", "v"] {
        session.keys(keys);
        let screen = session.screen();
        assert_eq!(screen.matches("New tasks and waits are reported 3.0 s late").count(), 1, "{keys}: {screen}");
    }
}

#[test]
fn a_lost_connection_leaves_what_is_known() {
    let mut session = sick(80, 24);
    let status = session.service.status(lost(20));
    session.apply(status);
    session.keys("T");
    assert_snapshot!("lost", session.screen());
    for (status, label, sentence) in [
        (Status::Resolving, "resolving", "Not connected. Looking up the address."),
        (Status::Dialing, "dialing", "Not connected. Connecting."),
    ] {
        let status = session.service.status(status);
        session.apply(status);
        let screen = session.screen();
        assert!(screen.contains(label) && screen.contains(sentence), "{screen}");
        assert!(screen.contains("below is what was known then"), "{screen}");
    }
}

#[test]
fn a_pod_is_looked_up_as_one() {
    let mut fleet = Fleet::default();
    let target = fleet.join(diagnosis("k8s://shop/deploy/web"));
    let view = |fleet: &Fleet| {
        let connection = ConnectionView::of(fleet.member(target).expect("it joined").diagnosis(), service::at(0));
        (connection.label, connection.sentence)
    };
    assert_eq!(view(&fleet), ("looking up the pod".to_owned(), "Looking up the pod.".to_owned()));
    let chosen = Status::Chosen { place: "pod `web-1`".to_owned(), is_new: false };
    fleet.apply(target, Arrived { at: service::at(0), event: FeedEvent::Status(chosen) });
    assert_eq!(view(&fleet), ("dialing".to_owned(), "Connecting to pod `web-1`.".to_owned()));
}

#[test]
fn health_is_said_in_a_sentence() {
    let mut session = Session::new(80, 24);
    session.connect();
    session.service.spawn(7, "worker", "src/main.rs", 3);
    session.service.mutex(101, "src/main.rs", 2);
    session.tick(8);
    assert_snapshot!("healthy", session.screen());
}

#[test]
fn the_overview_fits_every_screen() {
    for (width, height) in [(160, 45), (120, 40), (80, 24), (40, 10)] {
        assert_snapshot!(format!("overview_{width}x{height}"), sick(width, height).screen());
    }
}

#[test]
fn the_overview_leads_to_what_it_lists() {
    let mut session = sick(80, 24);
    session.keys("enter");
    assert!(session.screen().contains("Deadlock: 2 tasks"), "{}", session.screen());
    session.keys("esc down down enter");
    assert!(session.screen().contains("Mutex"), "{}", session.screen());
    session.keys("esc f esc");
    assert!(session.screen().contains("Longest waits"), "leaving a list leads to it: {}", session.screen());
}

#[test]
fn the_overview_of_several_targets_lists_them_and_their_findings_worst_first() {
    let mut session = sick(120, 40);
    session.fleet.join(diagnosis("unix:/run/other.sock"));
    session.keys("o");
    assert_snapshot!("overview_of_targets", session.screen());
    session.keys("tab");
    session.keys("o");
    let screen = session.screen();
    assert!(screen.contains("deadlock"), "it lists the findings of all targets: {screen}");
    let mut session = Session::new(100, 30);
    session.fleet.join(diagnosis("unix:/run/other.sock"));
    let screen = session.screen();
    assert!(
        screen.contains("No findings on any target yet.") && screen.contains("That does not mean healthy"),
        "{screen}"
    );
}

#[test]
fn a_finding_that_lasts_has_a_chart_and_a_diagram() {
    for (width, height) in [(120, 60), (160, 45)] {
        let mut session = sick(width, height);
        session.tick(20);
        session.keys("f enter");
        assert_snapshot!(format!("finding_drawn_{width}x{height}"), session.screen());
    }
}

#[test]
fn a_finding_is_explained_in_place() {
    let mut session = sick(80, 24);
    session.keys("x");
    let screen = session.screen();
    assert!(screen.contains("WHAT IT MEANS") && !screen.contains("Longest waits"), "{screen}");
    session.keys("esc");
    assert!(session.screen().contains("Longest waits"));
    session.keys("t x");
    assert!(session.screen().contains("Select or open a finding, then press x."));
}

#[test]
fn a_finding_is_copied_as_markdown() {
    let mut session = sick(80, 24);
    let Some(Effect::Copy { text, file }) = session.keys("y") else { panic!("nothing was copied") };
    assert!(text.starts_with("**critical** `deadlock` at `transfer (src/bank.rs:41:9)`"), "{text}");
    assert!(text.contains("| time without progress | **9.0 s** | 3 s | now |"), "{text}");
    let name = file.strip_suffix(".md").unwrap_or_default();
    assert!(name.starts_with("tokio-canary-deadlock-") && !name.contains(':'), "{file}");
}

#[test]
fn the_place_of_what_is_looked_at_is_opened() {
    let mut session = sick(80, 24);
    let edited = |effect| match effect {
        Some(Effect::Edit { path, line }) => format!("{path}:{line}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(edited(session.keys("e")), "src/bank.rs:41");
    assert_eq!(edited(session.keys("f down enter e")), "src/images.rs:12");
    session.state.repository = Repository::new(&[("src".to_owned(), "bank/src".to_owned())], false);
    assert_eq!(edited(session.keys("e")), "bank/src/images.rs:12");
    assert_eq!(session.keys("t G e"), None);
    assert!(session.screen().contains("Its place is in a library"), "{}", session.screen());
}

#[test]
fn the_page_of_what_was_forgotten_stays_under_a_heading() {
    let mut session = sick(80, 45);
    session.keys("T enter");
    session.draw();
    session.service.end(7);
    session.service.end(9);
    session.tick(90);
    let screen = session.screen();
    assert!(
        screen.contains("It has ended and is not listed any more") && screen.contains("Task 7: transfer"),
        "{screen}"
    );
}

#[test]
fn findings_fit_every_screen() {
    for (width, height) in [(160, 45), (80, 24), (40, 10)] {
        let mut session = sick(width, height);
        session.keys("f");
        assert_snapshot!(format!("findings_{width}x{height}"), session.screen());
    }
}

#[test]
fn a_finding_has_a_page() {
    for (width, height) in [(160, 45), (120, 40), (80, 24), (40, 10)] {
        let mut session = sick(width, height);
        session.keys("f down enter");
        assert_snapshot!(format!("finding_{width}x{height}"), session.screen());
    }
}

#[test]
fn tasks_fit_every_screen() {
    for (width, height) in [(160, 45), (80, 24), (40, 10)] {
        let mut session = sick(width, height);
        session.keys("T");
        assert_snapshot!(format!("tasks_{width}x{height}"), session.screen());
    }
}

#[test]
fn sites_fit_every_screen() {
    for (width, height) in [(160, 45), (80, 24), (40, 10)] {
        let mut session = sick(width, height);
        session.keys("t");
        assert_snapshot!(format!("sites_{width}x{height}"), session.screen());
    }
}

#[test]
fn tasks_are_grouped_by_site_first_and_listed_on_demand() {
    let mut session = sick(100, 24);
    session.keys("t");
    assert!(session.screen().contains("4 sites, 4 tasks alive"), "{}", session.screen());
    session.keys("t");
    assert!(session.screen().contains("4 tasks, 1 running, 3 idle"), "{}", session.screen());
    session.keys("t");
    assert!(session.screen().contains("4 sites"), "{}", session.screen());
    session.keys("f T");
    assert!(session.screen().contains("4 tasks"), "{}", session.screen());
}

#[test]
fn the_tasks_of_a_site_are_a_list_of_their_own() {
    let mut session = sick(120, 33);
    for number in 0..60 {
        session.service.spawn(100 + number, "ingest", "src/ingest.rs", 7);
    }
    session.tick(2);
    session.keys("t / ingest enter enter");
    let site = session.screen();
    assert!(site.contains("Tasks ingest (src/ingest.rs:7:9)") && site.contains("and 48 other tasks"), "{site}");
    session.keys("enter");
    let list = session.screen();
    assert!(list.contains("of 60, 60 idle") && list.contains("matching site:\"ingest src/ingest.rs:7:9\""), "{list}");
    session.keys("down enter");
    assert!(session.screen().contains("Task 101: ingest"), "{}", session.screen());
    session.keys("esc");
    assert!(session.selected()[0].contains("101"), "the list is as it was: {:?}", session.selected());
    session.keys("esc");
    assert_eq!(session.screen(), site);
}

#[test]
fn resources_fit_every_screen() {
    for (width, height) in [(160, 45), (80, 24), (40, 10)] {
        let mut session = sick(width, height);
        session.keys("r");
        assert_snapshot!(format!("resources_{width}x{height}"), session.screen());
    }
}

#[test]
fn the_timeline_shows_vital_signs_and_changes_on_every_screen() {
    for (width, height) in [(160, 45), (80, 24), (40, 10)] {
        let mut session = sick(width, height);
        session.service.poll(11, Some(Duration::from_micros(10)));
        session.tick(15);
        session.keys("v");
        assert_snapshot!(format!("timeline_{width}x{height}"), session.screen());
    }
}

#[test]
fn a_row_of_the_timeline_opens_its_finding_and_puts_a_recording_to_its_time() {
    let mut session = sick(120, 30);
    assert_eq!(session.keys("v enter"), None, "a live target has one time");
    assert!(session.screen().contains("Deadlock:"), "{}", session.screen());
    session.keys("esc");
    let opened = session.fleet.member(session.target).expect("it is there").openings()[0].0;
    play(&mut session, Some(10.0), false);
    assert_eq!(session.keys("enter"), Some(Effect::Play { target: session.target, ask: Ask::To(opened) }));
}

/// Says that the service is a recording that is played.
fn play(session: &mut Session, speed: Option<f64>, is_paused: bool) {
    let (begins, ends) = (service::at(6_000), service::at(25_000));
    session.fleet.play(session.target, Playing { begins, ends, speed, is_paused });
}

#[test]
fn a_recording_that_is_played_says_how_and_where_it_is() {
    let mut session = sick(120, 30);
    play(&mut session, Some(10.0), false);
    assert!(session.screen().contains("10x 00:06/00:19"), "{}", session.screen());
    play(&mut session, None, false);
    assert!(session.screen().contains("max 00:06/00:19"), "{}", session.screen());
    play(&mut session, Some(0.25), true);
    assert!(session.screen().contains("PAUSED 00:06/00:19"), "{}", session.screen());
    let ended = session.service.event(FeedEvent::Ended(Ended::Complete));
    session.apply(ended);
    let screen = session.screen();
    assert!(screen.contains("END 00:07/00:19") && screen.contains("this is its last state"), "{screen}");
    session.fleet.note_recorded(session.target, 61_000);
    assert!(!session.screen().contains("REC"), "what is played is on the disk already");
}

#[test]
fn a_target_that_is_recorded_says_how_large_the_file_is() {
    let mut session = sick(120, 30);
    assert!(
        session.fleet.note_recorded(session.target, 61_000) && !session.fleet.note_recorded(session.target, 61_000)
    );
    assert!(session.screen().contains("REC 61 kB"), "{}", session.screen());
}

#[test]
fn keys_ask_to_play_and_to_save() {
    let mut session = sick(80, 24);
    let ten = Duration::from_secs(10);
    for (key, ask) in [
        ("p", Ask::Toggle),
        (".", Ask::Step),
        ("<", Ask::Back(ten)),
        (">", Ask::Forward(ten)),
        ("{", Ask::PreviousOpening),
        ("}", Ask::NextOpening),
        ("-", Ask::Slower),
        ("+", Ask::Faster),
        ("=", Ask::Faster),
    ] {
        assert_eq!(session.keys(key), Some(Effect::Play { target: session.target, ask }), "{key}");
    }
    assert_eq!(session.keys("w"), Some(Effect::Save { target: session.target }));
}

#[test]
fn a_task_has_a_page_with_its_wait_chain_and_links() {
    let mut session = sick(80, 45);
    session.keys("T enter");
    assert_snapshot!("task", session.screen());
    session.keys("down down enter");
    assert!(session.screen().contains("Task 9: audit"), "{}", session.screen());
    session.keys("esc");
    assert!(session.screen().contains("Task 7: transfer"), "{}", session.screen());
}

#[test]
fn histograms_have_bounds_and_counts() {
    let mut session = sick(160, 60);
    let values = [90, 110, 120, 900, 1_100, 1_200, 1_300, 7_000];
    let details = session.service.details(7, &values.map(Duration::from_micros), &[Duration::from_millis(3)]);
    session.apply(details);
    session.keys("T enter");
    assert_snapshot!("histograms", session.screen());
    session.keys("t");
    let sites = session.screen();
    let transfer = sites.lines().find(|line| line.contains("transfer")).expect("it is listed");
    assert!(transfer.contains("7.0 ms p99"), "{sites}");
}

#[test]
fn one_task_does_not_speak_for_its_site() {
    let mut session = Session::new(160, 60);
    session.connect();
    for (id, polled) in [(7, Duration::from_millis(1)), (8, Duration::from_millis(9))] {
        session.service.spawn(id, "worker", "src/pool.rs", 3);
        session.tick(1);
        session.service.poll(id, Some(polled));
    }
    session.tick(4);
    let row = |session: &mut Session| {
        session.keys("t");
        let screen = session.screen();
        screen.lines().find(|line| line.contains("src/pool.rs")).expect("it is listed").to_owned()
    };
    let before = row(&mut session);
    assert!(before.contains("9.0 ms max") && before.contains("40 µs"), "scheduling is sampled of every task: {before}");
    let short = [100, 110, 117].map(Duration::from_micros);
    let details = session.service.details(7, &short, &[Duration::from_micros(5)]);
    session.apply(details);
    session.keys("f");
    assert_eq!(row(&mut session), before);
    session.keys("enter");
    let page = session.screen();
    assert!(page.contains("max 9.0 ms") && page.contains("p50 40 µs, p90 40 µs, p99 40 µs"), "{page}");
    let details = session.service.details(8, &[Duration::from_millis(2)], &[Duration::from_micros(5)]);
    session.apply(details);
    session.keys("f");
    let all = row(&mut session);
    assert!(all.contains("2.0 ms p99"), "both are known: {all}");
}

#[test]
fn the_details_of_the_task_on_the_screen_are_wanted() {
    let mut session = sick(80, 45);
    let span = |session: &Session| {
        let key = session.state.open_task(session.target)?;
        session.fleet.member(session.target)?.diagnosis().span_of(key)
    };
    assert_eq!(span(&session), None);
    session.keys("T enter");
    assert_eq!(span(&session), Some(7));
    session.keys("esc");
    assert_eq!(span(&session), None);
}

#[test]
fn a_resource_has_a_page_that_leads_to_its_tasks() {
    let mut session = sick(80, 45);
    session.keys("r enter");
    assert_snapshot!("resource", session.screen());
    session.keys("down enter");
    assert!(session.screen().contains("Task 7: transfer"), "{}", session.screen());
}

#[test]
fn the_help_lists_every_key() {
    let mut session = sick(80, 45);
    session.keys("?");
    assert_snapshot!("help", session.screen());
    session.keys("esc");
    assert!(!session.screen().contains("show this help"));
}

#[test]
fn a_witness_is_asked_for_of_the_finding_that_is_looked_at() {
    let mut session = sick(80, 24);
    let asked = |effect: Option<Effect>| match effect {
        Some(Effect::Witness { fingerprint, .. }) => fingerprint.split(':').next().unwrap_or_default().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(session.keys("W")), "deadlock", "the overview has it on top");
    session.keys("f");
    assert_eq!(asked(session.keys("W")), "deadlock");
    assert_eq!(asked(session.keys("down W")), "blocked-worker");
    assert_eq!(asked(session.keys("enter W")), "blocked-worker");
    assert_eq!(session.keys("t W"), None);
    assert!(session.screen().contains("Select or open a finding, then press W."), "{}", session.screen());
    session.keys("f");
    assert!(!session.screen().contains("then press W"), "it stays until the next key");
}

#[test]
fn keys_may_come_faster_than_frames() {
    let mut session = sick(80, 24);
    session.draw();
    for code in [KeyCode::Char('T'), KeyCode::Enter] {
        let around = Surroundings { fleet: &session.fleet, width: 80, now: session.service.now() };
        session.state.press(KeyEvent::new(code, KeyModifiers::NONE), around);
    }
    assert!(session.screen().contains("Task 7: transfer"), "{}", session.screen());
}

#[test]
fn a_filter_is_live_and_can_be_cleared() {
    let mut session = sick(80, 24);
    session.keys("T / BANK");
    assert_snapshot!("filtering", session.screen());
    session.keys("enter");
    assert_eq!(session.pane().tasks.list.len(), 2);
    session.keys("esc");
    session.draw();
    assert_eq!(session.pane().tasks.list.len(), 4);
    session.keys("/ acme enter");
    session.draw();
    assert_eq!(session.pane().tasks.list.len(), 4);
}

#[test]
fn filters_have_terms_for_every_list() {
    let mut session = sick(160, 40);
    for (list, filter, rows) in [
        ("T", "state:idle", 3),
        ("T", "-state:idle", 1),
        ("T", "!bank", 2),
        ("T", "mutex", 2),
        ("T", "waits:mutex waited>3s", 2),
        ("T", "waited>1h", 0),
        ("T", "age>5s polls:1", 1),
        ("T", "finding:deadlock", 2),
        ("T", "findings:critical -audit", 2),
        ("T", "findings:critical name:audit", 1),
        ("T", "id:11", 1),
        ("T", "id:1", 0),
        ("T", "site:\"transfer src/bank.rs:41:9\"", 1),
        ("T", "field:tenant=acme", 4),
        ("T", "crate:hyper", 1),
        ("T", "busy>1s", 1),
        ("T", "polls>1k", 0),
        ("t", "live>0", 4),
        ("t", "waits:mutex", 2),
        ("t", "finding:deadlock", 2),
        ("t", "poll>1s", 1),
        ("t", "busy<50%", 4),
        ("t", "rate>1000", 0),
        ("r", "waiters>0", 2),
        ("r", "kind:mutex bank.rs:12", 1),
        ("r", "finding:deadlock", 2),
        ("r", "waited>1h", 0),
        ("f", "severity:critical", 2),
        ("f", "finding:deadlock", 1),
        ("f", "-finding:deadlock age>1s", 1),
        ("f", "state:resolved", 0),
    ] {
        session.keys(list);
        if list == "t" && session.pane().root != Root::Sites {
            session.keys(list);
        }
        session.keys("/");
        for character in filter.chars() {
            session.press(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE));
        }
        session.keys("enter");
        session.draw();
        let pane = session.pane();
        let shown = match pane.root {
            Root::Findings => pane.findings.list.len(),
            Root::Sites => pane.sites.list.len(),
            Root::Tasks => pane.tasks.list.len(),
            Root::Resources => pane.resources.list.len(),
            root @ (Root::Overview | Root::Comparison | Root::Timeline) => panic!("{root:?} is not a list of these"),
        };
        assert_eq!(shown, rows, "{list} {filter}: {}", session.screen());
        session.keys("esc");
    }
}

#[test]
fn a_mistake_in_a_filter_shows_in_place_and_keeps_the_rows() {
    let mut session = sick(160, 24);
    session.keys("T / state:idle");
    assert_eq!(session.pane().tasks.list.len(), 3);
    session.press(KeyEvent::new(KeyCode::Char(' '), KeyModifiers::NONE));
    session.keys("age>soon");
    let screen = session.screen();
    assert!(screen.contains("age>soon: not a duration, such as age>30s"), "{screen}");
    assert!(screen.contains("3 tasks, 3 idle  matching state:idle"), "{screen}");
    session.keys("enter");
    assert!(session.screen().contains("age>soon"), "it cannot be kept");
    session.press(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
    session.keys("age>1s enter");
    assert!(session.screen().contains("3 tasks, 3 idle  matching state:idle age>1s"), "{}", session.screen());
    session.keys("/ enter T esc / up");
    assert!(session.screen().contains("/state:idle age>1s"), "it was kept: {}", session.screen());
}

#[test]
fn ctrl_c_closes_a_prompt_or_the_help_and_leaves_otherwise() {
    let mut session = sick(80, 24);
    let ctrl = |character| KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL);
    for character in ['c', 'd'] {
        session.keys("T / bank");
        assert_eq!(session.press(ctrl(character)), None);
        assert!(!session.state.prompt && session.screen().contains("4 tasks"), "{}", session.screen());
        session.keys("?");
        assert_eq!(session.press(ctrl(character)), None);
        assert!(session.state.over.is_none());
        session.keys("enter");
        assert_eq!(session.press(ctrl(character)), Some(Effect::Quit));
    }
    session.keys("?");
    assert_eq!(session.keys("q"), None);
    assert_eq!(session.keys("q"), Some(Effect::Quit));
}

#[test]
fn findings_are_one_key_away_and_the_history_leads_back() {
    let mut session = sick(100, 30);
    session.keys("T enter n");
    let first = session.screen();
    assert!(first.contains("Deadlock: 2 tasks"), "{first}");
    session.keys("n");
    let second = session.screen();
    assert!(second.contains("blocked"), "{second}");
    session.keys("n");
    assert_eq!(session.screen(), first, "after the last one comes the first");
    session.keys("N");
    assert_eq!(session.screen(), second);
    session.keys("esc");
    assert!(session.screen().contains("Task 7: transfer"), "{}", session.screen());
    session.keys("]");
    assert_eq!(session.screen(), second);
    session.keys("[ [");
    assert!(session.screen().contains("4 tasks"), "{}", session.screen());
    session.keys("] ]");
    assert_eq!(session.screen(), second, "forward as far as it goes");
    let mut session = Session::new(80, 24);
    session.connect();
    session.tick(1);
    session.keys("n");
    assert!(session.screen().contains("There are no findings."), "{}", session.screen());
}

#[test]
fn pages_lead_to_findings_and_back() {
    let mut session = sick(100, 45);
    for opened in ["T enter", "t enter", "r enter"] {
        session.keys("f");
        session.keys(opened);
        let page = session.screen();
        assert!(page.contains("Findings") && page.contains("critical deadlock"), "{page}");
        session.keys("enter");
        assert!(session.screen().contains("Deadlock: 2 tasks"), "{}", session.screen());
        session.keys("esc");
        assert_eq!(session.screen(), page);
    }
}

#[test]
fn who_waits_for_whom_shows_on_both_sides() {
    let mut session = sick(100, 45);
    session.keys("T enter");
    let page = session.screen();
    assert!(
        page.contains("Who waits for it") && page.contains("1 task waits for the Mutex created at src/bank.rs:12"),
        "{page}"
    );
    session.keys("f t / audit enter enter");
    let page = session.screen();
    assert!(page.contains("1 task waits for the Mutex created at src/bank.rs:12"), "what its tasks wait for: {page}");
    assert!(page.contains("1 task waits for the Mutex created at src/bank.rs:13"), "who waits for it: {page}");
}

#[test]
fn the_ops_on_a_resource_sort_and_filter() {
    let mut session = sick(120, 45);
    for (op, task) in [(205, 12), (206, 11)] {
        session.service.wait(op, task, 101);
        session.tick(2);
    }
    session.keys("r enter");
    assert_snapshot!("ops", session.screen());
    let order = |session: &mut Session| {
        let screen = session.screen();
        let lines = screen.lines().filter(|line| line.contains("Mutex::lock") && line.contains("waiting"));
        lines.map(|line| line.split("task ").nth(1).unwrap_or_default()[..2].trim().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(order(&mut session), ["9", "12", "11"], "the longest wait first: {}", session.screen());
    session.keys("i");
    assert_eq!(order(&mut session), ["11", "12", "9"]);
    session.keys("/ resize enter");
    assert_eq!(order(&mut session), ["11"], "{}", session.screen());
    session.keys("f enter /");
    assert!(session.screen().contains("no list to filter"), "{}", session.screen());
}

#[test]
fn what_belongs_to_the_runtime_is_hidden_until_asked_for() {
    let mut session = sick(120, 30);
    session.service.spawn_as(1, "block_on", &[], "src/main.rs", 3);
    let worker = [("fn", "tokio::runtime::scheduler::multi_thread::worker::Launch::launch::{{closure}}")];
    session.service.spawn_as(2, "blocking", &worker, "src/main.rs", 3);
    session.service.timer(300, "src/timers.rs", 4);
    session.tick(1);
    session.service.drop_resource(300);
    session.tick(1);
    for (list, counts, all) in
        [("T", "4 tasks", "6 tasks"), ("t", "4 sites", "6 sites"), ("r", "2 resources", "3 resources")]
    {
        session.keys(list);
        let hidden = if list == "r" { "1 hidden (a)" } else { "2 hidden (a)" };
        assert!(session.screen().contains(counts) && session.screen().contains(hidden), "{}", session.screen());
        session.keys("a");
        assert!(session.screen().contains(all) && !session.screen().contains("hidden"), "{}", session.screen());
    }
}

#[test]
fn a_frozen_view_stays_while_watching_goes_on() {
    let mut session = sick(80, 24);
    session.keys("T");
    session.draw();
    let before = session.screen();
    session.keys("space");
    session.service.spawn(50, "late", "src/late.rs", 1);
    session.tick(3);
    let frozen = session.screen();
    let body = |screen: &str| screen.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(body(&before), body(&frozen));
    assert!(frozen.contains("FROZEN for 3 s") && frozen.contains("16 updates"), "{frozen}");
    assert_snapshot!("frozen", frozen);
    session.keys("down");
    assert!(session.selected()[0].contains("audit"));
    session.keys("space");
    assert!(session.screen().contains("late"));
}

#[test]
fn a_frozen_view_counts_the_findings_of_meanwhile_where_there_is_little_room() {
    let mut session = sick(80, 24);
    session.keys("T space");
    session.service.spawn(13, "encode", "src/video.rs", 5);
    session.tick(1);
    session.service.poll(13, None);
    session.tick(8);
    assert!(session.screen().contains("FROZEN 9s +1"), "{}", session.screen());
    session.keys("f enter");
    assert!(
        session.screen().contains("Deadlock: 2 tasks") && session.screen().contains("FROZEN 9s +1"),
        "{}",
        session.screen()
    );
}

#[test]
fn the_header_counts_what_the_lists_show() {
    let mut session = sick(120, 30);
    for timer in 0..5 {
        session.service.timer(300 + timer, "src/timers.rs", 4);
    }
    session.tick(1);
    (0..5).for_each(|timer| session.service.drop_resource(300 + timer));
    session.service.end(12);
    session.tick(1);
    let screen = session.screen();
    assert!(
        screen.contains("3 tasks live") && screen.contains("t tasks 3 ") && screen.contains("r resources 2 "),
        "{screen}"
    );
    session.tick(30);
    assert!(session.screen().contains("r resources 2 "), "nothing is counted twice: {}", session.screen());
}

#[test]
fn the_sites_of_a_finding_can_be_opened_from_it() {
    let mut session = sick(120, 45);
    session.keys("f enter");
    let mut opened = std::collections::BTreeSet::new();
    for row in 0..12 {
        session.keys("f enter");
        (0..row).for_each(|_| drop(session.keys("down")));
        session.keys("enter");
        let screen = session.screen();
        let title = screen.lines().nth(2).unwrap_or_default().trim_matches(['"', ' ']).to_owned();
        opened.insert(title);
    }
    for site in ["Tasks transfer (src/bank.rs:41:9)", "Tasks audit (src/bank.rs:57:9)"] {
        assert!(opened.contains(site), "{site}: {opened:#?}");
    }
}

#[test]
fn the_selection_follows_the_task_not_the_row() {
    let mut session = sick(80, 24);
    session.keys("T down");
    assert!(session.selected()[0].contains("audit"), "{:?}", session.selected());
    session.keys("i");
    assert!(session.selected()[0].contains("audit"), "{:?}", session.selected());
    session.keys("right right");
    assert!(session.selected()[0].contains("audit"), "{:?}", session.selected());
    session.service.end(9);
    session.tick(1);
    assert!(session.selected()[0].contains("audit"), "an ended task stays for a while: {:?}", session.selected());
    session.tick(20);
    let selected = session.selected();
    assert!(selected.len() == 1 && !selected[0].contains("audit"), "{selected:?}");
}

#[test]
fn a_resolved_finding_stays_listed_below() {
    let mut session = sick(80, 24);
    session.service.poll(11, Some(Duration::from_micros(10)));
    session.tick(15);
    session.keys("f");
    let screen = session.screen();
    assert_snapshot!("resolved", screen);
    assert!(screen.contains("2 findings, 1 of them resolved"), "{screen}");
}

#[test]
fn what_a_target_says_cannot_reach_the_terminal() {
    let mut session = Session::new(120, 30);
    session.connect();
    session.service.spawn(7, "\u{1b}[2J\u{1b}]0;owned\u{7}\n\u{202e}evil", "src/\u{9b}31m\r.rs", 1);
    session.service.spawn(8, &"very-long-name-".repeat(30), "src/漢字/\u{200b}é.rs", 2);
    session.tick(4);
    for keys in ["t", "enter", "T", "enter", "esc down enter"] {
        session.keys(keys);
        let screen = session.screen();
        assert!(!screen.contains(|it: char| it.is_control() && it != '\n'), "{screen:?}");
        assert!(!screen.contains(['\u{202e}', '\u{200b}']), "{screen:?}");
    }
    session.keys("T");
    assert_snapshot!("hostile", session.screen());
}

#[test]
fn nothing_that_is_hidden_or_directs_text_reaches_the_screen() {
    let properties = r"[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\p{Bidi_Control}]";
    let hidden = regex::Regex::new(properties).unwrap();
    let all: Vec<char> = ('\0'..=char::MAX).filter(|it| hidden.is_match(it.encode_utf8(&mut [0; 4]))).collect();
    assert!(all.len() > 4_000 && all.contains(&'\u{e0041}') && all.contains(&'\u{3164}'), "{}", all.len());
    let mut session = Session::new(400, 600);
    session.connect();
    for (line, some) in (1..).zip(all.chunks(8)) {
        let name: String = some.iter().flat_map(|it| ['n', *it]).collect();
        session.service.spawn(7 + u64::from(line), &name, "src/main.rs", line);
    }
    session.tick(4);
    session.keys("T");
    let screen = session.screen().replace('\n', "");
    for shown in ["\\u{61c}", "\\u{ad}", "\\u{3164}", "\\u{e0041}", "\\u{e0fff}"] {
        assert!(screen.contains(shown), "{shown} is not on the screen");
    }
    assert_eq!(hidden.find(&screen), None);
    session.keys("enter");
    assert_eq!(hidden.find(&session.screen().replace('\n', "")), None);
}

#[test]
fn a_feed_that_withholds_something_says_so_on_top() {
    let mut session = sick(80, 24);
    let paused = session.service.event(FeedEvent::Paused(true));
    session.apply(paused);
    assert!(session.screen().contains("PAUSED by a client"), "{}", session.screen());
    let resumed = session.service.event(FeedEvent::Paused(false));
    session.apply(resumed);
    let quiet = session.service.event(FeedEvent::Quiet(Duration::from_secs(7)));
    session.apply(quiet);
    assert!(session.screen().contains("QUIET for 7.0 s"), "{}", session.screen());
    let Arrived { event: FeedEvent::Update(update), .. } = session.service.tick() else { panic!("an update") };
    let mut message = update.message.decoded();
    message.task_update.get_or_insert_default().dropped_events = 5;
    let update = Update { lag: Some(Duration::from_secs(3)), ..message.into() };
    let event = session.service.event(FeedEvent::Update(Box::new(update)));
    session.apply(event);
    let screen = session.screen();
    assert!(screen.contains("LAG") && screen.contains("PARTIAL"), "{screen}");
}

#[test]
fn how_many_tasks_are_alive_is_not_told_while_the_target_lags() {
    let mut session = sick(160, 45);
    let Arrived { event: FeedEvent::Update(mut update), .. } = session.service.tick() else { panic!("an update") };
    update.lag = Some(Duration::from_secs(3));
    update.pumping = 0.034;
    let event = session.service.event(FeedEvent::Update(update));
    session.apply(event);
    let screen = session.screen();
    for part in ["tasks listed, live ones unknown", "lags by 3.0 s", "pump: about 3 % of a core"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
}

#[test]
fn several_targets_have_a_tab_each() {
    let mut session = sick(80, 24);
    let other = session.fleet.join(diagnosis("unix:/run/other.sock"));
    assert_snapshot!("targets", session.screen());
    session.keys("tab f");
    assert!(session.screen().contains("Looking up the address."), "{}", session.screen());
    session.keys("tab");
    assert!(session.screen().contains("deadlock"));
    session.keys("tab");
    session.fleet.leave(other);
    assert!(session.screen().contains("deadlock"), "the view of a target that left gives way to another");
}

#[test]
fn of_many_targets_those_next_to_the_one_on_the_screen_have_tabs() {
    let mut session = sick(80, 24);
    for number in 0..49 {
        session.fleet.join(diagnosis(&format!("http://10.0.0.{number}:6669")));
    }
    let screen = session.screen();
    let tabs = screen.lines().next().expect("a line");
    assert!(tabs.contains(" 1:") && tabs.contains(" 3:") && tabs.contains(">47"), "{screen}");
    session.keys(&"tab ".repeat(10));
    let screen = session.screen();
    let tabs = screen.lines().next().expect("a line");
    assert!(tabs.contains("9< ") && tabs.contains(" 11:") && tabs.contains(">38"), "{screen}");
}

#[test]
fn without_a_target_the_screen_says_so() {
    let mut session = sick(80, 24);
    session.fleet.leave(session.target);
    assert!(session.screen().contains("No target yet."), "{}", session.screen());
    session.keys("?");
    assert!(!session.screen().contains("No target yet."), "the help lies over it: {}", session.screen());
}

#[test]
fn a_finding_on_two_targets_says_so() {
    let mut session = sick(120, 45);
    let first = session.target;
    session.target = session.fleet.join(diagnosis("unix:/run/other.sock"));
    session.keys("f enter");
    assert!(session.screen().contains("on 1 of 2 targets: http://127.0.0.1:6669"), "{}", session.screen());
    session.service = Service::starting_at(60_000);
    fall_ill(&mut session);
    let shared = session.fleet.findings();
    let members = |detector: &str| {
        let of = shared.iter().find(|it| it.members.iter().all(|(_, finding)| finding.detector.id == detector));
        of.map(|it| it.members.iter().map(|(member, _)| member.id()).collect::<Vec<_>>())
    };
    assert_eq!(shared.len(), 2, "one finding each, whichever target has it");
    assert_eq!(members("deadlock"), Some(vec![first, session.target]), "the older problem comes first");
    let opened = |member: &Member| member.journal().filter(|it| it.finding.is_shown()).count();
    assert_eq!(session.fleet.members().map(opened).collect::<Vec<_>>(), [2, 2]);
    assert!(session.screen().contains("on 2 of 2 targets"), "{}", session.screen());
    session.keys("esc");
    assert!(session.screen().contains("on 2 of 2 targets: "), "the list says so too: {}", session.screen());
}

#[test]
fn a_spawn_site_has_a_page_with_its_tasks() {
    let mut session = sick(80, 45);
    session.keys("t enter");
    assert_snapshot!("site", session.screen());
    session.keys("G enter");
    assert!(session.screen().contains("Task 7: transfer"), "{}", session.screen());
}

#[test]
fn without_unicode_the_screen_is_ascii() {
    let mut session = Session::with_theme(60, 40, Theme::new(false, false));
    fall_ill(&mut session);
    session.service.spawn(50, "größe", "src/ü.rs", 1);
    session.tick(1);
    let mut all = String::new();
    for keys in ["o", "f", "enter", "x", "esc", "t", "enter", "T", "enter", "r", "enter", "?"] {
        session.keys(keys);
        session.draw();
        let screen = session.terminal.backend().buffer().content().iter().map(|cell| cell.symbol()).collect::<String>();
        assert!(screen.is_ascii(), "{screen}");
        all += &screen;
    }
    assert!(all.contains("500 us") && all.contains("critical - proof"), "{all}");
}

#[test]
fn no_screen_is_too_small() {
    for (width, height) in [(1, 1), (10, 3), (20, 5), (20, 6), (25, 7), (33, 9), (300, 2), (5, 100)] {
        let mut session = sick(width, height);
        let status = session.service.status(lost(20));
        session.apply(status);
        for keys in [
            "o",
            "G",
            "enter",
            "esc",
            "x",
            "G",
            "esc",
            "f",
            "enter",
            "G",
            "esc",
            "t",
            "enter",
            "G enter",
            "T",
            "enter",
            "gg",
            "esc",
            "r",
            "enter",
            "?",
            "G",
            "?",
            "esc",
            "/ x enter",
            "/ x:y enter esc",
        ] {
            session.keys(keys);
            session.draw();
        }
    }
    assert!(sick(10, 3).screen().contains("too small"));
}

#[test]
fn the_view_of_a_restarted_service_begins_anew() {
    let mut session = sick(80, 24);
    session.keys("T down enter");
    session.draw();
    assert!(session.screen().contains("audit"));
    session.connect();
    // Ids and keys are those of the process before, the tasks are not.
    session.service = Service::starting_at(60_000);
    session.service.spawn(9, "newcomer", "src/new.rs", 1);
    session.tick(3);
    let screen = session.screen();
    assert!(screen.contains("newcomer") && !screen.contains("audit"), "{screen}");
}

#[test]
fn quitting_and_suspending_are_left_to_the_loop() {
    let mut session = sick(80, 24);
    assert_eq!(session.keys("q"), Some(Effect::Quit));
    let key = KeyEvent::new(KeyCode::Char('z'), KeyModifiers::CONTROL);
    assert_eq!(session.press(key), Some(Effect::Suspend));
    session.keys("f /");
    assert_eq!(session.keys("q"), None, "a letter of the filter");
}

#[test]
fn a_target_is_judged_by_the_criteria_of_the_run() {
    let mut session = Session::new(100, 20);
    session.connect();
    session.service.spawn(7, "worker", "src/main.rs", 3);
    session.service.mutex(101, "src/main.rs", 2);
    session.tick(8);
    assert!(!session.screen().contains("only 8 updates arrived"), "{}", session.screen());
    session.state.criteria = Criteria { min_updates: 1_000, ..Criteria::default() };
    assert!(session.screen().contains("only 8 updates arrived"), "{}", session.screen());
}
