//! What an update costs on its way from the wire to the findings: `cargo bench`.
//!
//! Two rows of numbers for each layer: the same 1,000 changes in processes of 1,000 to 100,000 tasks, which must cost about the same, and
//! 100 to 10,000 changes in a process of 10,000 tasks, which must cost in proportion. Read them against each other, within one run: a
//! single number says more about the machine than about the code.

#![expect(clippy::expect_used, reason = "a bench without its input measures nothing")]

mod synthetic;

use std::cell::RefCell;
use std::time::Duration;

use console_api::instrument::Update;
use divan::Bencher;
use divan::counter::ItemsCount;
use prost::Message;
use tokio_canary::detect::engine::Engine;
use tokio_canary::detect::settings::Settings;
use tokio_canary::model::Model;

use synthetic::{Plan, Process};

/// Tasks that are alive, where so many things change: first the size of the process varies, then the size of the update.
const CASES: [(usize, usize); 6] =
    [(1_000, 1_000), (10_000, 1_000), (100_000, 1_000), (10_000, 100), (10_000, 3_000), (10_000, 10_000)];
/// Sizes of a process that is seen for the first time.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
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
    engine: Engine,
}

impl Watched {
    fn new(tasks: usize, changes: usize) -> Self {
        let process = Process::new(Plan::new(tasks, changes));
        let mut watched = Self { process, model: Model::default(), engine: Engine::new(Settings::default()) };
        watched.model.apply(&watched.process.state(), None);
        for _ in 0..WARM_UP {
            watched.live();
            watched.engine.scan(&watched.model, watched.model.now());
        }
        watched
    }

    /// One more update.
    fn live(&mut self) {
        let update = self.process.step(INTERVAL);
        self.model.apply(&update, Some(Duration::ZERO));
    }
}

/// Bytes to a message.
#[divan::bench(args = CASES)]
fn decode(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    let mut process = Process::new(Plan::new(tasks, changes));
    let bytes = process.step(INTERVAL).encode_to_vec();
    bencher.counter(ItemsCount::new(changes)).bench_local(|| Update::decode(bytes.as_slice()).expect("an update"));
}

/// Bytes to a message, when everything is in it.
#[divan::bench(args = SIZES)]
fn decode_first(bencher: Bencher<'_, '_>, tasks: usize) {
    let bytes = Process::new(Plan::new(tasks, 0)).state().encode_to_vec();
    bencher.counter(ItemsCount::new(tasks)).bench_local(|| Update::decode(bytes.as_slice()).expect("an update"));
}

/// A message into the model, and away with it.
#[divan::bench(args = CASES)]
fn apply(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    let watched = RefCell::new(Watched::new(tasks, changes));
    bencher
        .counter(ItemsCount::new(changes))
        .with_inputs(|| watched.borrow_mut().process.step(INTERVAL))
        .bench_local_values(|update| watched.borrow_mut().model.apply(&update, Some(Duration::ZERO)));
}

/// A message with everything in it into an empty model.
#[divan::bench(args = SIZES)]
fn apply_first(bencher: Bencher<'_, '_>, tasks: usize) {
    let update = Process::new(Plan::new(tasks, 0)).state();
    bencher.counter(ItemsCount::new(tasks)).with_inputs(Model::default).bench_local_refs(|model| {
        model.apply(&update, None);
    });
}

/// All detectors over the model, after each update: one at a time, for a second look at the same moment is skipped.
#[divan::bench(args = CASES, sample_size = 1)]
fn scan(bencher: Bencher<'_, '_>, (tasks, changes): (usize, usize)) {
    let watched = RefCell::new(Watched::new(tasks, changes));
    bencher.counter(ItemsCount::new(changes)).with_inputs(|| watched.borrow_mut().live()).bench_local_refs(|()| {
        let Watched { model, engine, .. } = &mut *watched.borrow_mut();
        engine.scan(model, model.now())
    });
}
