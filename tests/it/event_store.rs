//! One test suite for every event store, and the promises of each store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tempfile::TempDir;
use tower_mcp_store::Store;
use tower_mcp_store::event_store::{
    CachingEventStore, DEFAULT_MAX_EVENTS_PER_SESSION, EventRecord, EventStore, EventStoreError,
    MemoryEventStore, Result, SqliteEventStore,
};

use crate::support::{self, connect, fresh, rows, value};

/// No events.
const NONE: [u64; 0] = [];

/// A session without events.
const UNKNOWN: &str = "unknown";

fn event(id: u64) -> EventRecord {
    EventRecord::new(id, format!("e{id}"))
}

async fn append(store: &impl EventStore, session: &str, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        store.append(session, event(id)).await.unwrap();
    }
}

async fn ids(store: &impl EventStore, session: &str, after: u64) -> Vec<u64> {
    let events = store.replay_after(session, after).await.unwrap();
    events.iter().map(|event| event.id).collect()
}

fn memory(capacity: usize) -> (MemoryEventStore, ()) {
    (MemoryEventStore::with_capacity(capacity), ())
}

fn sqlite(capacity: usize) -> (SqliteEventStore, TempDir) {
    let (dir, path) = fresh();
    let store = Store::open(path).unwrap().event_store();
    (store.max_events_per_session(capacity), dir)
}

type Caching = CachingEventStore<MemoryEventStore, SqliteEventStore>;

/// Returns a caching store whose cache is smaller than its backend.
fn caching(capacity: usize) -> (Caching, TempDir) {
    let (store, dir) = sqlite(capacity);
    let cache = MemoryEventStore::with_capacity(capacity.div_ceil(2));
    (CachingEventStore::new(cache, store), dir)
}

