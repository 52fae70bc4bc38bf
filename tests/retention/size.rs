use std::fs;

use rusqlite::Connection;
use tower_mcp_store::{Retention, SchemaVersionEvent, Store, StoreEvent};

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
    // An eighth of the pages that it had may stay free, and at least 1 MiB; it has
    // a few more by then, for statistics.
    let small = limit + (before / 7).max(1 << 20);
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

#[test]
fn listings_take_a_quarter_of_the_limit_at_most_and_leave_traffic_alone() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 2_000, now() - DAY_MS, 1);
    let limit = 4_000_000;
    let store = Store::builder(&path)
        .retention(Retention::unlimited())
        .open()
        .unwrap();
    let description = "x".repeat(50_000);
    for version in 0..100 {
        let payload = format!(r#"{{"tools":[{{"name":"a","v":{version},"d":"{description}"}}]}}"#);
        let hash = format!("hash {version}");
        let mut event = SchemaVersionEvent::new("tools/list", payload, hash);
        event.ts = now() + version;
        store.record(StoreEvent::SchemaVersion(event));
    }
    store.flush(LONG).unwrap();
    store.shutdown(LONG).unwrap();
    let kept = "SELECT sum(bytes) FROM listing_payloads";
    let real = "SELECT sum(length(CAST(payload AS BLOB))) FROM listing_payloads";
    assert_eq!(value::<i64>(&conn, kept), value::<i64>(&conn, real));
    assert!(value::<i64>(&conn, kept) > 4_900_000);

    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({kept}) <= {}", limit / 4), true);
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    end(&store);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 2_000);
    assert!(
        value::<i64>(&conn, kept) > 800_000,
        "no more than had to go"
    );
    let now = "SELECT p.content_hash FROM server_schema s
        JOIN listing_payloads p ON p.content_hash = s.schema_hash";
    assert_eq!(value::<String>(&conn, now), "hash 99", "the newest stays");
    let oldest = "SELECT content_hash FROM listing_views ORDER BY id LIMIT 1";
    let changes = "SELECT new_hash FROM schema_changes ORDER BY id LIMIT 1";
    assert_eq!(
        value::<String>(&conn, oldest),
        value::<String>(&conn, changes),
        "changes go with what they led to"
    );
}

fn add_old_cell(conn: &Connection) {
    conn.execute(
        "INSERT INTO request_rollups
         VALUES (3600000, ?1, 'default', 'tools/call', 'old', 'ok', 1, 0, 0, 0, 0, x'')",
        [now() - 100 * DAY_MS],
    )
    .unwrap();
}

#[tokio::test]
async fn events_for_resumption_have_a_bound_of_their_own() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};

    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 1_000, now() - 7_200_000, 7_000);
    let used: i64 = value(&conn, USED);
    // Statistics that are too old go after all that is too much.
    let old_cell = "FROM request_rollups WHERE tool = 'old'";
    add_old_cell(&conn);
    let store = Store::builder(&path)
        .retention(Retention::unlimited())
        .open()
        .unwrap();
    let events = store.event_store();
    let data = "x".repeat(10_000);
    for id in 1..=100 {
        let event = EventRecord::new(id, &*data);
        events.append("s", event).await.unwrap();
    }
    drop(events);
    end(&store);

    // Half as much again, where the events take three times as much; then hardly
    // anything, and half of the requests are younger than the events.
    for (part, least, most) in [(1.5, 1_000, 1_000), (0.1, 0, 500)] {
        conn.execute_batch("UPDATE sse_events SET n = n - 1000000 * 3600")
            .unwrap();
        let limit = (used as f64 * part) as u64;
        let store = Store::builder(&path)
            .retention(Retention::default().max_bytes(limit))
            .open()
            .unwrap();
        let size_is_done = format!("SELECT count(*) {old_cell}");
        await_value(&conn, &size_is_done, 0);
        end(&store);
        let requests: i64 = value(&conn, "SELECT count(*) FROM requests");
        assert!((least..=most).contains(&requests), "{part}: {requests}");
        assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM sse_events"), 100);
        add_old_cell(&conn);
    }
}
