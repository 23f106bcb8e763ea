//! A hand-written future that nobody will wake.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{interval, sleep};
use tokio_canary::detect::severity::Severity;

use super::{EVERYWHERE, Illness, Source};
use crate::service;

pub(super) const ILLNESSES: &[Illness] = &[Illness {
    id: "lost-waker",
    about: "A future returns pending without keeping the waker, so that its task sleeps for ever.",
    finding: "lost-waker",
    severity: Severity::Warning,
    also: &[],
    onset: Duration::from_millis(200),
    within: Duration::from_secs(10),
    under: EVERYWHERE,
    computes: false,
    source: SOURCE,
    run: forgotten_waker,
}];

const SOURCE: Source = Source { file: "sick/wakers.rs", text: include_str!("wakers.rs") };

/// Ready once the flag is raised; but it forgets to say whom to wake then.
struct Raised(Arc<AtomicBool>);

impl Future for Raised {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

async fn refresh_certificate(renewed: Arc<AtomicBool>) {
    sleep(Duration::from_millis(200)).await;
    Raised(renewed).await;
}

async fn renew(renewed: Arc<AtomicBool>) {
    let mut due = interval(Duration::from_secs(1));
    for second in 1_u32.. {
        due.tick().await;
        renewed.store(second.is_multiple_of(30), Ordering::Release);
    }
}

fn forgotten_waker() {
    service::workers(2).block_on(async {
        let renewed = Arc::new(AtomicBool::new(false));
        tokio::spawn(renew(renewed.clone()));
        tokio::spawn(refresh_certificate(renewed)); // <- lost-waker
        pending::<()>().await;
    });
}
