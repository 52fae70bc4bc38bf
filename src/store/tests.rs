use std::sync::atomic::Ordering;

use super::*;
use crate::event::{RequestEvent, RequestStatus};

const LONG: Duration = Duration::from_secs(30);

/// A layer with one exchange open.
struct Layer(Store);

impl OpenCalls for Layer {
    fn settle(&self) {
        let event = RequestEvent::new("ping", RequestStatus::Error);
        self.0.record(StoreEvent::Request(event));
    }

    fn settle_overdue(&self, _now: Instant) -> Option<Instant> {
        self.settle();
        None
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("mcp.db")).unwrap();
    (dir, store)
}

fn register(store: &Store) -> Arc<dyn OpenCalls> {
    let layer: Arc<dyn OpenCalls> = Arc::new(Layer(store.clone()));
    store.register(Arc::downgrade(&layer));
    layer
}

#[test]
fn shutdown_makes_the_living_layers_record_their_open_exchanges() {
    let (_dir, store) = store();
    let layers = [register(&store), register(&store)];
    drop(register(&store));
    assert_eq!(store.shutdown(LONG).unwrap().written, 2);
    drop(layers);
}

#[test]
fn writer_thread_makes_the_layers_record_overdue_exchanges() {
    let (_dir, store) = store();
    let _layer = register(&store);
    store.wake_at(Instant::now());
    while store.stats().written == 0 {
        std::thread::yield_now();
    }
    assert_eq!(
        store.shutdown(LONG).unwrap().written,
        2,
        "one when due, one at the end"
    );
}

#[test]
fn dropped_layers_are_forgotten() {
    let (_dir, store) = store();
    drop(register(&store));
    let _layer = register(&store);
    assert_eq!(store.shared().layers.lock().unwrap().len(), 1);
}

#[test]
fn counters_of_layers_reach_stats_and_file() {
    let (_dir, store) = store();
    let counters = store.counters();
    counters.truncated.fetch_add(1, Ordering::Relaxed);
    counters.unidentified.fetch_add(2, Ordering::Relaxed);
    counters.mismatched.fetch_add(3, Ordering::Relaxed);
    counters.listings_too_long.fetch_add(4, Ordering::Relaxed);
    counters.listings_malformed.fetch_add(5, Ordering::Relaxed);
    counters.in_flight.fetch_add(6, Ordering::Relaxed);
    for stats in [store.stats(), store.shutdown(LONG).unwrap()] {
        let counted = [
            stats.truncated,
            stats.unidentified,
            stats.mismatched,
            stats.listings_too_long,
            stats.listings_malformed,
            stats.in_flight,
        ];
        assert_eq!(counted, [1, 2, 3, 4, 5, 6]);
    }
    let file = rusqlite::Connection::open(store.path()).unwrap();
    let kept: [i64; 6] = file
        .query_row(
            "SELECT truncated, unidentified, mismatched, listings_too_long,
                 listings_malformed, in_flight FROM writers",
            [],
            |row| {
                let mut kept = [0; 6];
                for (column, value) in kept.iter_mut().enumerate() {
                    *value = row.get(column)?;
                }
                Ok(kept)
            },
        )
        .unwrap();
    assert_eq!(kept, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn empty_path_is_an_error() {
    let error = Store::open("").unwrap_err();
    assert_eq!(error.kind(), crate::OpenErrorKind::NotAFile);
}

#[test]
fn housekeeping_runs_although_events_never_stop() {
    use std::sync::OnceLock;

    // Fewer than one transaction takes, so there is never a second batch.
    const EVENTS: usize = 4_000;
    let dir = tempfile::tempdir().unwrap();
    let again: Arc<OnceLock<Store>> = Arc::default();
    let hook = Arc::clone(&again);
    let event = || StoreEvent::Request(RequestEvent::new("ping", RequestStatus::Ok));
    let store = Store::builder(dir.path().join("mcp.db"))
        .flush_interval(Duration::ZERO)
        .on_recorded(move |_| {
            if let Some(store) = hook.get() {
                store.record(event());
            }
        })
        .open()
        .unwrap();
    assert!(again.set(store.clone()).is_ok());
    (0..EVENTS).for_each(|_| store.record(event()));

    let file = rusqlite::Connection::open(store.path()).unwrap();
    let start = Instant::now();
    while crate::db::rollup::rolled_up_to(&file).unwrap() <= 2 * EVENTS as i64 {
        assert!(start.elapsed() < LONG, "{}", store.stats());
        std::thread::sleep(Duration::from_millis(10));
    }
    store.shutdown(LONG).unwrap();
}
