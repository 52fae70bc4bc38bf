//! What it costs a caller to hand an event to the writer, by how long ago the
//! last one was: the writer sleeps only after a second of silence, and to wake
//! it costs more than the event. `cargo bench --bench handover`.

use std::time::{Duration, Instant};

use tower_mcp_store::{RequestEvent, RequestStatus, Store, StoreEvent};

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path().join("mcp.db")).expect("a fresh store");
    println!(
        "{:<24} {:>7} {:>9} {:>9} {:>9} {:>9}",
        "one event each", "events", "median ns", "mean ns", "90 % ns", "most ns"
    );
    for (name, interval, events) in [
        ("at once", Duration::ZERO, 20_000),
        ("millisecond", Duration::from_millis(1), 3_000),
        ("second", Duration::from_secs(1), 20),
        ("one and a half seconds", Duration::from_millis(1_500), 15),
    ] {
        let mut costs: Vec<u128> = (0..events).map(|_| cost(&store, interval)).collect();
        costs.sort_unstable();
        println!(
            "{name:<24} {events:>7} {:>9} {:>9} {:>9} {:>9}",
            costs[events / 2],
            costs.iter().sum::<u128>() / events as u128,
            costs[events * 9 / 10],
            costs[events - 1],
        );
    }
    let stats = store
        .shutdown(Duration::from_secs(60))
        .expect("a clean end");
    println!("{stats}");
    assert_eq!(
        stats.dropped + stats.failed,
        0,
        "a loss would flatter the figures"
    );
}

/// The time of one call, in nanoseconds, after so much silence.
fn cost(store: &Store, silence: Duration) -> u128 {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
    event.tool = Some("search".into());
    event.latency_us = 1_250;
    let event = StoreEvent::Request(event);
    if !silence.is_zero() {
        std::thread::sleep(silence);
    }
    let start = Instant::now();
    store.record(event);
    start.elapsed().as_nanos()
}
