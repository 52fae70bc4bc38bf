use std::fs;

use rusqlite::{Connection, params};
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::{Retention, SchemaVersionEvent, Store, StoreEvent};

use super::{CALLS, DAY_MS, USED, await_value, days, end, file, insert, now};
use crate::support::{LONG, connect, fixture, fresh, value};

#[test]
fn oldest_rows_of_a_file_over_the_limit_are_removed_and_the_file_shrinks() {
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
    // An eighth of the old pages may stay free, and at least 1 MiB. Statistics have added a few
    // pages by then.
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

#[test]
fn polls_of_a_file_over_the_limit_are_removed_before_older_requests() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    let from = now() - 3_600_000;
    insert(&conn, 10_000, from, 50);
    insert(&conn, 20_000, from + 600_000, 50);
    conn.execute(
        "UPDATE requests SET method = 'tasks/get', tool = NULL WHERE ts >= ?1",
        [from + 600_000],
    )
    .unwrap();
    let limit = value::<i64>(&conn, USED) * 3 / 4;
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit as u64))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    await_value(&conn, CALLS, 30_000);
    end(&store);
    let calls = "SELECT count(*) FROM requests WHERE tool IS NOT NULL";
    assert_eq!(value::<i64>(&conn, calls), 10_000);
}

/// Returns a file of version 4 after a migration that found it large.
fn migrated() -> (tempfile::TempDir, std::path::PathBuf, Connection) {
    let (dir, path) = fixture(4);
    let conn = connect(&path);
    insert(&conn, 20_000, now() - DAY_MS, 1);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    (dir, path, conn)
}

#[test]
fn rows_of_an_older_version_do_not_count_against_the_limit() {
    let (_dir, _path, conn) = migrated();
    let stored = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'migrated_bytes'";
    let (stored, used): (i64, i64) = (value(&conn, stored), value(&conn, USED));
    // The statistics of its requests were added after the migration.
    assert!(
        (used - 65_536..=used).contains(&stored),
        "{stored} of {used}"
    );
}

#[test]
fn explicit_limit_counts_rows_of_an_older_version() {
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
fn listings_take_at_most_a_quarter_of_the_limit_and_remove_no_requests() {
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
         VALUES (3600000, ?1, 'default', 'tools/call', 'old', 'ok', 1, 1, 0, 0, 0, x'', 0, NULL)",
        [now() - 100 * DAY_MS],
    )
    .unwrap();
}

#[tokio::test]
async fn sse_events_have_a_limit_of_their_own() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};

    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 1_000, now() - 7_200_000, 7_000);
    let used: i64 = value(&conn, USED);
    // Old statistics are removed after everything above the limit.
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

    // First the limit is 1.5 times the size of the requests, and the events take three times that
    // size. Then it is a tenth, and half of the requests are younger than the events.
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

#[tokio::test]
async fn pages_of_events_and_session_records_do_not_count_against_the_limit() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};
    use tower_mcp_store::session_store::{SessionRecord, SessionStore};

    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 5_000, now() - 3_600_000, 700);
    let used: i64 = value(&conn, USED);
    let store = Store::builder(&path)
        .retention(Retention::unlimited())
        .open()
        .unwrap();
    let (events, sessions) = (store.event_store(), store.session_store());
    // Just too long for two on a page, and each in a stream of its own.
    let data = "x".repeat(2_100);
    for id in 0..1_000 {
        let name = format!("session {id:064}");
        let event = EventRecord::new(1, &*data);
        let record = SessionRecord::new("sdk", &*name, &*data, days(1));
        let (appended, saved) = tokio::join!(events.append(&name, event), sessions.save(&record));
        appended.unwrap();
        saved.unwrap();
    }
    drop((events, sessions));
    await_value(&conn, CALLS, 5_000);
    end(&store);
    let with_cells = used as u64 + used as u64 / 10;
    assert!(value::<i64>(&conn, USED) as u64 > 3 * with_cells);

    add_old_cell(&conn);
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(with_cells))
        .open()
        .unwrap();
    let round_is_done = "SELECT count(*) FROM request_rollups WHERE tool = 'old'";
    await_value(&conn, round_is_done, 0);
    end(&store);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 5_000);
    let pages = "SELECT pages FROM sse_totals";
    let counted: i64 = value(&conn, pages);
    let real = "SELECT count(*) FROM dbstat WHERE name IN ('sse_logs', 'sse_events',
        'sdk_sessions', 'idx_sse_logs_token', 'idx_sdk_sessions_expires',
        'sqlite_autoindex_sse_logs_1', 'sqlite_autoindex_sse_events_1')";
    let real: i64 = value(&conn, real);
    // Each table has a page when it is empty.
    assert!((real - 8..=real).contains(&counted), "{counted} of {real}");
}