/// Defines the suite as a module named after a function. The function makes the store to test,
/// which keeps the given number of events of each session.
macro_rules! conformance {
    ($make:ident) => {
        mod $make {
            use super::*;

            #[tokio::test]
            async fn replay_returns_the_events_after_an_id_in_order() {
                let (store, _guard) = super::$make(10);
                append(&store, "s", 0..3).await;
                assert_eq!(ids(&store, "s", 0).await, [1, 2]);
                assert_eq!(ids(&store, "s", 1).await, [2]);
                assert_eq!(ids(&store, "s", 5).await, NONE);
                assert_eq!(ids(&store, "s", u64::MAX).await, NONE);
                assert_eq!(ids(&store, "s", 0).await, [1, 2], "a replay takes nothing");
            }

            #[tokio::test]
            async fn events_appended_out_of_order_are_replayed_in_order() {
                let (store, _guard) = super::$make(10);
                append(&store, "s", [7, 3, 900, 5, 1]).await;
                assert_eq!(ids(&store, "s", 0).await, [1, 3, 5, 7, 900]);
            }

            #[tokio::test]
            async fn data_comes_back_byte_for_byte_and_the_time_to_the_millisecond() {
                let (store, _guard) = super::$make(10);
                let data = "{\"a\":\"\\u0000 \u{1F980} \n\0 ' %\"}";
                let mut record = EventRecord::new(1, data);
                record.timestamp =
                    SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
                store.append("s", record.clone()).await.unwrap();
                let replayed = store.replay_after("s", 0).await.unwrap().remove(0);
                assert_eq!(replayed.data, data);
                let lost = record.timestamp.duration_since(replayed.timestamp).unwrap();
                assert!(lost < Duration::from_millis(1), "{lost:?}");
            }

            #[tokio::test]
            async fn event_with_a_known_id_replaces_the_old_one() {
                let (store, _guard) = super::$make(3);
                append(&store, "s", 1..4).await;
                for data in ["once", "twice"] {
                    store.append("s", EventRecord::new(2, data)).await.unwrap();
                }
                let events = store.replay_after("s", 0).await.unwrap();
                let data: Vec<_> = events.iter().map(|event| &*event.data).collect();
                assert_eq!(data, ["e1", "twice", "e3"]);
            }

            #[tokio::test]
            async fn capacity_of_three_keeps_the_last_three_of_five() {
                let (store, _guard) = super::$make(3);
                append(&store, "s", 0..5).await;
                assert_eq!(ids(&store, "s", 0).await, [2, 3, 4]);
                assert_eq!(ids(&store, "s", 3).await, [4]);
            }

            #[tokio::test]
            async fn complete_after_is_the_newest_evicted_id() {
                let (store, _guard) = super::$make(3);
                assert_eq!(store.complete_after("s").await.unwrap(), None);
                append(&store, "s", 1..4).await;
                assert_eq!(store.complete_after("s").await.unwrap(), Some(0));
                append(&store, "s", 4..6).await;
                assert_eq!(store.complete_after("s").await.unwrap(), Some(2));
                assert_eq!(ids(&store, "s", 2).await, [3, 4, 5]);
                store.purge_session("s").await.unwrap();
                assert_eq!(store.complete_after("s").await.unwrap(), None);
            }

            #[tokio::test]
            async fn session_appended_to_after_a_purge_is_complete_only_from_there() {
                let (store, _guard) = super::$make(10);
                append(&store, "s", 1..8).await;
                store.purge_session("s").await.unwrap();
                append(&store, "s", 8..10).await;
                assert_eq!(store.complete_after("s").await.unwrap(), Some(7));
                append(&store, "s", [3]).await;
                assert_eq!(store.complete_after("s").await.unwrap(), Some(7));
            }

            #[tokio::test]
            async fn newest_event_is_never_evicted() {
                let (store, _guard) = super::$make(0);
                append(&store, "s", 1..4).await;
                assert_eq!(ids(&store, "s", 0).await, [3]);
            }

            #[tokio::test]
            async fn sessions_do_not_see_each_other() {
                let (store, _guard) = super::$make(10);
                let names = ["a", "b", "", "a ", "A", "a\0", "a%", "aa", "é", "e\u{301}"];
                for (place, name) in (1..).zip(names) {
                    append(&store, name, [0, place]).await;
                }
                for (place, name) in (1..).zip(names) {
                    assert_eq!(ids(&store, name, 0).await, [place], "{name:?}");
                }
                store.purge_session("a").await.unwrap();
                assert_eq!(ids(&store, "a", 0).await, NONE);
                assert_eq!(ids(&store, "b", 0).await, [2]);
                assert_eq!(ids(&store, UNKNOWN, 0).await, NONE);
            }

            #[tokio::test]
            async fn purge_removes_everything_and_can_be_repeated() {
                let (store, _guard) = super::$make(10);
                store.purge_session(UNKNOWN).await.unwrap();
                append(&store, "s", 1..4).await;
                store.purge_session("s").await.unwrap();
                store.purge_session("s").await.unwrap();
                assert_eq!(ids(&store, "s", 0).await, NONE);
                append(&store, "s", [2]).await;
                assert_eq!(ids(&store, "s", 0).await, [2]);
            }

            #[tokio::test]
            async fn store_works_as_a_trait_object() {
                let (store, _guard) = super::$make(10);
                let store: Arc<dyn EventStore> = Arc::new(store);
                append(&store, "s", 1..4).await;
                assert_eq!(ids(&store, "s", 1).await, [2, 3]);
                assert_eq!(store.complete_after("s").await.unwrap(), Some(0));
                store.purge_session("s").await.unwrap();
                assert_eq!(ids(&store, "s", 0).await, NONE);
            }

            #[tokio::test]
            async fn concurrent_callers_lose_no_event() {
                let (store, _guard) = super::$make(200);
                let store = Arc::new(store);
                let appends = (1..=100).map(|id| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move {
                        append(&*store, "s", [id]).await;
                        append(&*store, &id.to_string(), [id]).await;
                    })
                });
                for append in appends.collect::<Vec<_>>() {
                    append.await.unwrap();
                }
                assert_eq!(ids(&*store, "s", 0).await, Vec::from_iter(1..=100));
                for id in 1..=100 {
                    assert_eq!(ids(&*store, &id.to_string(), 0).await, [id]);
                }
            }
        }
    };
}

