//! Retention: which rows the file keeps, and that statistics outlive them.

mod age;
mod flood;
mod load;
mod operations;
mod size;
mod statistics;

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::FromSql;
use rusqlite::{Connection, params};
use tower_mcp_store::{Store, StoreState};

use crate::support::{self, LONG};

const DAY_MS: i64 = 24 * 3_600_000;

/// How many requests the statistics hold.
const CALLS: &str = "SELECT coalesce(sum(calls), 0) FROM request_rollups WHERE width = 86400000";

/// How many bytes of the file are in use.
const USED: &str = "SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size";

fn now() -> i64 {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

/// Creates a file with the current tables.
fn file(path: &Path) -> Connection {
    Store::open(path).unwrap().shutdown(LONG).unwrap();
    support::connect(path)
}

/// Inserts `count` requests as another program does, `step` milliseconds apart.
fn insert(conn: &Connection, count: i64, from: i64, step: i64) {
    conn.execute(
        "INSERT INTO requests (request_id, ts, proxy, session_id, method, tool, latency_us, status,
             bytes_in, bytes_out)
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
         SELECT printf('%012x-', ?2 + i * ?3) || hex(randomblob(12)), ?2 + i * ?3, 'default',
             printf('%08x', (i / 100) * 2654435761 % 4294967296), 'tools/call', 'tool ' || i % 20,
             100 + i % 5000, iif(i % 50 = 0, 'error', 'ok'), 200, 1000
         FROM n",
        params![count, from, step],
    )
    .unwrap();
}

/// Waits until `sql` returns `expected`.
#[track_caller]
fn await_value<T: FromSql + PartialEq + std::fmt::Debug>(
    conn: &Connection,
    sql: &str,
    expected: T,
) {
    let start = Instant::now();
    loop {
        let found: T = support::value(conn, sql);
        if found == expected {
            return;
        }
        let waited = start.elapsed();
        assert!(waited < LONG, "{sql}: {found:?}, not {expected:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Shuts down a store that has not failed.
fn end(store: &Store) {
    assert_eq!(store.state(), StoreState::Ready);
    store.shutdown(LONG).unwrap();
}
