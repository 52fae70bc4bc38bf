//! One test suite for every session store, and the promises of each store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::Notify;
use tower_mcp_store::Store;
use tower_mcp_store::session_store::{
    CachingSessionStore, MemorySessionStore, Result, SessionRecord, SessionStore,
    SessionStoreError, SqliteSessionStore,
};

use crate::support::{LONG, connect, fresh, value};

const HOUR: Duration = Duration::from_secs(3600);

fn record(id: &str, data: &str) -> SessionRecord {
    SessionRecord::new("sdk", id, data, HOUR)
}

fn expired(id: &str) -> SessionRecord {
    let mut record = record(id, "expired");
    record.expires_at = SystemTime::now() - HOUR;
    record
}

async fn data(store: &impl SessionStore, sdk: &str, id: &str) -> Option<String> {
    let record = store.load(sdk, id).await.unwrap()?;
    assert_eq!((&*record.sdk, &*record.id), (sdk, id));
    Some(record.data)
}

fn memory() -> (MemorySessionStore, ()) {
    (MemorySessionStore::new(), ())
}

fn sqlite() -> (SqliteSessionStore, TempDir) {
    let (dir, path) = fresh();
    (Store::open(path).unwrap().session_store(), dir)
}

fn caching() -> (
    CachingSessionStore<MemorySessionStore, SqliteSessionStore>,
    TempDir,
) {
    let (store, dir) = sqlite();
    (
        CachingSessionStore::new(MemorySessionStore::new(), store),
        dir,
    )
}

macro_rules! conformance {
    ($make:ident) => {
        mod $make {
            use super::*;

            #[tokio::test]
            async fn saved_record_is_loaded_by_sdk_and_id() {
                let (store, _guard) = super::$make();
                for (sdk, id) in [("a", "1"), ("a", "2"), ("b", "1"), ("", "a1"), ("a1", "")] {
                    let record = SessionRecord::new(sdk, id, format!("{sdk}/{id}"), HOUR);
                    store.save(&record).await.unwrap();
                }
                for (sdk, id) in [("a", "1"), ("a", "2"), ("b", "1"), ("", "a1"), ("a1", "")] {
                    assert_eq!(data(&store, sdk, id).await, Some(format!("{sdk}/{id}")));
                }
                assert_eq!(data(&store, "b", "2").await, None);
            }

            #[tokio::test]
            async fn record_is_loaded_whole_with_its_expiry_to_the_millisecond() {
                let (store, _guard) = super::$make();
                let record = record("s", "{\"\u{1F980}\":\"\\u0000 ' \0\"}");
                store.save(&record).await.unwrap();
                let loaded = store.load("sdk", "s").await.unwrap().unwrap();
                assert_eq!(loaded.data, record.data);
                let lost = record.expires_at.duration_since(loaded.expires_at).unwrap();
                assert!(lost < Duration::from_millis(1), "{lost:?}");
            }

            #[tokio::test]
            async fn record_saved_again_is_replaced() {
                let (store, _guard) = super::$make();
                store.save(&record("s", "one")).await.unwrap();
                store.save(&record("s", "two")).await.unwrap();
                assert_eq!(data(&store, "sdk", "s").await.unwrap(), "two");
            }

            #[tokio::test]
            async fn record_is_created_once() {
                let (store, _guard) = super::$make();
                assert!(store.create(&record("s", "one")).await.unwrap());
                assert!(!store.create(&record("s", "two")).await.unwrap());
                assert_eq!(data(&store, "sdk", "s").await.unwrap(), "one");
                let other = SessionRecord::new("other", "s", "", HOUR);
                assert!(store.create(&other).await.unwrap());
            }

            #[tokio::test]
            async fn expired_record_is_not_loaded_and_can_be_created_again() {
                let (store, _guard) = super::$make();
                store.save(&expired("s")).await.unwrap();
                assert_eq!(data(&store, "sdk", "s").await, None);
                assert!(store.create(&record("s", "new")).await.unwrap());
                assert_eq!(data(&store, "sdk", "s").await.unwrap(), "new");
                let at_once = SessionRecord::new("sdk", "t", "", Duration::ZERO);
                store.save(&at_once).await.unwrap();
                assert_eq!(data(&store, "sdk", "t").await, None);
            }

            #[tokio::test]
            async fn record_can_have_the_longest_lifetime() {
                let (store, _guard) = super::$make();
                let record = SessionRecord::new("sdk", "s", "for ever", Duration::MAX);
                store.save(&record).await.unwrap();
                assert_eq!(data(&store, "sdk", "s").await.unwrap(), "for ever");
            }

            #[tokio::test]
            async fn delete_removes_one_record_and_can_be_repeated() {
                let (store, _guard) = super::$make();
                store.save(&record("s", "")).await.unwrap();
                store.save(&record("t", "kept")).await.unwrap();
                for _ in 0..2 {
                    store.delete("sdk", "s").await.unwrap();
                    assert_eq!(data(&store, "sdk", "s").await, None);
                }
                store.delete("other", "t").await.unwrap();
                assert_eq!(data(&store, "sdk", "t").await.unwrap(), "kept");
            }

            #[tokio::test]
            async fn prolonging_a_record_never_shortens_its_lifetime() {
                let (store, _guard) = super::$make();
                store.save(&record("s", "data")).await.unwrap();
                let end = async || {
                    let loaded = store.load("sdk", "s").await.unwrap().unwrap();
                    assert_eq!(loaded.data, "data");
                    loaded.expires_at
                };
                let before = end().await;
                let longer = SessionRecord::new("sdk", "s", "", 3 * HOUR);
                assert!(store.prolong(&longer).await.unwrap());
                let after = end().await;
                assert!(after > before + HOUR, "{before:?} {after:?}");
                let shorter = SessionRecord::new("sdk", "s", "", HOUR);
                assert!(store.prolong(&shorter).await.unwrap());
                assert_eq!(end().await, after);
            }

            #[tokio::test]
            async fn missing_record_is_not_prolonged() {
                let (store, _guard) = super::$make();
                store.save(&expired("expired")).await.unwrap();
                store.save(&record("deleted", "")).await.unwrap();
                store.delete("sdk", "deleted").await.unwrap();
                for id in ["expired", "deleted", "unknown"] {
                    let longer = SessionRecord::new("sdk", id, "", 3 * HOUR);
                    assert!(!store.prolong(&longer).await.unwrap(), "{id}");
                    assert_eq!(data(&store, "sdk", id).await, None);
                }
            }

            #[tokio::test]
            async fn store_works_as_a_trait_object() {
                let (store, _guard) = super::$make();
                let store: Arc<dyn SessionStore> = Arc::new(store);
                assert!(store.create(&record("s", "one")).await.unwrap());
                assert_eq!(data(&store, "sdk", "s").await.unwrap(), "one");
                store.delete("sdk", "s").await.unwrap();
            }

            #[tokio::test]
            async fn one_of_many_callers_creates_the_record() {
                let (store, _guard) = super::$make();
                let store = Arc::new(store);
                let creates = (0..20).map(|_| {
                    let store = Arc::clone(&store);
                    tokio::spawn(async move { store.create(&record("s", "")).await.unwrap() })
                });
                let mut created = 0;
                for create in creates.collect::<Vec<_>>() {
                    created += u32::from(create.await.unwrap());
                }
                assert_eq!(created, 1);
            }
        }
    };
}