/// Uses a quarter of the names that a day can have statistics for.
#[test]
fn statistics_of_long_names_take_at_most_a_quarter_of_the_limit() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    let (names, hours) = (250, 24);
    let sql = format!(
        "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status)
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {names} * {hours})
         SELECT printf('%036d', i), {} + i / {names} * 3600000, 'default', 'tools/call',
             printf('%01000d', i % {names}), 1000 + i % 5000, 'error' FROM n",
        now() - 24 * 3_600_000
    );
    conn.execute_batch(&sql).unwrap();
    let limit = 4_u64 << 20;
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    let cells = "SELECT sum(pgsize) FROM dbstat WHERE name = 'request_rollups'";
    // Includes the first page of the table.
    let fits = format!("SELECT ({cells}) <= {} + 4096", limit / 4);
    await_value(&conn, &fits, true);
    end(&store);
    let longest = "SELECT max(length(CAST(tool AS BLOB))) FROM request_rollups";
    assert!(value::<i64>(&conn, longest) <= 128);
    let left: i64 = value(&conn, "SELECT count(*) FROM requests");
    assert!(left > 200, "{left}");
    // The oldest hours were removed first. The rest keeps its names.
    let by_day = "SELECT count(DISTINCT tool) FROM request_rollups WHERE width = 86400000";
    assert_eq!(value::<i64>(&conn, by_day), names);
    let mut filter = tower_mcp_store::query::StatsFilter::default();
    filter.tool = Some(format!("{:01000}", 7));
    let reader = tower_mcp_store::query::Reader::open(&path).unwrap();
    let stats = reader.stats(&filter).unwrap();
    assert_eq!(stats.total.calls, hours);
    assert_eq!(stats.groups.len(), 1, "cells and requests are one group");
}

#[test]
fn requests_are_removed_uncounted_if_the_statistics_cannot_be_written() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    conn.execute_batch(
        "CREATE TRIGGER full BEFORE INSERT ON request_rollups
             BEGIN SELECT raise(ABORT, 'full'); END",
    )
    .unwrap();
    insert(&conn, 10_000, now() - 3_600_000, 50);
    let limit = value::<i64>(&conn, USED) / 2;
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit as u64))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    end(&store);
    let left: i64 = value(&conn, "SELECT count(*) FROM requests");
    assert!((1_000..9_000).contains(&left), "{left}");
    let stored = "SELECT dropped FROM losses WHERE reason = 'not_counted'";
    assert_eq!(value::<i64>(&conn, stored), 10_000 - left);
}

#[test]
fn fractional_times_do_not_switch_the_limit_off() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 10_000, now() - 3_600_000, 50);
    conn.execute_batch(
        "UPDATE requests SET ts = ts + 0.5 WHERE id % 2 = 0;
         UPDATE requests SET ts = 'yesterday' WHERE id % 1000 = 1;
         INSERT INTO sessions (session_id, proxy, started_at, last_seen_at)
             VALUES ('real', 'p', 0.5, 1.5), ('text', 'p', 1, 'now'), ('both', 'p', 'x', 'x');
         INSERT INTO schema_changes (upstream_url, method, change_type, detected_at)
             VALUES ('', 'tools/list', 'initial', 0.5), ('', 'tools/list', 'stale', 'x');
         INSERT INTO listing_views (proxy, upstream_url, method, protocol_version, content_hash,
                 seen_at)
             VALUES ('p', '', 'tools/list', '', x'00', 0.5);
         INSERT INTO listing_payloads (content_hash, bytes, payload) VALUES ('h', 1e7 + 0.5, '')",
    )
    .unwrap();
    let limit = value::<i64>(&conn, USED) / 2;
    let store = Store::builder(&path)
        .retention(Retention::unlimited().max_bytes(limit as u64))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    end(&store);
    let left = "SELECT group_concat(session_id) FROM sessions";
    assert_eq!(value::<String>(&conn, left), "both");
}

