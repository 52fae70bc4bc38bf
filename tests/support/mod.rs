//! Helpers of the tests of the store: files to start from, and queries of files.
#![allow(dead_code)] // Each test binary uses a part of it.

pub(crate) mod child;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tower_mcp_store::{RequestEvent, RequestStatus, Retention, Store, StoreEvent};

/// Longer than any step takes. Only a failing test waits for it.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Returns a new directory, and the path of a store in it.
pub(crate) fn fresh() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    (dir, path)
}

/// Returns a copy of the file that was written by `version`.
pub(crate) fn fixture(version: i64) -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    let bytes = std::fs::read(fixtures().join(format!("store-v{version}.db"))).unwrap();
    std::fs::write(&path, bytes).unwrap();
    (dir, path)
}

/// Returns the directory of the files that each version wrote.
pub(crate) fn fixtures() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut fixtures = workspace.map(|dir| dir.join("tests/fixtures"));
    fixtures.find(|dir| dir.is_dir()).unwrap()
}

/// Connects to the file as another program does.
pub(crate) fn connect(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).unwrap();
    // Not `busy_timeout`, which needs SQLite 3.44.
    conn.pragma_update(None, "busy_timeout", 30_000).unwrap();
    conn
}

/// Returns all rows of a query.
pub(crate) fn rows(conn: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = conn.prepare(sql).unwrap();
    let columns = statement.column_count();
    statement
        .query_map([], |row| (0..columns).map(|i| row.get(i)).collect())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

/// Returns the single value of a query.
pub(crate) fn value<T: rusqlite::types::FromSql>(conn: &Connection, sql: &str) -> T {
    conn.query_row(sql, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Returns the names and bytes of all entries of a directory. A directory has no bytes.
pub(crate) fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, std::fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}

/// Returns a file that holds these events.
pub(crate) fn recorded(events: impl IntoIterator<Item = StoreEvent>) -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    // The events of tests may be old.
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    for event in events {
        store.record(event);
    }
    store.shutdown(LONG).unwrap();
    (dir, path)
}

/// Returns a request as the layer records it.
pub(crate) fn request() -> RequestEvent {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
    event.tool = Some("search".into());
    event.latency_us = 1_250;
    event
}

/// Records `count` requests.
pub(crate) fn record_requests(store: &Store, count: u64) {
    for _ in 0..count {
        store.record(StoreEvent::Request(request()));
    }
}
