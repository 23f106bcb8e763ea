//! Limits on the rate of calls that stop more than they should, and jobs that start again before they have ended.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_cron_scheduler::{Job, JobScheduler};

use super::{Label, Program, Severity, Source, Way, millis, secs};
use crate::peers::{self, Answer};
use crate::service::{Load, Work, between, spawn};

const SOURCE: Source = Source { file: "programs/limits.rs", text: include_str!("limits.rs") };

/// The programs of this file.
pub(super) const PROGRAMS: &[Program] = &[
    Program {
        id: "quota-awaited-under-lock",
        crates: "governor",
        fault: "A request waits for the quota of its tenant while it holds the lock around all tenants.",
        issue: "chatmail/filtermail#27",
        way: Way::HeldLock,
        rate_of: "requests",
        rate: 20.0,
        size_of: "requests of a tenant in a second",
        size: 7,
        size_is_capacity: true,
        blocking_threads: None,
        label: Label {
            families: &["contention", "queue", "stuck"],
            names: &["tenant-request"],
            libraries: &[],
            severity: Severity::Warning,
            within: 45,
        },
        source: SOURCE,
        run: |load| Box::pin(tenants(load)),
    },
    Program {
        id: "cron-jobs-overlap",
        crates: "tokio-cron-scheduler",
        fault: "A job that runs every second takes two, and its runs queue for the lock around what they refresh.",
        issue: "mvniekerk/tokio-cron-scheduler#83",
        way: Way::Backlog,
        rate_of: "look-ups",
        rate: 10.0,
        size_of: "milliseconds that a run takes",
        size: 2_000,
        size_is_capacity: false,
        blocking_threads: None,
        label: Label {
            families: &["queue", "contention", "stuck"],
            names: &[],
            libraries: &["tokio-cron-scheduler"],
            severity: Severity::Warning,
            within: 60,
        },
        source: SOURCE,
        run: |load| Box::pin(rates(load)),
    },
];

/// What is known of the tenants.
struct Tenants {
    requests: [u64; 5],
}

async fn tenants(load: Load) -> anyhow::Result<()> {
    let quota = NonZeroU32::new(u32::try_from(load.size)?).unwrap_or(NonZeroU32::MIN);
    let limiter = Arc::new(RateLimiter::keyed(Quota::per_second(quota)));
    let tenants = Arc::new(Mutex::new(Tenants { requests: [0; 5] })); // <- quota-awaited-under-lock
    let mut random = load.random(1);
    load.arrivals(|_| {
        let (limiter, tenants, is_faulty) = (Arc::clone(&limiter), Arc::clone(&tenants), load.is_faulty());
        // The first of them asks for more than it may.
        let tenant = if random.usize(..100) < 45 { 0 } else { random.usize(1..5) };
        let length = between(&mut random, millis(5), millis(20));
        let work = Work::begin();
        spawn("tenant-request", async move {
            let mut guard = tenants.lock().await;
            guard.requests[tenant] += 1;
            let held = is_faulty.then_some(guard);
            let admitted = timeout(secs(2), limiter.until_key_ready(&tenant)).await;
            drop(held);
            if admitted.is_ok() {
                tokio::time::sleep(length).await;
            }
            work.end(admitted.is_ok());
        });
    })
    .await;
    Ok(())
}

async fn rates(load: Load) -> anyhow::Result<()> {
    let mut random = load.random(2);
    let longest = millis(u64::try_from(load.size)?);
    let bank = peers::partner(move || Answer::After(between(&mut random, longest.mul_f64(0.7), longest.mul_f64(1.3))))?;
    let rates = Arc::new(std::sync::RwLock::new(1.0));
    // One run at a time may write.
    let running = Arc::new(Mutex::new(())); // <- cron-jobs-overlap
    let scheduler = JobScheduler::new().await?;
    let (written, is_faulty) = (Arc::clone(&rates), load.is_faulty());
    let job = Job::new_async("* * * * * *", move |_, _| {
        let (rates, running) = (Arc::clone(&written), Arc::clone(&running));
        Box::pin(async move {
            let work = Work::begin();
            let _run = if is_faulty {
                running.lock().await
            } else {
                let Ok(run) = running.try_lock() else { return work.end(true) };
                run
            };
            let answered = peers::request(bank, "/rates", Some(secs(10))).await.is_ok();
            if let Ok(mut rates) = rates.write()
                && answered
            {
                *rates += 0.1;
            }
            work.end(answered);
        })
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    let mut random = load.random(1);
    load.arrivals(|_| {
        let rates = Arc::clone(&rates);
        let length: Duration = between(&mut random, millis(2), millis(15));
        let work = Work::begin();
        spawn("convert-amount", async move {
            tokio::time::sleep(length).await;
            let rate = rates.read().map(|rate| *rate);
            work.end(rate.is_ok());
        });
    })
    .await;
    Ok(())
}
