//! What several tests share.

#![expect(clippy::expect_used, reason = "a failed assumption is a failed test")]

pub(crate) mod certificates;
#[cfg(feature = "k8s")]
pub(crate) mod cluster;
pub(crate) mod fake_service;
pub(crate) mod hostile;
pub(crate) mod reader;
pub(crate) mod service;
#[expect(dead_code, reason = "the corpus of scenarios uses all of it")]
pub(crate) mod simulator;
pub(crate) mod updates;

use std::time::Duration;

/// Nothing in a test takes longer, on however slow a machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test on a runtime of its own and fails it if it hangs.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::time::timeout(LIMIT * 3, test).await.expect("the test hangs");
    });
    // A lookup of a host that does not answer must not hold the end of the test back.
    runtime.shutdown_background();
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.unwrap_or_else(|_| panic!("it never came to this: {what}"));
}
