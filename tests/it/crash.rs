//! Processes that are killed under load. `MCP_STORE_TEST_KILLS=200` kills each 200 times.

use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tower_mcp_store::{RequestStatus, SessionEvent, Store, StoreEvent};

use crate::support::{self, LONG, child, connect, fixture, fresh, request, value};

/// The environment variable with the child's path.
const CHILD: &str = "MCP_STORE_TEST_CRASH_PATH";

fn kills(default: u64) -> u64 {
    std::env::var("MCP_STORE_TEST_KILLS")
        .map_or(default, |count| count.parse().expect("a number of kills"))
}

/// Runs the test `name` again in a process of its own, with [`CHILD`] set. Also returns the lines
/// that it prints with a `!` before them.
fn spawn(name: &str, path: &Path) -> (Child, Receiver<String>) {
    child::spawn(child::test(&format!("crash::{name}")).env(CHILD, path))
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Records for ever. Prints how many requests are committed.
fn record_for_ever(path: &Path) {
    let mut committed = 0_u64;
    let store = Store::builder(path)
        .flush_interval(Duration::from_millis(2))
        .queue_events(5_000)
        .on_recorded(move |_| {
            committed += 1;
            if committed.is_multiple_of(50) {
                println!("!{committed}");
            }
        })
        .open()
        .unwrap();
    loop {
        let id: Arc<str> = uuid::Uuid::now_v7().to_string().into();
        store.record(StoreEvent::Session(SessionEvent::new(Arc::clone(&id))));
        for call in 0..20 {
            let mut event = request();
            event.session_id = Some(Arc::clone(&id));
            if call % 7 == 0 {
                event.status = RequestStatus::Error;
            }
            store.record(StoreEvent::Request(event));
        }
        store.record(StoreEvent::SessionClosed {
            session_id: id,
            ended_at: 1,
        });
        thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn killed_writer_leaves_a_whole_file_and_the_next_one_enters_a_loss() {
    const NAME: &str = "killed_writer_leaves_a_whole_file_and_the_next_one_enters_a_loss";
    if let Some(path) = std::env::var_os(CHILD) {
        record_for_ever(Path::new(&path));
    }
    let (_dir, path) = fresh();
    let mut rows_before = 0;
    for round in 1..=kills(5) {
        let (child, lines) = spawn(NAME, &path);
        let mut committed: i64 = lines.recv_timeout(LONG).unwrap().parse().unwrap();
        thread::sleep(Duration::from_millis(round * 7 % 40));
        kill(child);
        // Every row that the child printed as committed survives. The last line may be cut short.
        let mut printed: Vec<String> = lines.iter().collect();
        printed.pop();
        committed = printed
            .last()
            .map_or(committed, |line| line.parse().unwrap());

        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        let conn = connect(&path);
        assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
        let rows: i64 = value(&conn, "SELECT count(*) FROM requests");
        assert!(
            rows >= rows_before + committed,
            "{rows} < {rows_before} + {committed}"
        );
        rows_before = rows;
        let wrong_counters: i64 = value(
            &conn,
            "SELECT count(*) FROM sessions s
             LEFT JOIN (SELECT session_id, count(*) AS calls, sum(status <> 'ok') AS errors
                        FROM requests GROUP BY session_id) r USING (session_id)
             WHERE s.total_calls <> coalesce(r.calls, 0)
                OR s.total_errors <> coalesce(r.errors, 0)",
        );
        assert_eq!(wrong_counters, 0);
        let recorded: i64 = value(
            &conn,
            "SELECT (SELECT count(*) FROM requests) + (SELECT count(*) FROM sessions)
                 + (SELECT count(*) FROM sessions WHERE ended_at IS NOT NULL)",
        );
        let written: i64 = value(&conn, "SELECT sum(written) FROM writers");
        assert_eq!(written, recorded);
        let printed: i64 = value(
            &conn,
            "SELECT count(*) FROM losses WHERE reason = 'unclean_shutdown'
                 AND dropped IS NULL AND 0 < from_ts AND from_ts <= to_ts",
        );
        assert_eq!(printed as u64, round);
        let lock_files = || {
            let names = path.parent().map(support::contents).unwrap();
            names.into_keys().filter(|name| name.contains("-lock"))
        };
        assert_eq!(lock_files().next(), None);
    }
}

/// Records two requests a millisecond for ever, with default settings. Prints a line when the first
/// of them are committed.
fn record_steadily(path: &Path) {
    let mut has_printed = false;
    let store = Store::builder(path)
        .on_recorded(move |_| {
            if !std::mem::replace(&mut has_printed, true) {
                println!("!committed");
            }
        })
        .open()
        .unwrap();
    let start = Instant::now();
    for due in (0..).map(|n| start + n * Duration::from_micros(500)) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        store.record(StoreEvent::Request(request()));
    }
}

#[test]
fn kill_loses_at_most_a_flush_interval_and_the_current_commit() {
    const NAME: &str = "kill_loses_at_most_a_flush_interval_and_the_current_commit";
    if let Some(path) = std::env::var_os(CHILD) {
        record_steadily(Path::new(&path));
    }
    let (_dir, path) = fresh();
    let mut missing = Vec::new();
    for round in 1..=kills(9) {
        let (child, lines) = spawn(NAME, &path);
        lines.recv_timeout(LONG).unwrap();
        thread::sleep(Duration::from_millis(100 + round * 7 % 40));
        let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        kill(child);
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        let conn = connect(&path);
        let last: i64 = value(&conn, "SELECT max(ts) FROM requests");
        missing.push(end.as_millis() as i64 - last);
    }
    missing.sort_unstable();
    let (median, worst) = (missing[missing.len() / 2], missing[missing.len() - 1]);
    println!(
        "missing: median {median} ms, worst {worst} ms of {}",
        missing.len()
    );
    assert!(median < 50, "{missing:?}");
}

#[test]
fn living_writer_is_not_entered_as_a_loss() {
    const NAME: &str = "living_writer_is_not_entered_as_a_loss";
    if let Some(path) = std::env::var_os(CHILD) {
        record_for_ever(Path::new(&path));
    }
    let (_dir, path) = fresh();
    let (child, lines) = spawn(NAME, &path);
    lines.recv_timeout(LONG).unwrap();
    let losses = "SELECT count(*) FROM losses WHERE reason = 'unclean_shutdown'";
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&path), losses), 0);
    kill(child);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&path), losses), 1);
}

