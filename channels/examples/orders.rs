//! A small service whose consumer is too slow, seen by any console: `cargo run -p tokio-canary-channels --example orders`, and then
//! `tokio-canary` or `tokio-console` in another terminal.
#![expect(clippy::unwrap_used, reason = "an example may fail loudly")]

use std::time::Duration;

use tokio_canary_channels::{Gauge, broadcast, mpsc};

#[tokio::main]
async fn main() {
    console_subscriber::init();
    // The three-line change: the dependency, this `use` line, and a name if one is wanted.
    let (orders, mut received) = mpsc::unbounded_channel_named::<[u64; 8]>("orders");
    let (checked, mut to_ship) = mpsc::channel(100);
    let (prices, mut shown) = broadcast::channel_named("prices", 16);
    let in_flight = Gauge::new("shipments in flight").with_capacity(4);

    // Two hundred a second come in, but only a hundred are worked off.
    let web = tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        loop {
            tick.tick().await;
            orders.send([0; 8]).unwrap();
        }
    });
    tokio::spawn(async move {
        while let Some(order) = received.recv().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
            checked.send(order).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while to_ship.recv().await.is_some() {
            in_flight.add(1);
            tokio::time::sleep(Duration::from_millis(1)).await;
            in_flight.sub(1);
        }
    });
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            prices.send(1).unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            // Falls behind, and misses prices.
            let _ = shown.recv().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
    web.await.unwrap();
}
