//! What an update costs on its way from the wire to the screen: `cargo bench --bench cost`.
//!
//! Two rows of numbers for each layer: the same 1,000 changes in processes of 1,000 to 100,000 tasks, which must cost about the same, and
//! 100 to 10,000 changes in a process of 10,000 tasks, which must cost in proportion. Read them against each other, within one run: a
//! single number says more about the machine than about the code.

#![expect(clippy::expect_used, reason = "a bench without its input measures nothing")]

mod synthetic;

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use divan::Bencher;
use divan::counter::ItemsCount;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use tokio_canary::detect::engine::Engine;
use tokio_canary::detect::settings::Settings;
use tokio_canary::diagnosis::{Arrived, Diagnosis, Status};
use tokio_canary::evidence::{Evidence, Memory};
use tokio_canary::feed::lag::{LagMeter, News};
use tokio_canary::feed::{FeedEvent, Update};
use tokio_canary::fleet::{Fleet, TargetId};
use tokio_canary::model::{DEFAULT_RETENTION, Model};
use tokio_canary::tui::state::{Root, UiState};
use tokio_canary::tui::theme::Theme;
use tokio_canary::wire::{Message, Survey};

use synthetic::{Plan, Process};

/// Tasks that are alive, where so many things change: first the size of the process varies, then the size of the update.
const CASES: [(usize, usize); 6] =
    [(1_000, 1_000), (10_000, 1_000), (100_000, 1_000), (10_000, 100), (10_000, 3_000), (10_000, 10_000)];
/// Sizes of a process that is seen for the first time.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Locks for which somebody waits all the time.
const CONTENDED: [usize; 3] = [50, 500, 5_000];
/// Findings at a time.
const FINDINGS: [usize; 3] = [10, 100, 1_000];
/// Time between two updates.
const INTERVAL: Duration = Duration::from_secs(1);
/// Updates before anything is measured: histories are full then, and what has ended is forgotten as fast as something ends.
const WARM_UP: usize = 30;

fn main() {
    divan::main();
}

/// A watched process in the middle of its life.
struct Watched {
    process: Process,
    model: Model,
    memory: Memory,
    engine: Engine,
}

impl Watched {
    fn new(plan: Plan) -> Self {
        let process = Process::new(plan);
        let (model, memory, engine) = (Model::default(), Memory::default(), Engine::new(Settings::default()));
        let mut watched = Self { process, model, memory, engine };
        watched.model.apply(&Message::from(&watched.process.state()), None);
        for _ in 0..WARM_UP {
            watched.live();
            watched.scan();
        }
        watched
    }

    /// One more update.
    fn live(&mut self) {
        let message = Message::from(&self.process.step(INTERVAL));
        self.apply(&message);
    }

    fn apply(&mut self, message: &Message) {
        let changes = self.model.apply(message, Some(Duration::ZERO));
        self.memory.observe(&self.model, &changes);
    }

    fn scan(&mut self) {
        let now = self.model.now();
        self.engine.scan(&Evidence::new(&self.model, &self.memory), now);
    }
}

/// What the feed does with a message on its arrival.
#[divan::bench(args = CASES)]
fn receive(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    let mut process = Process::new(Plan::new(tasks, changes));
    let bytes = Message::from(&process.step(INTERVAL)).bytes().clone();
    bencher.counter(ItemsCount::new(changes)).with_inputs(LagMeter::default).bench_local_refs(|meter| {
        let update = Update::decode(bytes.clone()).expect("an update");
        let survey = Survey::of(&update.message);
        (meter.observe(&survey), News::of(&survey))
    });
}

/// The first message, with everything that lives in it, from bytes into an empty model.
#[divan::bench(args = SIZES)]
fn attach(bencher: Bencher<'_, '_>, tasks: usize) {
    let bytes = Message::from(&Process::new(Plan::new(tasks, 0)).state()).bytes().clone();
    bencher.counter(ItemsCount::new(tasks)).with_inputs(Model::default).bench_local_refs(|model| {
        let update = Update::decode(bytes.clone()).expect("an update");
        model.apply(&update.message, None);
    });
}

/// A message from bytes into the model, and away with it.
#[divan::bench(args = CASES)]
fn apply(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    bench_apply(bencher, Plan::new(tasks, changes));
}

/// A message into the model of a process in which so many locks have waiters all the time: it must cost about the same.
#[divan::bench(args = CONTENDED)]
fn apply_contended(bencher: Bencher<'_, '_>, contended: usize) {
    bench_apply(bencher, Plan { contended, ..Plan::new(10_000, 1_000) });
}