conformance!(memory);
conformance!(caching);
conformance!(sqlite);

#[tokio::test]
async fn both_tiers_are_written_and_a_miss_warms_the_cache() {
    let (cache, backend) = (MemorySessionStore::new(), MemorySessionStore::new());
    let store = CachingSessionStore::new(cache.clone(), backend.clone());
    store.save(&record("s", "one")).await.unwrap();
    assert_eq!(data(&cache, "sdk", "s").await.unwrap(), "one");
    assert_eq!(data(&backend, "sdk", "s").await.unwrap(), "one");
    backend.save(&record("t", "two")).await.unwrap();
    assert_eq!(data(&store, "sdk", "t").await.unwrap(), "two");
    assert_eq!(data(&cache, "sdk", "t").await.unwrap(), "two");
    store.delete("sdk", "t").await.unwrap();
    assert_eq!(data(&cache, "sdk", "t").await, None);
    assert_eq!(data(&backend, "sdk", "t").await, None);
}

/// A store whose deletions wait for the test.
#[derive(Clone)]
struct SlowToDelete {
    records: MemorySessionStore,
    asked: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[async_trait]
impl SessionStore for SlowToDelete {
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        self.records.create(record).await
    }

    async fn save(&self, record: &SessionRecord) -> Result<()> {
        self.records.save(record).await
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        self.records.load(sdk, id).await
    }

    async fn prolong(&self, record: &SessionRecord) -> Result<bool> {
        self.records.prolong(record).await
    }

    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        self.asked.notify_one();
        self.go_on.notified().await;
        self.records.delete(sdk, id).await
    }
}

