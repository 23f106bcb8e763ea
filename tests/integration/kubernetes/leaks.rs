//! What a hundred connections leave behind.

use tokio::runtime::Handle;

use super::{Scene, pod_of, service};
use crate::support::{eventually, run};

/// Pods that are watched at a time.
const READERS: usize = 4;

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// In a process of its own, where no other test opens files.
#[test]
fn nothing_is_left_of_a_hundred_connections() {
    const ALONE: &str = "TOKIO_CANARY_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut itself = std::process::Command::new(std::env::current_exe().expect("this test"));
        itself.args(["--exact", "kubernetes::leaks::nothing_is_left_of_a_hundred_connections"]).env(ALONE, "1");
        let outcome = itself.output().expect("the test runs");
        assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
        return;
    }
    run(async {
        let (scene, service) = (Scene::new().await, service().await);
        // Several at a time: nearly all of it is waiting for the next attempt.
        let names: Vec<String> = (1..=READERS).map(|number| format!("web-{number}")).collect();
        names.iter().for_each(|name| scene.cluster.set_pod(&pod_of(name, name, &service)));
        let mut readers: Vec<_> = names.iter().map(|name| scene.open(&format!("k8s:///{name}"))).collect();
        let state = || (Handle::current().metrics().num_alive_tasks(), open_files());
        let mut early = (0, 0);
        for round in 0..25 {
            for reader in &mut readers {
                reader.live().await;
            }
            eventually("a watcher for each", || service.watchers() == READERS).await;
            service.publish(&crate::support::updates::idle(1_000 * (round + 1)));
            for reader in &mut readers {
                reader.update().await;
            }
            if round == 1 {
                early = state();
            }
            scene.cluster.break_forwards();
        }
        for reader in &mut readers {
            reader.live().await;
        }
        eventually("a watcher for each", || service.watchers() == READERS).await;
        let settled = || {
            let (tasks, files) = state();
            tasks <= early.0 + 3 && files <= early.1 + 3
        };
        let eventually_settled = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            while !settled() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        });
        assert!(eventually_settled.await.is_ok(), "tasks and files: {early:?} after 8, {:?} after 100", state());
        assert_eq!(scene.cluster.forwards(), READERS);
        drop(readers);
        eventually("the last forward ends", || scene.cluster.forwards() == 0).await;
    });
}