#[test]
fn kill_beside_a_living_writer_is_a_loss_and_the_living_writer_is_none() {
    const NAME: &str = "kill_beside_a_living_writer_is_a_loss_and_the_living_writer_is_none";
    if let Some(path) = std::env::var_os(CHILD) {
        record_for_ever(Path::new(&path));
    }
    let (_dir, path) = fresh();
    let living = Store::open(&path).unwrap();
    let losses = || value::<i64>(&connect(&path), "SELECT count(*) FROM losses");
    let open_runs = "SELECT count(*) FROM writers WHERE ended_at IS NULL";
    let kill_one = || {
        let (child, lines) = spawn(NAME, &path);
        lines.recv_timeout(LONG).unwrap();
        kill(child);
    };
    for round in 1..=3 {
        kill_one();
        // The killed writer starts again while the other one lives.
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        assert_eq!(losses(), round);
        assert_eq!(value::<i64>(&connect(&path), open_runs), 1);
    }
    // The living writer enters the loss itself when it ends.
    kill_one();
    living.shutdown(LONG).unwrap();
    assert_eq!(losses(), 4);
    assert_eq!(value::<i64>(&connect(&path), open_runs), 0);
}

#[test]
fn killed_migration_leaves_the_old_version_or_the_new_one_whole() {
    const NAME: &str = "killed_migration_leaves_the_old_version_or_the_new_one_whole";
    if let Some(path) = std::env::var_os(CHILD) {
        println!("!opening");
        drop(Store::open(path).unwrap());
        println!("!open");
        return;
    }
    let (_dir, big) = fixture(1);
    let conn = connect(&big);
    conn.execute_batch(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO requests (request_id, ts, proxy, method, latency_ms, status)
             SELECT 'r' || i, i, 'p', 'ping', i, 'ok' FROM n",
    )
    .unwrap();
    let expected: i64 = value(&conn, "SELECT sum(latency_ms) * 1000 FROM requests");
    conn.close().unwrap();

    for round in 0..kills(6) {
        let (_dir, path) = fresh();
        std::fs::copy(&big, &path).unwrap();
        let (child, lines) = spawn(NAME, &path);
        lines.recv_timeout(LONG).unwrap();
        thread::sleep(Duration::from_millis(round * 13 % 120));
        kill(child);
        let conn = connect(&path);
        assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
        let version: String = value(&conn, "SELECT value FROM meta WHERE key = 'schema_version'");
        let latencies = match version.as_str() {
            "1" => "SELECT sum(latency_ms) * 1000 FROM requests",
            "5" => "SELECT sum(latency_us) FROM requests",
            _ => panic!("version {version}"),
        };
        assert_eq!(
            value::<i64>(&conn, latencies),
            expected,
            "version {version}"
        );
        drop(conn);
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        let latencies = "SELECT sum(latency_us) FROM requests";
        assert_eq!(value::<i64>(&connect(&path), latencies), expected);
    }
}