#[tokio::test]
async fn record_read_during_its_deletion_does_not_return() {
    let slow = SlowToDelete {
        records: MemorySessionStore::new(),
        asked: Arc::default(),
        go_on: Arc::default(),
    };
    let store = CachingSessionStore::new(MemorySessionStore::new(), slow.clone());
    store.save(&record("s", "one")).await.unwrap();
    let deletion = tokio::spawn({
        let store = store.clone();
        async move { store.delete("sdk", "s").await }
    });
    slow.asked.notified().await;
    let load = tokio::spawn({
        let store = store.clone();
        async move { store.load("sdk", "s").await }
    });
    tokio::task::yield_now().await;
    slow.go_on.notify_one();
    deletion.await.unwrap().unwrap();
    load.await.unwrap().unwrap();
    assert_eq!(data(&store, "sdk", "s").await, None);
}

#[tokio::test]
async fn expired_records_are_removed() {
    let memory = MemorySessionStore::new();
    for id in 0..1000 {
        memory.save(&expired(&id.to_string())).await.unwrap();
    }
    assert_eq!(memory.session_count().await, 0);
    assert!(memory.remove_expired().await < 1000, "some went before");

    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap().session_store();
    for id in 0..20 {
        store.save(&expired(&id.to_string())).await.unwrap();
    }
    store.save(&record("s", "")).await.unwrap();
    let count = "SELECT count(*) FROM sdk_sessions";
    assert_eq!(value::<i64>(&connect(&path), count), 1);
}

#[tokio::test]
async fn records_survive_a_restart() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    store
        .session_store()
        .save(&record("s", "one"))
        .await
        .unwrap();
    store.shutdown(LONG).unwrap();
    let store = Store::open(&path).unwrap().session_store();
    assert_eq!(data(&store, "sdk", "s").await.unwrap(), "one");
}

#[test]
fn debug_output_shows_neither_id_nor_data() {
    let record = record("secret-id", "secret-data");
    assert!(!format!("{record:?}").contains("secret"));
}

#[test]
fn errors_name_what_failed() {
    for (error, text) in [
        (SessionStoreError::Encode("x".into()), "encode error: x"),
        (SessionStoreError::Decode("x".into()), "decode error: x"),
        (SessionStoreError::Backend("x".into()), "backend error: x"),
    ] {
        assert_eq!(error.to_string(), text);
    }
}

/// Adds records to a store with a limit of 10,000 bytes. Returns the records that are left.
async fn kept(sessions: &impl SessionStore) -> Vec<usize> {
    // A record takes 64 bytes beside its texts.
    let data = "x".repeat(1000 - 64 - "sdk".len() - "000".len());
    for id in 0..100 {
        let life = Duration::from_secs(3600 + id);
        let record = SessionRecord::new("sdk", format!("{id:03}"), &*data, life);
        match id % 2 {
            0 => sessions.save(&record).await.unwrap(),
            _ => assert!(sessions.create(&record).await.unwrap()),
        }
    }
    let mut kept = Vec::new();
    for id in 0..100 {
        let record = sessions.load("sdk", &format!("{id:03}")).await.unwrap();
        kept.extend(record.map(|_| id));
    }
    kept
}

#[tokio::test]
async fn oldest_records_over_the_limit_are_removed_first() {
    let newest: Vec<usize> = (90..100).collect();
    let memory = MemorySessionStore::new().max_bytes(10_000);
    assert_eq!(kept(&memory).await, newest);

    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let sessions = store.session_store().max_bytes(10_000);
    assert_eq!(kept(&sessions).await, newest);
    let conn = connect(&path);
    let sum = "SELECT (SELECT session_bytes FROM sse_totals) =
        (SELECT sum(64 + length(session_id || sdk || data)) FROM sdk_sessions)";
    assert!(value::<bool>(&conn, sum));
    // A changed or deleted record counts with its new size.
    let shorter = SessionRecord::new("sdk", "099", "", Duration::from_secs(9_000));
    sessions.save(&shorter).await.unwrap();
    sessions.delete("sdk", "090").await.unwrap();
    assert!(value::<bool>(&conn, sum));
}

#[tokio::test]
async fn record_over_the_limit_stays_until_the_next_one() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let memory = MemorySessionStore::new().max_bytes(10_000);
    let sqlite = store.session_store().max_bytes(10_000);
    let stores: [&dyn SessionStore; 2] = [&memory, &sqlite];
    for sessions in stores {
        sessions.save(&record("short", "")).await.unwrap();
        let mut long = record("long", &"x".repeat(20_000));
        // Expires before all others.
        long.expires_at -= HOUR / 2;
        sessions.save(&long).await.unwrap();
        let is_kept = async |id| sessions.load("sdk", id).await.unwrap().is_some();
        assert!(is_kept("long").await && !is_kept("short").await);
        sessions.save(&record("short", "")).await.unwrap();
        assert!(!is_kept("long").await && is_kept("short").await);
    }
}