fn bench_apply(bencher: Bencher<'_, '_>, plan: Plan) {
    let watched = RefCell::new(Watched::new(plan));
    bencher
        .counter(ItemsCount::new(plan.changes))
        .with_inputs(|| Message::from(&watched.borrow_mut().process.step(INTERVAL)))
        .bench_local_values(|message| watched.borrow_mut().apply(&message));
}

/// All detectors over the model, after each update: one at a time, for a second look at the same moment is skipped.
#[divan::bench(args = CASES, sample_size = 1)]
fn scan(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    bench_scan(bencher, Plan::new(tasks, changes));
}

/// All detectors where so many locks have waiters all the time: in proportion at most.
#[divan::bench(args = CONTENDED, sample_size = 1)]
fn scan_contended(bencher: Bencher<'_, '_>, contended: usize) {
    bench_scan(bencher, Plan { contended, ..Plan::new(10_000, 1_000) });
}

/// All detectors where there are so many findings, a large future at each place: in proportion at most.
#[divan::bench(args = FINDINGS, sample_size = 1)]
fn scan_findings(bencher: Bencher<'_, '_>, sites: usize) {
    bench_scan(bencher, Plan { sites, bytes: 100_000, ..Plan::new(10_000, 1_000) });
}

fn bench_scan(bencher: Bencher<'_, '_>, plan: Plan) {
    let watched = RefCell::new(Watched::new(plan));
    bencher.counter(ItemsCount::new(plan.changes)).with_inputs(|| watched.borrow_mut().live()).bench_local_refs(|()| {
        watched.borrow_mut().scan();
    });
}

/// A watched process on a screen.
struct Shown {
    process: Process,
    state: UiState,
    fleet: Fleet,
    target: TargetId,
    terminal: Terminal<TestBackend>,
}

impl Shown {
    fn new(tasks: usize, changes: usize, root: Root) -> Self {
        let diagnosis = Diagnosis::new("127.0.0.1:6669".to_owned(), Settings::default(), DEFAULT_RETENTION);
        let terminal = Terminal::new(TestBackend::new(160, 45)).expect("a terminal in memory");
        let process = Process::new(Plan::new(tasks, changes));
        let (mut fleet, mut state) = (Fleet::default(), UiState::new(Theme::new(true, true)));
        let target = fleet.join(diagnosis);
        state.sync(&fleet);
        state.panes.values_mut().for_each(|pane| pane.root = root);
        let mut shown = Self { process, state, fleet, target, terminal };
        shown.take(FeedEvent::Status(Status::Live));
        let first = shown.process.state();
        shown.take(FeedEvent::Update(Box::new(first.into())));
        for _ in 0..WARM_UP {
            shown.live();
        }
        shown
    }

    fn live(&mut self) {
        let update = self.process.step(INTERVAL);
        self.take(FeedEvent::Update(Box::new(update.into())));
    }

    fn take(&mut self, event: FeedEvent) {
        self.fleet.apply(self.target, Arrived { at: SystemTime::now(), event });
    }

    fn draw(&mut self) {
        let Self { state, fleet, terminal, .. } = self;
        terminal
            .draw(|frame| tokio_canary::tui::draw(frame, state, fleet, SystemTime::now()))
            .expect("a terminal in memory");
    }
}

/// The first frame after an update, with the list of findings on it.
#[divan::bench(args = CASES, sample_size = 1)]
fn draw_findings(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    bench_draw(bencher, Shown::new(tasks, changes, Root::Findings));
}

/// The first frame after an update, with the list of tasks on it, which has to be sorted anew.
#[divan::bench(args = CASES, sample_size = 1)]
fn draw_tasks(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    bench_draw(bencher, Shown::new(tasks, changes, Root::Tasks));
}

/// Any other frame.
#[divan::bench(args = SIZES)]
fn draw_again(bencher: Bencher<'_, '_>, tasks: usize) {
    let mut shown = Shown::new(tasks, 1_000, Root::Tasks);
    bencher.bench_local(|| shown.draw());
}

fn bench_draw(bencher: Bencher<'_, '_>, shown: Shown) {
    let shown = RefCell::new(shown);
    bencher.with_inputs(|| shown.borrow_mut().live()).bench_local_refs(|()| shown.borrow_mut().draw());
}
