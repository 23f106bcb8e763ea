//! A client that reads all updates and notes how late they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use tokio::time::sleep;

/// Larger messages than any service of the table sends.
const DECODE_LIMIT: usize = 1 << 30;

/// An attached client, on a thread of its own until the process ends.
pub(crate) struct Reader {
    lag: Arc<AtomicU64>,
}

impl Reader {
    pub(crate) fn attach(address: &str) -> Self {
        let lag = Arc::new(AtomicU64::new(0));
        let (address, shared) = (format!("http://{address}"), Arc::clone(&lag));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(read(address, shared));
        });
        Self { lag }
    }

    /// How old the youngest new task of the last update was.
    pub(crate) fn lag(&self) -> Duration {
        Duration::from_nanos(self.lag.load(Ordering::Relaxed))
    }
}

async fn read(address: String, lag: Arc<AtomicU64>) {
    let mut client = loop {
        match InstrumentClient::connect(address.clone()).await {
            Ok(client) => break client.max_decoding_message_size(DECODE_LIMIT),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    let Ok(updates) = client.watch_updates(InstrumentRequest {}).await else { return };
    let mut updates = updates.into_inner();
    while let Ok(Some(update)) = updates.message().await {
        let now = update.now.and_then(|now| SystemTime::try_from(now).ok());
        let tasks = update.task_update.unwrap_or_default();
        let created =
            |id: u64| tasks.stats_update.get(&id).and_then(|stats| SystemTime::try_from(stats.created_at?).ok());
        let youngest = tasks.new_tasks.iter().filter_map(|task| created(task.id?.id)).max();
        if let (Some(now), Some(youngest)) = (now, youngest) {
            let age = now.duration_since(youngest).unwrap_or_default();
            lag.store(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}
