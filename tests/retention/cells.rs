use tower_mcp_store::{Retention, Store};

use super::support::{fresh, value};
use super::{CALLS, DAY_MS, await_value, days, end, file, insert, now};

const DAYS: &str = "SELECT count(DISTINCT start) FROM request_rollups WHERE width = 86400000";
const HOURS: &str = "SELECT count(DISTINCT start) FROM request_rollups WHERE width = 3600000";

#[test]
fn statistics_outlive_the_requests_by_their_own_retention() {
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
fn no_cell_goes_before_the_requests_that_are_in_it() {
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
fn requests_of_an_older_file_and_of_other_programs_are_folded_too() {
    let (_dir, path) = super::support::fixture(4);
    let store = Store::open(&path).unwrap();
    let conn = super::support::connect(&path);
    await_value(&conn, CALLS, 40);
    insert(&conn, 5, now(), 1);
    end(&store);
    let store = Store::open(&path).unwrap();
    await_value(&conn, CALLS, 45);
    end(&store);
}

#[test]
fn what_is_folded_goes_also_when_nothing_more_can_be_folded() {
    let (_dir, path) = fresh();
    let conn = file(&path);
    insert(&conn, 10, now() - 40 * DAY_MS, 1);
    conn.execute_batch(
        "INSERT OR REPLACE INTO meta (key, value)
             SELECT 'requests_folded_to', max(id) FROM requests;
         CREATE TRIGGER full BEFORE INSERT ON request_rollups
             BEGIN SELECT raise(ABORT, 'full'); END;",
    )
    .unwrap();
    insert(&conn, 10, now() - 40 * DAY_MS, 1);
    let store = Store::open(&path).unwrap();
    await_value(&conn, "SELECT count(*) FROM requests", 10_i64);
    end(&store);
}
