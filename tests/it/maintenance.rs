//! Maintenance on request, while a writer may use the file.

use std::fs;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tower_mcp_store::maintenance::{Maintenance, Progress, Step};
use tower_mcp_store::{OpenErrorKind, Store};

use crate::support::{LONG, connect, contents, fixture, fresh, record_requests, value};

/// Inserts requests at 1, 2, ... milliseconds, as another program does.
fn insert(conn: &Connection, count: i64) {
    conn.execute(
        "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         SELECT hex(randomblob(16)), i, 'default', 'tools/call', 'search', 100, 'ok' FROM n",
        [count],
    )
    .unwrap();
}

/// Continues.
fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Creates a file with 20,000 requests that are older than any retention.
fn file() -> (tempfile::TempDir, std::path::PathBuf, Connection) {
    let (dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    insert(&conn, 20_000);
    (dir, path, conn)
}

const CALLS: &str = "SELECT coalesce(sum(calls), 0) FROM request_rollups WHERE width = 86400000";

fn rows_before(maintenance: &Maintenance, before: i64) -> Vec<(&'static str, u64)> {
    let due = maintenance.rows_before(before).unwrap();
    due.iter().map(|due| (due.table, due.rows)).collect()
}

#[test]
fn preview_counts_the_rows_and_changes_nothing() {
    let (dir, path, conn) = file();
    drop(conn);
    let maintenance = Maintenance::open(&path).unwrap();
    let before = contents(dir.path());
    assert_eq!(
        rows_before(&maintenance, 15_001)[..3],
        [("requests", 15_000), ("sessions", 0), ("losses", 0)]
    );
    assert!(contents(dir.path()) == before);
}

#[test]
fn pruning_removes_the_rows_and_keeps_their_statistics() {
    let (_dir, path, conn) = file();
    let maintenance = Maintenance::open(&path).unwrap();
    let mut last = None;
    let mut removals = Vec::new();
    let outcome = maintenance
        .prune(15_001, |progress| {
            if progress.step == Step::Remove {
                removals.push((progress.done, progress.total));
            }
            last = Some(progress.step);
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(outcome.rows, 15_000);
    assert!(outcome.is_complete && outcome.bytes_after < outcome.bytes_before);
    assert_eq!(value::<i64>(&conn, "SELECT min(ts) FROM requests"), 15_001);
    assert_eq!(value::<i64>(&conn, CALLS), 20_000);
    assert_eq!(removals.last(), Some(&(15_000, 15_000)));
    assert!(removals.is_sorted());
    assert_eq!(last, Some(Step::Shrink));
    let free: i64 = value(&conn, "PRAGMA freelist_count");
    assert_eq!(free, 0, "the space was given back");
}

#[test]
fn interrupted_prune_leaves_a_whole_file_and_can_continue_later() {
    let (_dir, path, conn) = file();
    insert(&conn, 50_000);
    let maintenance = Maintenance::open(&path).unwrap();
    let outcome = maintenance
        .prune(i64::MAX, |progress| match progress.step {
            Step::Remove => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .unwrap();
    assert!(!outcome.is_complete);
    let left = value::<i64>(&conn, "SELECT count(*) FROM requests");
    assert!(0 < left && left < 70_000);
    assert_eq!(outcome.rows, 70_000 - left as u64);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    let outcome = maintenance.prune(i64::MAX, on).unwrap();
    assert!(outcome.is_complete);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 0);
    assert_eq!(value::<i64>(&conn, CALLS), 70_000);
}

#[test]
fn rows_of_an_older_version_are_pruned_on_request() {
    let (_dir, path) = fixture(4);
    let maintenance = Maintenance::open(&path).unwrap();
    assert_eq!(rows_before(&maintenance, i64::MAX)[0], ("requests", 40));
    maintenance.prune(i64::MAX, on).unwrap();
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 0);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM sessions"), 0);
    assert!(value::<i64>(&conn, "SELECT count(*) FROM server_schema") > 0);
}

#[test]
fn vacuum_lets_an_older_file_shrink_while_it_is_written() {
    let (_dir, path) = fixture(4);
    let conn = connect(&path);
    insert(&conn, 20_000);
    let store = Store::open(&path).unwrap();
    let maintenance = Maintenance::open(&path).unwrap();
    let done = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                record_requests(&store, 1);
                thread::sleep(Duration::from_millis(5));
            }
        });
        maintenance.prune(1_000_000, on).unwrap();
        let sizes = maintenance.vacuum(on).unwrap();
        // The writer continues with a file of the other mode.
        maintenance.prune(i64::MAX, on).unwrap();
        done.store(true, Ordering::Relaxed);
        sizes
    });
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!(
        (stats.written, stats.failed, stats.dropped),
        (stats.submitted, 0, 0)
    );
    let before = outcome.bytes_before;
    assert!(outcome.bytes_after < before / 2, "{outcome:?}");
    // A connection from before may still return the old mode.
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, "PRAGMA auto_vacuum"), 2);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    drop((conn, maintenance));
    assert!(fs::metadata(&path).unwrap().len() < before / 2);
}

#[test]
fn file_that_tracks_its_pages_shrinks_in_slices() {
    let (_dir, path, conn) = file();
    conn.execute_batch("DELETE FROM requests").unwrap();
    let maintenance = Maintenance::open(&path).unwrap();
    let mut steps = Vec::new();
    let outcome = maintenance
        .vacuum(|progress| {
            steps.push(progress.step);
            ControlFlow::Continue(())
        })
        .unwrap();
    let after = outcome.bytes_after;
    assert!(after < outcome.bytes_before / 2, "{outcome:?}");
    assert!(steps.iter().all(|step| *step == Step::Shrink));
    assert_eq!(fs::metadata(&path).unwrap().len(), after);
}

#[test]
fn missing_file_is_not_created() {
    let (_dir, path) = fresh();
    let error = Maintenance::open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::NotFound);
    assert!(!path.exists());
}

#[test]
fn maintenance_leaves_no_row_in_writers() {
    let (_dir, path, conn) = file();
    drop(Maintenance::open(&path).unwrap());
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM losses"), 0);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM writers"), 2);
}

#[tokio::test]
async fn prune_removes_only_expired_session_records() {
    use tower_mcp_store::session_store::{SessionRecord, SessionStore};

    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let sessions = store.session_store();
    for id in 0..300 {
        let ttl = if id < 100 { Duration::ZERO } else { LONG };
        let record = SessionRecord::new("sdk", id.to_string(), "{}", ttl);
        sessions.create(&record).await.unwrap();
    }
    let conn = connect(&path);
    // Each insert removes some expired records.
    let expired = "SELECT count(*) FROM sdk_sessions WHERE expires_at < 1000 * unixepoch()";
    conn.execute_batch(
        "UPDATE sdk_sessions SET expires_at = 1 WHERE CAST(session_id AS INT) > 250",
    )
    .unwrap();
    let expired = u64::from(value::<u32>(&conn, expired));
    assert!(expired >= 49, "{expired}");
    let maintenance = Maintenance::open(&path).unwrap();
    let due = rows_before(&maintenance, i64::MAX);
    assert!(due.contains(&("sdk_sessions", expired)), "{due:?}");
    assert_eq!(maintenance.prune(i64::MAX, on).unwrap().rows, expired);
    let left = "SELECT count(*) FROM sdk_sessions";
    assert_eq!(value::<i64>(&conn, left), 300 - 100 - 49);
}