#[test]
fn inherited_rows_count_for_less_as_they_are_removed() {
    const BYTES: &str = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'migrated_bytes'";
    let (_dir, path, conn) = migrated();
    let before: i64 = value(&conn, BYTES);
    let on = |_| std::ops::ControlFlow::Continue(());
    let maintenance = Maintenance::open(&path).unwrap();
    let half = "SELECT ts FROM requests ORDER BY ts DESC LIMIT 1 OFFSET 9999";
    let half: i64 = value(&conn, half);
    maintenance.prune(half, on).unwrap();
    let left: i64 = value(&conn, "SELECT count(*) FROM requests");
    assert_eq!(left, 10_000);
    let expected = before / 20_040 * left;
    let found: i64 = value(&conn, BYTES);
    assert!(
        (found - expected).abs() < before / 100,
        "{found} of {before}"
    );
    maintenance.prune(now(), on).unwrap();
    assert_eq!(value::<i64>(&conn, BYTES), 0);
}

#[test]
fn clock_that_was_ahead_at_the_migration_does_not_protect_later_rows() {
    let migrated_at = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'migrated_at'";
    let (_dir, path) = fixture(4);
    let conn = connect(&path);
    let newest: i64 = value(
        &conn,
        "SELECT max((SELECT max(ts) FROM requests), (SELECT max(started_at) FROM sessions),
             (SELECT max(detected_at) FROM schema_changes))",
    );
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    assert_eq!(value::<i64>(&conn, migrated_at), newest + 1);
    // With rows of that time too, the store notices the wrong value once the clock is right again.
    conn.execute(
        "UPDATE meta SET value = ?1 WHERE key = 'migrated_at'",
        params![(now() + 365 * DAY_MS).to_string()],
    )
    .unwrap();
    let store = Store::open(&path).unwrap();
    await_value(&conn, migrated_at, newest + 1);
    end(&store);
    insert(&conn, 10, now() - 40 * DAY_MS, 1);
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 40);
    end(&store);
}

#[test]
fn losses_and_runs_of_writers_do_not_push_out_requests() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 2_000, now() - 3_600_000, 1_000);
    let used: i64 = value(&conn, USED);
    let day_ago = now() - DAY_MS;
    conn.execute_batch(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 20000)
         INSERT INTO losses (from_ts, to_ts, dropped, reason)
             SELECT {day_ago} + i, {day_ago} + i, 1, 'queue_full' FROM n;
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 5000)
         INSERT INTO writers (id, started_at, seen_at, ended_at)
             SELECT printf('%036d', i), {day_ago} + i, {day_ago} + i, {day_ago} + i FROM n;"
    ))
    .unwrap();
    let limit = used + 500_000;
    assert!(value::<i64>(&conn, USED) > limit + 500_000);
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit as u64))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    end(&store);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 2_000);
    let newest = "SELECT count(*) FROM losses WHERE id > 20000 - 1024";
    assert_eq!(value::<i64>(&conn, newest), 1_024, "the newest stay");
}

#[test]
fn requests_of_a_clock_that_was_ahead_are_removed_before_later_ones() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 5_000, now() + 365 * DAY_MS, 50);
    insert(&conn, 5_000, now() - 3_600_000, 50);
    let limit = value::<i64>(&conn, USED) * 7 / 10;
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit as u64))
        .open()
        .unwrap();
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    end(&store);
    let ahead = format!("SELECT count(*) FROM requests WHERE ts > {}", now());
    assert!(value::<i64>(&conn, &ahead) < 4_000);
    let later = format!("SELECT count(*) FROM requests WHERE ts < {}", now());
    assert_eq!(value::<i64>(&conn, &later), 5_000);
}
