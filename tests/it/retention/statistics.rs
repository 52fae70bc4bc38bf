use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{Reader, StatsFilter, Window};
use tower_mcp_store::{Retention, Store};

use super::{CALLS, DAY_MS, USED, await_value, days, end, file, insert, now};
use crate::support::{LONG, connect, fixture, fresh, value};

const DAYS: &str = "SELECT count(DISTINCT start) FROM request_rollups WHERE width = 86400000";
const HOURS: &str = "SELECT count(DISTINCT start) FROM request_rollups WHERE width = 3600000";

#[test]
fn statistics_outlive_the_requests_and_have_a_retention_of_their_own() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    // One request a day for 500 days, the last of them yesterday.
    insert(&conn, 500, now() - 500 * DAY_MS, DAY_MS);
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 29);
    await_value(&conn, HOURS, 59);
    await_value(&conn, DAYS, 399);
    end(&store);
    assert_eq!(value::<i64>(&conn, CALLS), 399);
}

#[test]
fn removed_requests_are_counted_beside_older_inherited_requests() {
    let (_dir, path) = fixture(4);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    let migrated = format!(
        "UPDATE meta SET value = '{}' WHERE key = 'migrated_at'",
        now() - 60 * DAY_MS
    );
    conn.execute_batch(&migrated).unwrap();
    let oldest = "UPDATE requests SET ts = ts % 1000";
    conn.execute_batch(oldest).unwrap();
    insert(&conn, 55, now() - 55 * DAY_MS, DAY_MS);
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 40 + 29);
    end(&store);
    let mut filter = StatsFilter::default();
    let reader = Reader::open(&path).unwrap();
    assert_eq!(reader.stats(&filter).unwrap().total.calls, 40 + 55);
    // The window begins within an hour.
    filter.window = Window::since(now() - 40 * DAY_MS + 60_000);
    let stats = reader.stats(&filter).unwrap();
    let widened = filter.window.since - stats.window.since;
    assert!((0..3_600_000).contains(&widened), "{widened}");
    let sql = format!(
        "SELECT sum(calls) FROM request_rollups WHERE width = 3600000 AND start >= {}",
        stats.window.since
    );
    assert_eq!(stats.total.calls, value::<i64>(&conn, &sql));
}

#[test]
fn time_up_to_which_requests_are_removed_is_stored_for_every_cause() {
    const PRUNED_TO: &str = "SELECT CAST(value AS INTEGER) FROM meta
        WHERE key = 'requests_pruned_to'";
    let (_dir, path) = fresh();
    let conn = file(&path);
    let first = now() - 100 * DAY_MS;
    insert(&conn, 50_000, first, 60_000);
    let pruned_to = || {
        let oldest: i64 = value(&conn, "SELECT min(ts) FROM requests");
        oldest - 60_000 + 1
    };
    let retentions: [fn(u64) -> Retention; 2] = [
        |_| Retention::unlimited().max_age(days(90)),
        |used| Retention::unlimited().max_bytes(used / 4 * 3),
    ];
    for retention in retentions {
        let before = pruned_to();
        let retention = retention(value::<i64>(&conn, USED).unsigned_abs());
        let store = Store::builder(&path).retention(retention).open().unwrap();
        let start = std::time::Instant::now();
        while pruned_to() == before {
            assert!(start.elapsed() < LONG);
            std::thread::yield_now();
        }
        end(&store);
        let ahead = value::<i64>(&conn, PRUNED_TO) - pruned_to();
        // A slice may have been cut short.
        assert!((0..256 * 60_000).contains(&ahead), "{ahead}");
    }
    let before = now() - 70 * DAY_MS;
    let on = |_| std::ops::ControlFlow::Continue(());
    Maintenance::open(&path).unwrap().prune(before, on).unwrap();
    assert_eq!(value::<i64>(&conn, PRUNED_TO), pruned_to());
    // A prune without rows to remove does not lower the value.
    Maintenance::open(&path).unwrap().prune(first, on).unwrap();
    assert_eq!(value::<i64>(&conn, PRUNED_TO), pruned_to());
}

#[test]
fn statistics_are_not_removed_before_their_requests() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 100, now() - 100 * DAY_MS, DAY_MS);
    let keep = Retention::unlimited();
    let store = Store::builder(&path)
        .retention(keep.hourly_statistics(days(1)).daily_statistics(days(1)))
        .open()
        .unwrap();
    await_value(&conn, HOURS, 100);
    end(&store);
    let store = Store::builder(&path)
        .retention(keep.max_age(days(10)).hourly_statistics(days(1)))
        .open()
        .unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 9);
    await_value(&conn, HOURS, 9);
    end(&store);
    assert_eq!(value::<i64>(&conn, DAYS), 100);
}

#[test]
fn requests_of_an_older_file_and_of_other_programs_are_rolled_up() {
    let (_dir, path) = fixture(4);
    let store = Store::open(&path).unwrap();
    let conn = connect(&path);
    await_value(&conn, CALLS, 40);
    insert(&conn, 5, now(), 1);
    end(&store);
    let store = Store::open(&path).unwrap();
    await_value(&conn, CALLS, 45);
    end(&store);
}

#[test]
fn rolled_up_requests_are_removed_even_if_no_more_can_be_rolled_up() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 10, now() - 40 * DAY_MS, 1);
    conn.execute_batch(
        "INSERT OR REPLACE INTO meta (key, value)
             SELECT 'requests_rolled_up_to', max(id) FROM requests;
         CREATE TRIGGER full BEFORE INSERT ON request_rollups
             BEGIN SELECT raise(ABORT, 'full'); END;",
    )
    .unwrap();
    insert(&conn, 10, now() - 40 * DAY_MS, 1);
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 10_i64);
    end(&store);
}

#[test]
fn inherited_requests_do_not_keep_later_statistics() {
    let (_dir, path) = fixture(4);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    insert(&conn, 80, now() - 80 * DAY_MS, DAY_MS);
    let inherited: i64 = value(
        &conn,
        "SELECT count(DISTINCT ts / 3600000) FROM requests WHERE id <= 40",
    );
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 40 + 29);
    await_value(&conn, HOURS, inherited + 59);
    end(&store);
}