conformance!(memory);
conformance!(caching);
conformance!(sqlite);

#[tokio::test]
async fn clones_of_a_memory_store_share_their_events() {
    let store = MemoryEventStore::default();
    append(&store.clone(), "a", 0..3).await;
    append(&store.clone(), "b", 0..2).await;
    assert_eq!(store.total_events().await, 5);
    assert_eq!(store.session_count().await, 2);
    append(&store, "a", 0..2000).await;
    let most = DEFAULT_MAX_EVENTS_PER_SESSION;
    assert_eq!((most, store.total_events().await), (1000, most + 2));
    assert!(!format!("{store:?}").contains("e1"), "no event is shown");
}

#[test]
fn errors_name_what_failed() {
    for (error, text) in [
        (EventStoreError::Encode("x".into()), "encode error: x"),
        (EventStoreError::Decode("x".into()), "decode error: x"),
        (EventStoreError::Backend("x".into()), "backend error: x"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn record_survives_serde() {
    let record = event(7);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<EventRecord>(&text).unwrap(), record);
}

// ===== CachingEventStore =====

/// A memory store that counts replays and fails on request.
#[derive(Debug, Clone, Default)]
struct Probe {
    inner: MemoryEventStore,
    replayed: Arc<AtomicUsize>,
    appends_fail: Arc<AtomicBool>,
    purges_fail: Arc<AtomicBool>,
    name: &'static str,
}

impl Probe {
    fn new(name: &'static str) -> Self {
        let inner = MemoryEventStore::new();
        Self {
            inner,
            name,
            ..Self::default()
        }
    }

    /// Returns how many events it has replayed.
    fn replayed(&self) -> usize {
        self.replayed.load(Ordering::Relaxed)
    }

    fn fail_if(&self, switch: &AtomicBool) -> Result<()> {
        match switch.load(Ordering::Relaxed) {
            true => Err(EventStoreError::Backend(self.name.into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl EventStore for Probe {
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        self.fail_if(&self.appends_fail)?;
        self.inner.append(session_id, event).await
    }

    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>> {
        let events = self.inner.replay_after(session_id, after_id).await?;
        self.replayed.fetch_add(events.len(), Ordering::Relaxed);
        Ok(events)
    }

    async fn purge_session(&self, session_id: &str) -> Result<()> {
        self.fail_if(&self.purges_fail)?;
        self.inner.purge_session(session_id).await
    }
}

#[tokio::test]
async fn both_tiers_are_written() {
    let (cache, backend) = (MemoryEventStore::new(), MemoryEventStore::new());
    let store = CachingEventStore::new(cache.clone(), backend.clone());
    append(&store, "s", [0]).await;
    assert_eq!(cache.total_events().await, 1);
    assert_eq!(backend.total_events().await, 1);
}

#[tokio::test]
async fn cache_miss_warms_the_cache() {
    let (cache, backend) = (MemoryEventStore::new(), Probe::new("backend"));
    append(&backend, "s", 0..100).await;
    let store = CachingEventStore::new(cache.clone(), backend.clone());
    assert_eq!(ids(&store, "s", 0).await.len(), 99);
    assert_eq!(cache.total_events().await, 99);
    assert_eq!(backend.replayed(), 99);
    assert_eq!(ids(&store, "s", 0).await.len(), 99);
    assert_eq!(backend.replayed(), 100, "asked for its newest event only");
}

#[tokio::test]
async fn purge_clears_both_tiers() {
    let (cache, backend) = (MemoryEventStore::new(), MemoryEventStore::new());
    let store = CachingEventStore::new(cache.clone(), backend.clone());
    append(&store, "s", [0]).await;
    store.purge_session("s").await.unwrap();
    assert_eq!(cache.total_events().await, 0);
    assert_eq!(backend.total_events().await, 0);
}

#[tokio::test]
async fn replay_includes_events_the_cache_has_evicted() {
    let cache = MemoryEventStore::with_capacity(3);
    let store = CachingEventStore::new(cache.clone(), MemoryEventStore::new());
    append(&store, "s", 1..=10).await;
    assert_eq!(cache.total_events().await, 3);
    for after in 0..10 {
        let expected = Vec::from_iter(after + 1..=10);
        assert_eq!(ids(&store, "s", after).await, expected);
        assert_eq!(
            ids(&cache, "s", 0).await,
            [8, 9, 10],
            "warmed with the newest"
        );
    }
}

#[tokio::test]
async fn empty_cache_does_not_claim_completeness() {
    let backend = MemoryEventStore::new();
    append(&backend, "s", 1..=5).await;
    let store = CachingEventStore::new(MemoryEventStore::new(), backend);
    append(&store, "s", [6]).await;
    assert_eq!(ids(&store, "s", 0).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(ids(&store, "s", 5).await, [6]);
}

#[tokio::test]
async fn appends_of_another_process_are_noticed_at_every_position() {
    let (cache, backend) = (MemoryEventStore::new(), MemoryEventStore::new());
    let store = CachingEventStore::new(cache.clone(), backend.clone());
    append(&store, "s", 1..=3).await;
    append(&backend, "s", 4..=5).await;
    assert_eq!(
        ids(&store, "s", 1).await,
        [2, 3, 4, 5],
        "behind the cached ones"
    );
    append(&backend, "s", [6]).await;
    append(&store, "s", [7]).await;
    assert_eq!(ids(&cache, "s", 5).await, [7]);
    assert_eq!(ids(&store, "s", 3).await, [4, 5, 6, 7], "between them");
    backend
        .append("s", EventRecord::new(7, "other"))
        .await
        .unwrap();
    let events = store.replay_after("s", 6).await.unwrap();
    assert_eq!(events[0].data, "other", "in place of the newest");
}

#[tokio::test]
async fn purge_by_another_process_is_noticed() {
    let backend = MemoryEventStore::new();
    let store = CachingEventStore::new(MemoryEventStore::new(), backend.clone());
    append(&store, "s", 1..=3).await;
    backend.purge_session("s").await.unwrap();
    assert_eq!(ids(&store, "s", 0).await, NONE);
    append(&backend, "s", [1]).await;
    assert_eq!(ids(&store, "s", 0).await, [1]);
}

#[tokio::test]
async fn failure_of_the_backend_stops_an_append() {
    let (cache, backend) = (Probe::new("cache"), Probe::new("backend"));
    let store = CachingEventStore::new(cache.clone(), backend.clone());
    backend.appends_fail.store(true, Ordering::Relaxed);
    let error = store.append("s", event(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "backend error: backend");
    assert_eq!(cache.inner.total_events().await, 0);
}

#[tokio::test]
async fn failure_of_the_cache_is_returned_and_empties_its_session() {
    let (cache, backend) = (Probe::new("cache"), Probe::new("backend"));
    let store = CachingEventStore::new(cache.clone(), backend.clone());
    append(&store, "s", 1..=2).await;
    append(&store, "other", [1]).await;
    cache.appends_fail.store(true, Ordering::Relaxed);
    let changed = EventRecord::new(2, "changed");
    let error = store.append("s", changed).await.unwrap_err();
    assert_eq!(error.to_string(), "backend error: cache");
    assert_eq!(cache.inner.total_events().await, 1, "the other session's");
    let events = store.replay_after("s", 1).await.unwrap();
    assert_eq!(events[0].data, "changed", "a failure to warm is no failure");
}

/// A store that stores an event with the data `held` at once, but returns only after its release.
#[derive(Debug, Clone)]
struct Held {
    inner: MemoryEventStore,
    gate: Arc<tokio::sync::Semaphore>,
}

#[async_trait]
impl EventStore for Held {
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        let is_held = event.data == "held";
        self.inner.append(session_id, event).await?;
        if is_held {
            self.gate.acquire().await.unwrap().forget();
        }
        Ok(())
    }

    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>> {
        self.inner.replay_after(session_id, after_id).await
    }

    async fn purge_session(&self, session_id: &str) -> Result<()> {
        self.inner.purge_session(session_id).await
    }
}

impl Held {
    /// Returns a store with three events, and a cache that has them too.
    async fn with_three() -> (Self, CachingEventStore<MemoryEventStore, Self>) {
        let held = Self {
            inner: MemoryEventStore::new(),
            gate: Arc::new(tokio::sync::Semaphore::new(0)),
        };
        let store = CachingEventStore::new(MemoryEventStore::new(), held.clone());
        append(&store, "s", 1..=3).await;
        (held, store)
    }
}

/// Appends on a task of its own, and runs all other tasks until they wait.
async fn begin<S: EventStore + Clone>(
    store: &S,
    id: u64,
    data: &'static str,
) -> tokio::task::JoinHandle<Result<()>> {
    let store = store.clone();
    let append = tokio::spawn(async move { store.append("s", EventRecord::new(id, data)).await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    append
}

#[tokio::test]
async fn concurrent_replacements_reach_both_tiers_in_one_order() {
    let (held, store) = Held::with_three().await;
    let first = begin(&store, 2, "held").await;
    let second = begin(&store, 2, "second").await;
    held.gate.add_permits(1);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    let replayed = store.replay_after("s", 0).await.unwrap();
    assert_eq!(replayed, held.replay_after("s", 0).await.unwrap());
    assert_eq!(replayed[1].data, "second");
}

#[tokio::test]
async fn append_cancelled_between_the_tiers_leaves_no_stale_event() {
    let (held, store) = Held::with_three().await;
    let append = begin(&store, 2, "held").await;
    append.abort();
    assert!(append.await.unwrap_err().is_cancelled());
    let replayed = store.replay_after("s", 0).await.unwrap();
    assert_eq!(replayed, held.replay_after("s", 0).await.unwrap());
    assert_eq!(replayed[1].data, "held");
}

#[tokio::test]
async fn purge_reaches_both_tiers_and_returns_the_error_of_the_cache_first() {
    let (cache, backend) = (Probe::new("cache"), Probe::new("backend"));
    let store = CachingEventStore::new(cache.clone(), backend.clone());
    append(&store, "s", [1]).await;
    cache.purges_fail.store(true, Ordering::Relaxed);
    let error = store.purge_session("s").await.unwrap_err();
    assert_eq!(error.to_string(), "backend error: cache");
    assert_eq!(backend.inner.total_events().await, 0);
    backend.purges_fail.store(true, Ordering::Relaxed);
    let error = store.purge_session("s").await.unwrap_err();
    assert_eq!(error.to_string(), "backend error: cache");
    cache.purges_fail.store(false, Ordering::Relaxed);
    let error = store.purge_session("s").await.unwrap_err();
    assert_eq!(error.to_string(), "backend error: backend");
    assert_eq!(cache.inner.total_events().await, 0);
}

// ===== SqliteEventStore =====

#[tokio::test]
async fn acknowledged_event_is_in_the_file() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    append(&store.event_store(), "s", 1..=3).await;
    let conn = connect(&path);
    let found = "SELECT group_concat(data) FROM sse_events JOIN sse_logs USING (log)
         WHERE name = 's'";
    assert_eq!(value::<String>(&conn, found), "e1,e2,e3");
}

#[tokio::test]
async fn events_and_evictions_survive_a_restart() {
    let (_dir, path) = fresh();
    for round in 0..3 {
        let store = Store::open(&path).unwrap();
        let events = store.event_store().max_events_per_session(4);
        append(&events, "s", [2 * round + 1, 2 * round + 2]).await;
        store.shutdown(support::LONG).unwrap();
    }
    let store = Store::open(&path).unwrap().event_store();
    assert_eq!(ids(&store, "s", 0).await, [3, 4, 5, 6]);
    assert_eq!(store.complete_after("s").await.unwrap(), Some(2));
}

#[tokio::test]
async fn id_that_sqlite_cannot_hold_is_an_error() {
    let (store, _dir) = sqlite(10);
    let error = store.append("s", event(u64::MAX)).await.unwrap_err();
    assert!(matches!(error, EventStoreError::Encode(_)), "{error}");
    append(&store, "s", [i64::MAX as u64]).await;
    assert_eq!(ids(&store, "s", 0).await, [i64::MAX as u64]);
}

#[tokio::test]
async fn after_the_shutdown_of_the_store_every_call_is_an_error() {
    let (_dir, path) = fresh();
    let store = Store::open(path).unwrap();
    let events = store.event_store();
    append(&events, "s", [1]).await;
    store.shutdown(support::LONG).unwrap();
    let expected = "backend error: the store was shut down";
    assert_eq!(
        events.append("s", event(2)).await.unwrap_err().to_string(),
        expected
    );
    assert_eq!(
        events.replay_after("s", 0).await.unwrap_err().to_string(),
        expected
    );
    assert_eq!(
        events.purge_session("s").await.unwrap_err().to_string(),
        expected
    );
    assert_eq!(
        events.complete_after("s").await.unwrap_err().to_string(),
        expected
    );
}

#[test]
fn outside_of_a_runtime_a_call_is_an_error() {
    let (_dir, path) = fresh();
    let events = Store::open(path).unwrap().event_store();
    let mut call = events.append("s", event(1));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match call.as_mut().poll(&mut context) {
        std::task::Poll::Ready(Err(error)) => assert!(error.to_string().contains("runtime")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn in_a_runtime_without_timers_a_call_is_an_error_and_stores_nothing() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let events = store.event_store();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let appended = runtime.block_on(events.append("s", event(1)));
    let replayed = runtime.block_on(events.replay_after("s", 0));
    for error in [appended.unwrap_err(), replayed.unwrap_err()] {
        assert!(error.to_string().contains("enable_time"), "{error}");
    }
    store.shutdown(support::LONG).unwrap();
    assert_eq!(totals(&path), (0, 0));
}

#[tokio::test]
async fn append_waits_no_longer_than_its_timeout() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let other = connect(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let events = store.event_store().timeout(Duration::from_millis(50));
    let error = events.append("s", event(1)).await.unwrap_err();
    assert!(error.to_string().contains("50ms"), "{error}");
    assert_eq!(
        ids(&events, "s", 0).await,
        NONE,
        "a write lock does not stop readers"
    );
    other.execute_batch("ROLLBACK").unwrap();
    append(&events.timeout(support::LONG), "s", [2]).await;
    let left = ids(&store.event_store(), "s", 0).await;
    assert!(left == [2] || left == [1, 2], "{left:?}");
}

#[tokio::test]
async fn append_succeeds_once_a_lock_is_released_in_time() {
    let (_dir, path) = fresh();
    let events = Store::open(&path)
        .unwrap()
        .event_store()
        .timeout(support::LONG);
    let other = connect(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let append = tokio::spawn({
        let events = events.clone();
        async move { events.append("s", event(1)).await }
    });
    // Longer than the writer waits in one attempt.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!append.is_finished());
    other.execute_batch("ROLLBACK").unwrap();
    append.await.unwrap().unwrap();
    assert_eq!(ids(&events, "s", 0).await, [1]);
}

#[tokio::test]
async fn reader_does_not_block_the_writer() {
    let (_dir, path) = fresh();
    let events = Store::open(&path).unwrap().event_store();
    append(&events, "s", [1]).await;
    let other = connect(&path);
    other
        .execute_batch("BEGIN; SELECT * FROM sse_events")
        .unwrap();
    append(&events, "s", [2]).await;
    assert_eq!(ids(&events, "s", 0).await, [1, 2]);
}

#[tokio::test]
async fn two_stores_on_one_file_see_each_others_events() {
    let (_dir, path) = fresh();
    let open = || {
        Store::open(&path)
            .unwrap()
            .event_store()
            .max_events_per_session(5)
    };
    let (a, b) = (open(), open());
    for round in 0..4 {
        append(&a, "s", [2 * round + 1]).await;
        append(&b, "s", [2 * round + 2]).await;
    }
    for store in [&a, &b] {
        assert_eq!(ids(store, "s", 0).await, [4, 5, 6, 7, 8]);
        assert_eq!(store.complete_after("s").await.unwrap(), Some(3));
    }
    a.purge_session("s").await.unwrap();
    append(&b, "s", [1]).await;
    assert_eq!(ids(&a, "s", 0).await, [1]);
    assert_eq!(totals(&path), (1, 66));
}

/// Returns the counters, and asserts that they equal what is stored.
fn totals(path: &std::path::Path) -> (i64, i64) {
    let conn = connect(path);
    let stored = rows(&conn, "SELECT events, bytes FROM sse_totals");
    let counted = "SELECT count(*), coalesce(sum(64 + length(CAST(data AS BLOB))), 0)
         FROM sse_events";
    assert_eq!(stored, rows(&conn, counted));
    (
        value(&conn, "SELECT events FROM sse_totals"),
        value(&conn, "SELECT bytes FROM sse_totals"),
    )
}

#[tokio::test]
async fn all_sessions_keep_to_the_byte_limit_and_each_keeps_its_newest_event() {
    let (_dir, path) = fresh();
    let events = Store::open(&path)
        .unwrap()
        .event_store()
        .max_bytes(100 * 164);
    let data = "x".repeat(100);
    for id in 1..=50 {
        for session in 0..10 {
            let event = EventRecord::new(id, &*data);
            events.append(&session.to_string(), event).await.unwrap();
        }
    }
    assert_eq!(totals(&path), (100, 100 * 164));
    for session in 0..10 {
        let session = session.to_string();
        assert_eq!(ids(&events, &session, 0).await, Vec::from_iter(41..=50));
        assert_eq!(events.complete_after(&session).await.unwrap(), Some(40));
    }
    // Less than the size of the newest events.
    let narrow = events.max_bytes(1);
    append(&narrow, "0", [51, 52]).await;
    assert_eq!(totals(&path).0, 10);
    assert_eq!(ids(&narrow, "0", 0).await, [52]);
    assert_eq!(ids(&narrow, "9", 0).await, [50]);
}

#[tokio::test]
async fn old_events_are_removed_except_the_newest_of_a_live_session() {
    use tower_mcp_store::session_store::{SessionRecord, SessionStore};

    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let hour = Duration::from_secs(3600);
    let events = store.event_store().max_age(hour);
    let record = SessionRecord::new("sdk", "live", "{}", hour);
    store.session_store().save(&record).await.unwrap();
    for session in ["dead", "live", "active"] {
        append(&events, session, 1..=3).await;
    }
    // Makes the events two hours older.
    connect(&path)
        .execute_batch("UPDATE sse_events SET n = n - 7200000000")
        .unwrap();
    append(&events, "active", [4]).await;
    assert_eq!(ids(&events, "dead", 0).await, NONE);
    assert_eq!(ids(&events, "live", 0).await, [3]);
    assert_eq!(ids(&events, "active", 0).await, [4]);
    assert_eq!(events.complete_after("dead").await.unwrap(), None);
    assert_eq!(events.complete_after("live").await.unwrap(), Some(2));
    assert_eq!(events.complete_after("active").await.unwrap(), Some(3));
    append(&events, "dead", [4]).await;
    assert_eq!(
        events.complete_after("dead").await.unwrap(),
        Some(3),
        "it does not know that it was evicted whole"
    );
    totals(&path);
}

#[tokio::test]
async fn event_refused_by_sqlite_changes_nothing() {
    let (_dir, path) = fresh();
    let events = Store::open(&path)
        .unwrap()
        .event_store()
        .timeout(support::LONG);
    append(&events, "s", 1..=3).await;
    connect(&path)
        .execute_batch(
            "CREATE TRIGGER refuse AFTER INSERT ON sse_events WHEN new.data = 'refused'
             BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .unwrap();
    let refused = EventRecord::new(2, "refused");
    // One append would remove the event that it replaces, the other would leave a session without
    // events. The appends in the same commit succeed.
    let (replaces, begins, good, other) = tokio::join!(
        events.append("s", refused.clone()),
        events.append("new", refused),
        events.append("s", event(4)),
        events.append("other", event(1)),
    );
    for refused in [replaces, begins] {
        assert!(
            refused.unwrap_err().to_string().contains("not this one"),
            "the error has the reason"
        );
    }
    good.unwrap();
    other.unwrap();
    assert_eq!(ids(&events, "s", 0).await, [1, 2, 3, 4]);
    assert_eq!(ids(&events, "other", 0).await, [1]);
    assert_eq!(events.complete_after("new").await.unwrap(), None);
    assert_eq!(totals(&path).0, 5);
}

#[tokio::test]
async fn events_purged_by_another_process_do_not_return_with_the_next_append() {
    let backend = MemoryEventStore::new();
    let store = CachingEventStore::new(MemoryEventStore::new(), backend.clone());
    append(&store, "s", 1..=3).await;
    backend.purge_session("s").await.unwrap();
    append(&store, "s", [4]).await;
    assert_eq!(ids(&store, "s", 0).await, [4]);
    assert_eq!(ids(&store, "s", 3).await, [4]);
}

#[tokio::test]
async fn new_event_of_a_session_with_old_events_stays() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let events = store.event_store().max_age(Duration::from_secs(3600));
    append(&events, "s", 1..=10).await;
    connect(&path)
        .execute_batch("UPDATE sse_events SET n = n - 7200000000")
        .unwrap();
    // The server starts to count again at 1.
    append(&events, "s", [1]).await;
    assert_eq!(ids(&events, "s", 0).await, [1]);
    append(&events, "s", [2]).await;
    assert_eq!(ids(&events, "s", 0).await, [1, 2]);
    totals(&path);
}

#[tokio::test]
async fn busy_session_evicts_its_own_events_beside_many_silent_sessions() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let events = store.event_store().max_bytes(10_000);
    for session in 0..200 {
        append(&events, &session.to_string(), [1]).await;
    }
    append(&events, "busy", 1..=900).await;
    let (kept, _) = totals(&path);
    // The newest event of each silent session, and the events that one pass has not reached yet.
    assert!((201..=201 + 64).contains(&kept), "{kept}");
    assert!(ids(&events, "busy", 0).await.contains(&900));
}

#[tokio::test]
async fn trigger_that_rolls_back_removes_no_acknowledged_event() {
    let (_dir, path) = fresh();
    let events = Store::open(&path)
        .unwrap()
        .event_store()
        .timeout(support::LONG);
    connect(&path)
        .execute_batch(
            "CREATE TRIGGER refuse AFTER INSERT ON sse_events WHEN new.data = 'refused'
             BEGIN SELECT RAISE(ROLLBACK, 'not this one'); END",
        )
        .unwrap();
    append(&events, "s", [1]).await;
    let refused = EventRecord::new(2, "refused");
    let (refused, beside) = tokio::join!(
        events.append("s", refused),
        events.append("beside", event(1)),
    );
    assert!(refused.unwrap_err().to_string().contains("not this one"));
    let kept = if beside.is_ok() { vec![1] } else { Vec::new() };
    assert_eq!(ids(&events, "beside", 0).await, kept);
    append(&events, "s", [3]).await;
    assert_eq!(ids(&events, "s", 0).await, [1, 3]);
    totals(&path);
}
