//! A shop in several versions: one that works, and others with one change that a release could bring.

use std::convert::Infallible;
use std::ffi::OsString;
use std::future::pending;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use clap::Parser;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::service::{self, Service, compute, workers};

/// The name of the program.
pub(crate) const PROGRAM: &str = "shop";

/// What a version does otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Change {
    /// Nothing.
    #[default]
    None,
    /// Twice as many requests come.
    MoreLoad,
    /// The database takes 20 % longer.
    SlightlySlower,
    /// The database takes two and a half times as long.
    SlowRequests,
    /// The table is held three times as long.
    LongerHold,
    /// Twice as many tasks take the table, so that it is nearly always taken.
    BusyTable,
    /// And it is held three times as long.
    BusyTableHeldLonger,
    /// Each request computes for 30 ms in one poll.
    BlockingPoll,
    /// A new kind of task never ends.
    Leak,
    /// A few requests never end.
    LeakOfRequests,
    /// A job takes two locks the other way round.
    LockOrder,
    /// A timer is polled every 4 ms.
    Spin,
    /// Two tasks wait for each other.
    Deadlock,
}

#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long, value_enum, default_value_t)]
    change: Change,
    #[command(flatten)]
    service: Service,
}

/// The version that this process is.
static CHANGE: OnceLock<Change> = OnceLock::new();

/// Runs a version of the shop with these arguments, the program's name among them.
pub(crate) fn program(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    service::program(arguments, |Arguments { change, service }| {
        CHANGE.get_or_init(|| change);
        service.run(&[(PROGRAM, shop)])
    })
}

fn shop() {
    let change = CHANGE.get().copied().unwrap_or_default();
    let choose = |when: Change, then: u64, usually: u64| if change == when { then } else { usually };
    let (counters, hold) = match change {
        Change::BusyTable => (8, 12),
        Change::BusyTableHeldLonger => (8, 36),
        Change::LongerHold => (4, 36),
        _ => (4, 12),
    };
    let hold = Duration::from_millis(hold);
    let heartbeat = Duration::from_millis(choose(Change::Spin, 4, 500));
    let every = Duration::from_millis(choose(Change::MoreLoad, 50, 100));
    let request = Request {
        database: Duration::from_millis(match change {
            Change::SlowRequests => 100,
            Change::SlightlySlower => 48,
            _ => 40,
        }),
        work: Duration::from_micros(choose(Change::BlockingPoll, 30_000, 300)),
    };
    workers(2).block_on(async move {
        let table = Arc::new(Mutex::new(0));
        for _ in 0..counters {
            spawn("stock", count_stock(Arc::clone(&table), hold));
        }
        spawn("heartbeat", beat(heartbeat));
        let (stock, prices) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
        spawn("order", order(Arc::clone(&stock), Arc::clone(&prices)));
        let (first, second) = if change == Change::LockOrder { (prices, stock) } else { (stock, prices) };
        spawn("revise", revise(first, second));
        match change {
            Change::Leak => spawn("lobby", open_sessions(Duration::from_millis(700))),
            Change::Deadlock => cross(),
            _ => {}
        }
        let leaks = change == Change::LeakOfRequests;
        let mut due = interval(every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for number in 0_u64.. {
            due.tick().await;
            sleep(some(Duration::from_millis(10))).await;
            spawn("request", request.serve(leaks && number.is_multiple_of(10)));
        }
    });
}

/// Spawns a task with a name: those of one file without names would be one site in a comparison.
#[track_caller]
fn spawn<F: Future<Output: Send> + Send + 'static>(name: &str, task: F) {
    if let Err(error) = tokio::task::Builder::new().name(name).spawn(task) {
        service::complain(&error);
    }
}

/// A duration between nothing and twice this.
fn some(mean: Duration) -> Duration {
    mean.mul_f64(2.0 * fastrand::f64())
}

#[derive(Debug, Clone, Copy)]
struct Request {
    database: Duration,
    work: Duration,
}

impl Request {
    async fn serve(self, is_lost: bool) {
        compute(self.work);
        sleep(self.database.mul_f64(0.8) + some(self.database.mul_f64(0.2))).await;
        compute(Duration::from_micros(200));
        if is_lost {
            pending::<()>().await;
        }
    }
}

/// Holds the table again and again, as others do.
async fn count_stock(table: Arc<Mutex<u64>>, hold: Duration) -> Infallible {
    loop {
        let mut counted = table.lock().await;
        sleep(hold).await;
        *counted += 1;
        drop(counted);
        sleep(Duration::from_millis(80) + some(Duration::from_millis(20))).await;
    }
}

async fn beat(every: Duration) -> Infallible {
    let mut due = interval(every);
    loop {
        due.tick().await;
    }
}

/// Two jobs take two locks at times at which they do not meet.
async fn order(stock: Arc<Mutex<u64>>, prices: Arc<Mutex<u64>>) -> Infallible {
    let mut due = interval(Duration::from_millis(1_400));
    loop {
        due.tick().await;
        take_both(&stock, &prices).await;
    }
}

async fn revise(first: Arc<Mutex<u64>>, second: Arc<Mutex<u64>>) -> Infallible {
    sleep(Duration::from_millis(700)).await;
    let mut due = interval(Duration::from_millis(1_400));
    loop {
        due.tick().await;
        take_both(&first, &second).await;
    }
}

async fn take_both(outer: &Mutex<u64>, inner: &Mutex<u64>) {
    let mut outer = outer.lock().await;
    sleep(Duration::from_millis(150)).await;
    let mut inner = inner.lock().await;
    sleep(Duration::from_millis(200)).await;
    (*outer, *inner) = (*outer + 1, *inner + 1);
}

async fn open_sessions(every: Duration) -> Infallible {
    let mut due = interval(every);
    loop {
        due.tick().await;
        spawn("session", pending::<()>());
    }
}

fn cross() {
    let (one, other) = (Arc::new(Mutex::new(0_u64)), Arc::new(Mutex::new(0_u64)));
    for (first, second) in [(Arc::clone(&one), Arc::clone(&other)), (other, one)] {
        spawn("transfer", async move { take_both(&first, &second).await });
    }
}
