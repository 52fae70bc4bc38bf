//! What an acknowledged event costs.
//!
//! ```text
//! cargo bench --bench event_store
//! ```
//!
//! Callers append at the same time, each to a session of its own, and wait until
//! their event is committed. Beside it stands what one would write without this
//! crate: one connection behind a mutex, one transaction for each append, on the
//! runtime's threads for blocking work. The directory is that of `TMPDIR`, so
//! that it can be put on a disk: `FULL` is only worth measuring there.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use tower_mcp_store::event_store::{EventRecord, EventStore, EventStoreError, Result, Synchronous};
use tower_mcp_store::{RequestEvent, RequestStatus, Store, StoreEvent};

/// How long each case runs.
const TIME: Duration = Duration::from_secs(2);

const DATA: &str = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"a1b2c3","progress":42,"total":100,"message":"Reading the forty-second of one hundred files"}}"#;

#[tokio::main(worker_threads = 2)]
async fn main() {
    println!("append            callers    appends/s    plain/s  times    p50 us    p99 us");
    for synchronous in [Synchronous::Normal, Synchronous::Full] {
        for callers in [1, 16, 256] {
            let dir = tempfile::tempdir().unwrap();
            let plain = Plain::open(&dir.path().join("plain.db"), synchronous);
            let plain = appends(Arc::new(plain), callers, TIME).await;
            let store = Store::open(dir.path().join("ours.db")).unwrap();
            let events = store.event_store().synchronous(synchronous);
            let ours = appends(Arc::new(events), callers, TIME).await;
            println!(
                "{:<16} {callers:>8} {:>12.0} {:>10.0} {:>6.1} {:>9} {:>9}",
                format!("{synchronous:?}"),
                ours.rate,
                plain.rate,
                ours.rate / plain.rate,
                ours.p50.as_micros(),
                ours.p99.as_micros(),
            );
        }
    }
    beside_telemetry().await;
    replay().await;
}

struct Measured {
    rate: f64,
    p50: Duration,
    p99: Duration,
}

/// Appends from this many callers at once.
async fn appends(store: Arc<dyn EventStore>, callers: usize, time: Duration) -> Measured {
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let session = format!("session-{caller:04}-0123456789abcdef");
                let mut taken = Vec::new();
                for id in 1.. {
                    let before = Instant::now();
                    let append = store.append(&session, EventRecord::new(id, DATA));
                    append.await.unwrap();
                    taken.push(before.elapsed());
                    if start.elapsed() > time {
                        break;
                    }
                }
                taken
            })
        })
        .collect();
    let mut taken = Vec::new();
    for task in tasks {
        taken.extend(task.await.unwrap());
    }
    let rate = taken.len() as f64 / start.elapsed().as_secs_f64();
    taken.sort_unstable();
    let at = |part: f64| taken[((taken.len() - 1) as f64 * part) as usize];
    Measured {
        rate,
        p50: at(0.5),
        p99: at(0.99),
    }
}

/// Appends while the queue never runs empty, and telemetry without appends.
async fn beside_telemetry() {
    println!("\nbeside telemetry  callers    appends/s     rows/s  alone/s    p50 us    p99 us");
    let alone = {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("mcp.db")).unwrap();
        let telemetry = Telemetry::start(&store);
        tokio::time::sleep(2 * TIME).await;
        telemetry.rate()
    };
    for callers in [1, 16, 256] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("mcp.db")).unwrap();
        let telemetry = Telemetry::start(&store);
        let measured = appends(Arc::new(store.event_store()), callers, 2 * TIME).await;
        println!(
            "{:<16} {callers:>8} {:>12.0} {:>10.0} {alone:>8.0} {:>9} {:>9}",
            "Normal",
            measured.rate,
            telemetry.rate(),
            measured.p50.as_micros(),
            measured.p99.as_micros(),
        );
    }
    // As a server does: a few events, now and then.
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("mcp.db")).unwrap();
    let telemetry = Telemetry::start(&store);
    let events = store.event_store();
    let mut taken = Vec::new();
    for id in 1..=1000 {
        tokio::time::sleep(Duration::from_millis(4)).await;
        let before = Instant::now();
        let append = events.append("session", EventRecord::new(id, DATA));
        append.await.unwrap();
        taken.push(before.elapsed());
    }
    taken.sort_unstable();
    println!(
        "{:<16} {:>8} {:>12} {:>10.0} {alone:>8.0} {:>9} {:>9}",
        "Normal",
        "1",
        "every 4 ms",
        telemetry.rate(),
        taken[500].as_micros(),
        taken[990].as_micros(),
    );
}

async fn replay() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("mcp.db")).unwrap();
    let events = store.event_store();
    for id in 1..=1000 {
        events
            .append("session", EventRecord::new(id, DATA))
            .await
            .unwrap();
    }
    let mut taken = Vec::new();
    for _ in 0..200 {
        let before = Instant::now();
        assert_eq!(events.replay_after("session", 0).await.unwrap().len(), 1000);
        taken.push(before.elapsed());
    }
    taken.sort_unstable();
    println!(
        "\nreplay of 1,000 events: p50 {:?}, p99 {:?}",
        taken[100], taken[198]
    );
}

/// A thread that keeps the queue filled.
struct Telemetry {
    store: Store,
    start: Instant,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Telemetry {
    fn start(store: &Store) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if store.stats().queued > 100_000 {
                        thread::sleep(Duration::from_millis(1));
                        continue;
                    }
                    for _ in 0..1000 {
                        let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
                        event.tool = Some("search".into());
                        event.latency_us = 1250;
                        store.record(StoreEvent::Request(event));
                    }
                }
            }
        });
        Self {
            store: store.clone(),
            start: Instant::now(),
            stop,
            thread: Some(thread),
        }
    }

    /// Rows written in a second.
    fn rate(mut self) -> f64 {
        let rate = self.store.stats().written as f64 / self.start.elapsed().as_secs_f64();
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        rate
    }
}

/// One transaction for each append.
struct Plain {
    conn: Arc<Mutex<Connection>>,
}

impl Plain {
    fn open(path: &Path, synchronous: Synchronous) -> Self {
        let conn = Connection::open(path).unwrap();
        let mode = match synchronous {
            Synchronous::Full => "FULL",
            _ => "NORMAL",
        };
        conn.pragma_update(None, "journal_mode", "WAL").unwrap();
        conn.pragma_update(None, "synchronous", mode).unwrap();
        conn.execute_batch(
            "CREATE TABLE events (session TEXT, id INTEGER, ts INTEGER, data TEXT,
                 PRIMARY KEY (session, id)) WITHOUT ROWID",
        )
        .unwrap();
        let conn = Arc::new(Mutex::new(conn));
        Self { conn }
    }
}

#[async_trait]
impl EventStore for Plain {
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        let (conn, session) = (Arc::clone(&self.conn), session_id.to_owned());
        let append = move || {
            let conn = conn.lock().unwrap();
            let ts = event.timestamp.duration_since(UNIX_EPOCH).unwrap();
            conn.prepare_cached("INSERT OR REPLACE INTO events VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![
                    session,
                    event.id as i64,
                    ts.as_millis() as i64,
                    event.data
                ])
        };
        let appended = tokio::task::spawn_blocking(append).await.unwrap();
        appended
            .map(drop)
            .map_err(|error| EventStoreError::Backend(error.to_string()))
    }

    async fn replay_after(&self, _: &str, _: u64) -> Result<Vec<EventRecord>> {
        Ok(Vec::new())
    }

    async fn purge_session(&self, _: &str) -> Result<()> {
        Ok(())
    }
}
