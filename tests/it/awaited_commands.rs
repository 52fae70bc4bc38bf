//! Awaited commands and telemetry share one writer, and neither starves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tower_mcp_store::Store;
use tower_mcp_store::event_store::{EventRecord, EventStore};

use crate::support::{LONG, fresh, record_requests};

/// Many times the writer's largest batch.
const BACKLOG: u64 = 80_000;

#[tokio::test]
async fn append_does_not_wait_for_the_backlog_of_telemetry() {
    let (_dir, path) = fresh();
    let store = Store::builder(path)
        .queue_events(BACKLOG as usize)
        .queue_bytes(usize::MAX)
        .open()
        .unwrap();
    let events = store.event_store().timeout(LONG);
    events.append("s", EventRecord::new(0, "{}")).await.unwrap();
    record_requests(&store, BACKLOG);
    for id in 1..=3 {
        let before = store.stats();
        // More than one batch: the writer may have begun the next one.
        let fair = before.queued / 2;
        events
            .append("s", EventRecord::new(id, "{}"))
            .await
            .unwrap();
        let written = store.stats().written - before.written;
        assert!(
            written < fair,
            "{written} rows of {} came first",
            before.queued
        );
    }
    // The test does not need the rest.
    let _ = store.shutdown(Duration::ZERO);
}

#[tokio::test]
async fn constant_appends_do_not_delay_telemetry() {
    let (_dir, path) = fresh();
    let store = Store::open(path).unwrap();
    let is_over = Arc::<AtomicBool>::default();
    let appended = Arc::<AtomicU64>::default();
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let events = store.event_store().timeout(LONG);
        let (is_over, appended) = (is_over.clone(), appended.clone());
        callers.spawn(async move {
            let session = caller.to_string();
            for id in 1.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let event = EventRecord::new(id, "{}");
                events.append(&session, event).await.unwrap();
                appended.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while appended.load(Ordering::Relaxed) < 64 {
        tokio::task::yield_now().await;
    }
    record_requests(&store, 1000);
    let flushing = store.clone();
    let flushed = tokio::task::spawn_blocking(move || flushing.flush(LONG));
    // The callers keep appending on this thread meanwhile.
    flushed.await.unwrap().unwrap();
    assert_eq!(store.stats().written, 1000);
    is_over.store(true, Ordering::Relaxed);
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    store.shutdown(LONG).unwrap();
}
