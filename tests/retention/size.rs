use std::fs;

use rusqlite::Connection;
use tower_mcp_store::{Retention, Store};

use super::support::{LONG, connect, fixture, fresh, value};
use super::{CALLS, DAY_MS, USED, await_value, end, file, insert, now};

#[test]
fn the_oldest_rows_of_a_file_that_is_too_large_go_and_the_file_shrinks() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    let from = now() - 3_600_000;
    insert(&conn, 40_000, from, 50);
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let before = fs::metadata(&path).unwrap().len();
    let limit = before / 2;
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit))
        .open()
        .unwrap();
    let fits = format!("SELECT ({USED}) <= {limit}");
    await_value(&conn, &fits, true);
    // An eighth of the pages may stay free, and at least 1 MiB.
    let small = limit + (limit / 7).max(1 << 20);
    await_value(
        &conn,
        &format!("SELECT page_count * 4096 <= {small} FROM pragma_page_count"),
        true,
    );
    end(&store);
    drop(conn);
    let after = fs::metadata(&path).unwrap().len();
    assert!(after <= small, "{before} to {after}, limit {limit}");
    let conn = connect(&path);
    let (rows, oldest): (i64, i64) = (
        value(&conn, "SELECT count(*) FROM requests"),
        value(&conn, "SELECT min(ts) FROM requests"),
    );
    assert!((5_000..30_000).contains(&rows), "{rows}");
    assert_eq!(oldest, from + (40_000 - rows) * 50, "the oldest rows went");
    assert_eq!(value::<i64>(&conn, CALLS), 40_000);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
}

/// Gives a file of version 4 after a migration that found it large.
fn migrated() -> (tempfile::TempDir, std::path::PathBuf, Connection) {
    let (dir, path) = fixture(4);
    let conn = connect(&path);
    insert(&conn, 20_000, now() - DAY_MS, 1);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    (dir, path, conn)
}

#[test]
fn what_an_older_version_left_does_not_count() {
    let (_dir, _path, conn) = migrated();
    let told = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'migrated_bytes'";
    let (told, used): (i64, i64) = (value(&conn, told), value(&conn, USED));
    // The cells of its requests came since.
    assert!((used - 65_536..=used).contains(&told), "{told} of {used}");
}

#[test]
fn a_limit_that_is_given_counts_what_an_older_version_left() {
    let (_dir, path, conn) = migrated();
    let limit = value::<i64>(&conn, USED) / 2;
    let store = Store::builder(&path)
        .retention(Retention::unlimited().max_bytes(limit as u64))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    end(&store);
}
