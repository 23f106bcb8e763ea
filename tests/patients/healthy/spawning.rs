//! Services that spawn tasks all the time, more today than yesterday, and lose none.

use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep};

use super::Pattern;
use crate::service;

pub(super) const PATTERNS: &[Pattern] = &[
    Pattern {
        id: "rising-and-falling",
        about: "Requests that come in waves of half a minute.",
        run: rising_and_falling,
    },
    Pattern {
        id: "rising-load",
        about: "Requests that become more for good, each as quick as ever.",
        run: rising_load,
    },
    Pattern {
        id: "wrapper",
        about: "One function spawns everything: listeners for life, tickers, long and short requests.",
        run: wrapper,
    },
    Pattern {
        id: "hedged-requests",
        about: "Two replicas are asked, and the slower one is dropped.",
        run: hedged_requests,
    },
    Pattern {
        id: "progress-ticker",
        about: "Every request has a ticker that is aborted at its end.",
        run: progress_ticker,
    },
    Pattern {
        id: "changing-names",
        about: "Every request is a task whose name contains its id: a UUID, a hash or a number.",
        run: changing_names,
    },
    Pattern { id: "futures-unordered", about: "One task drives forty waits at a time.", run: futures_unordered },
];

async fn answer(request: u64) {
    sleep(Duration::from_millis(100 + request * 41 % 200)).await;
}

fn rising_and_falling() {
    service::workers(2).block_on(async {
        for request in 0_u64.. {
            tokio::spawn(answer(request));
            // Between 4 and 20 requests a second, up and down again.
            let step = request % 300;
            let height = step.min(300 - step);
            sleep(Duration::from_millis(250 - height * 200 / 150)).await;
        }
    });
}

fn rising_load() {
    service::workers(2).block_on(async {
        for request in 0_u64.. {
            tokio::spawn(answer(request));
            let pause = 250_u64.saturating_sub(request / 4).max(40);
            sleep(Duration::from_millis(pause)).await;
        }
    });
}

fn spawn_logged<F>(task: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(task)
}

async fn tick(period: Duration) {
    let mut due = interval(period);
    loop {
        due.tick().await;
    }
}

fn wrapper() {
    service::workers(2).block_on(async {
        for _ in 0..10 {
            spawn_logged(pending_events());
        }
        spawn_logged(tick(Duration::from_millis(250)));
        spawn_logged(tick(Duration::from_secs(5)));
        for request in 0_u64.. {
            spawn_logged(answer(request));
            if request.is_multiple_of(30) {
                spawn_logged(sleep(Duration::from_secs(5)));
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
}

/// Waits on a channel whose sender lives as long as the service.
async fn pending_events() {
    let (sender, mut events) = tokio::sync::broadcast::channel::<u8>(4);
    while events.recv().await.is_ok() {}
    drop(sender);
}

async fn ask_replica(question: u64) -> u64 {
    sleep(Duration::from_millis(20 + question * 53 % 70)).await;
    question
}

fn hedged_requests() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(200));
        for question in 0_u64.. {
            due.tick().await;
            let mut near = tokio::spawn(ask_replica(question));
            let mut far = tokio::spawn(ask_replica(question + 7));
            tokio::select! {
                _ = &mut near => far.abort(),
                _ = &mut far => near.abort(),
            }
        }
    });
}

async fn convert(video: u64) {
    let progress = tokio::spawn(tick(Duration::from_millis(40)));
    sleep(Duration::from_millis(300 + video * 67 % 400)).await;
    progress.abort();
}

fn progress_ticker() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(400));
        for video in 0.. {
            due.tick().await;
            tokio::spawn(convert(video));
        }
    });
}

async fn ping(host: u64) {
    sleep(Duration::from_millis(10 + host * 3)).await;
}

fn futures_unordered() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_secs(2));
        loop {
            due.tick().await;
            let mut pings: FuturesUnordered<_> = (0..40).map(ping).collect();
            while pings.next().await.is_some() {}
        }
    });
}

/// The parts of an id that looks random and is another one for each request.
fn digits(request: u64) -> (u64, u64) {
    let mixed = |seed: u64| {
        let once = (seed ^ (seed >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (once ^ (once >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    (mixed(request + 1), mixed(request + u64::from(u32::MAX)))
}

fn name_of(request: u64) -> String {
    let (high, low) = digits(request);
    match request % 3 {
        0 => {
            let (first, second, third) = (high >> 32, (high >> 16) & 0xffff, high & 0xffff);
            format!("request {first:08x}-{second:04x}-{third:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff)
        }
        1 => format!("blob:{high:016x}{low:016x}"),
        _ => format!("job-{request}"),
    }
}

fn changing_names() {
    service::workers(2).block_on(async {
        let mut due = interval(Duration::from_millis(50));
        for request in 0_u64.. {
            due.tick().await;
            let name = name_of(request);
            if let Err(error) = tokio::task::Builder::new().name(&name).spawn(answer(request)) {
                service::complain(&error);
            }
        }
    });
}
