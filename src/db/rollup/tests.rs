mod operations;

use std::time::Duration;

use proptest::prelude::*;

use super::names::{NAMES_PER_DAY, SUCCESSFUL_NAMES_PER_DAY};
use super::*;
use crate::db::{SCHEMA_VERSION, migrate};
use crate::histogram::Histogram;

const HOUR: i64 = BucketWidth::Hour.ms();
const DAY: i64 = BucketWidth::Day.ms();

fn file() -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
    conn
}

/// Inserts a row like a program that was written for version 4.
fn insert(conn: &Connection, ts: i64, method: &str, tool: Option<&str>, latency_us: i64) {
    conn.execute(
        "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status, bytes_in)
         VALUES (hex(randomblob(16)), ?1, 'p', ?2, ?3, ?4, 'ok', 10)",
        params![ts, method, tool, latency_us],
    )
    .unwrap();
}

fn before(before: i64) -> Span {
    let from = i64::MIN;
    Span { from, before }
}

fn roll_up_all(conn: &Connection) {
    let until = Instant::now() + Duration::from_secs(60);
    while !roll_up(conn, &mut Default::default(), LonelyLegs::Wait, until)
        .unwrap()
        .is_last
    {}
    let newest: Option<i64> = value(conn, "SELECT max(id) FROM requests");
    assert_eq!(rolled_up_to(conn).unwrap(), newest.unwrap_or(0));
    assert_sums_of_cells(conn);
}

/// `width, start, method, tool, outcome, calls, max_latency_us` of all cells.
type Line = (i64, i64, String, String, String, i64, i64);

fn cells(conn: &Connection) -> Vec<Line> {
    conn.prepare(
        "SELECT width, start, method, tool, outcome, calls, max_latency_us FROM request_rollups",
    )
    .unwrap()
    .query_map([], |row| row.try_into())
    .unwrap()
    .collect::<Result<_>>()
    .unwrap()
}

fn value<T: rusqlite::types::FromSql>(conn: &Connection, sql: &str) -> T {
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

fn latencies(conn: &Connection, width: BucketWidth) -> Histogram {
    let mut all = Histogram::default();
    let sql = "SELECT latencies FROM request_rollups WHERE width = ?1";
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query([width.ms()]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        all.merge(row.get_ref(0).unwrap().as_blob().unwrap());
    }
    all
}

#[test]
fn late_request_is_in_the_hour_and_day_of_its_time() {
    let conn = file();
    insert(&conn, 2 * DAY + 5 * HOUR, "ping", None, 100);
    roll_up_all(&conn);
    insert(&conn, 2 * DAY + 5 * HOUR - 1, "ping", None, 300);
    insert(&conn, 2 * DAY + 6 * HOUR - 1, "ping", None, 200);
    insert(&conn, -1, "ping", None, 7);
    roll_up_all(&conn);
    let line = |width, start, calls, max| {
        let (method, outcome) = ("ping".to_owned(), "ok".to_owned());
        (width, start, method, String::new(), outcome, calls, max)
    };
    assert_eq!(
        cells(&conn),
        [
            line(HOUR, -HOUR, 1, 7),
            line(HOUR, 2 * DAY + 4 * HOUR, 1, 300),
            line(HOUR, 2 * DAY + 5 * HOUR, 2, 200),
            line(DAY, -DAY, 1, 7),
            line(DAY, 2 * DAY, 3, 300),
        ]
    );
    assert_eq!(rolled_up_to(&conn).unwrap(), 4);
}

#[test]
fn stream_is_counted_and_its_duration_is_no_latency() {
    let conn = file();
    insert(&conn, 0, "subscriptions/listen", None, 90_000_000);
    conn.execute("UPDATE requests SET end_reason = 'stream_end'", [])
        .unwrap();
    roll_up_all(&conn);
    assert_eq!(
        value::<i64>(&conn, "SELECT sum(calls) FROM request_rollups"),
        2
    );
    assert_eq!(
        value::<i64>(&conn, "SELECT max(max_latency_us) FROM request_rollups"),
        0
    );
    assert_eq!(latencies(&conn, BucketWidth::Day).count(), 0);
}

#[test]
fn names_beyond_the_bound_of_a_day_share_one_cell() {
    let conn = file();
    let bound = usize::try_from(NAMES_PER_DAY).unwrap();
    conn.execute_batch("BEGIN").unwrap();
    for n in 0..bound + 300 {
        insert(&conn, 0, "tools/call", Some(&format!("made up {n:05}")), 1);
    }
    insert(&conn, 0, "made/up", None, 1);
    // A name that is known by then, and another day.
    insert(&conn, 0, "tools/call", Some("made up 00000"), 1);
    insert(&conn, DAY, "tools/call", Some("made up 09999"), 1);
    conn.execute_batch("UPDATE requests SET status = 'error'")
        .unwrap();
    roll_up_all(&conn);
    conn.execute_batch("COMMIT").unwrap();
    let named = "SELECT count(*) FROM request_rollups
                 WHERE width = 86400000 AND start = 0 AND tool LIKE 'made up%'";
    assert_eq!(value::<i64>(&conn, named), NAMES_PER_DAY);
    let other = |method: &str, tool: &str| {
        let line = cells(&conn)
            .into_iter()
            .find(|line| line.0 == DAY && line.1 == 0 && line.2 == method && line.3 == tool);
        line.map(|line| line.5)
    };
    assert_eq!(other("tools/call", OTHER), Some(300));
    assert_eq!(other(OTHER, ""), Some(1));
    assert_eq!(other("tools/call", "made up 00000"), Some(2));
    let next_day = "SELECT tool FROM request_rollups WHERE width = 86400000 AND start = 86400000";
    assert_eq!(value::<String>(&conn, next_day), "made up 09999");
}

#[test]
fn names_of_successful_calls_have_cells_beside_any_number_of_failed_ones() {
    let conn = file();
    conn.execute_batch("BEGIN").unwrap();
    for n in 0..NAMES_PER_DAY + 300 {
        insert(&conn, 0, "tools/call", Some(&format!("made up {n}")), 1);
    }
    // Both are possible answers to a call of a tool that does not exist.
    conn.execute_batch("UPDATE requests SET status = 'error' WHERE id % 2 = 0")
        .unwrap();
    conn.execute_batch("UPDATE requests SET tool_error = 1 WHERE id % 2 = 1")
        .unwrap();
    roll_up_all(&conn);
    let bound = SUCCESSFUL_NAMES_PER_DAY - NAMES_PER_DAY;
    for n in 0..bound + 50 {
        insert(&conn, 0, "tools/call", Some(&format!("in use {n}")), 1);
    }
    roll_up_all(&conn);
    insert(&conn, 0, "tools/call", Some("in use 0"), 1);
    conn.execute_batch("UPDATE requests SET status = 'error' WHERE id = last_insert_rowid()")
        .unwrap();
    roll_up_all(&conn);
    conn.execute_batch("COMMIT").unwrap();
    let calls = |tools: &str| {
        let sql = "SELECT count(DISTINCT tool) || ' ' || sum(calls) FROM request_rollups
             WHERE width = 86400000 AND tool GLOB ?1";
        conn.query_row(sql, [tools], |row| row.get::<_, String>(0))
            .unwrap()
    };
    assert_eq!(calls("made up *"), "1000 1000");
    // One place belongs to the other names.
    assert_eq!(calls("in use *"), format!("{} {bound}", bound - 1));
    assert_eq!(calls("in use 0"), "1 2", "also where one failed");
    assert_eq!(calls(OTHER), format!("1 {}", 300 + 51));
}

#[test]
fn pruned_time_of_cells_is_stored() {
    let conn = file();
    for day in 0..4 {
        insert(&conn, day * DAY + 5 * HOUR, "ping", None, 1);
    }
    roll_up_all(&conn);
    let until = Instant::now() + Duration::from_secs(60);
    let to = |width| Pruned::Cells(width).to(&conn).unwrap();
    assert_eq!(to(BucketWidth::Hour), i64::MIN);
    prune(&conn, BucketWidth::Hour, before(2 * DAY), until).unwrap();
    assert_eq!(to(BucketWidth::Hour), DAY + 6 * HOUR);
    prune(&conn, BucketWidth::Hour, before(DAY), until).unwrap();
    assert_eq!(to(BucketWidth::Hour), DAY + 6 * HOUR);
    assert_eq!(to(BucketWidth::Day), i64::MIN);
    prune(&conn, BucketWidth::Day, before(3 * DAY), until).unwrap();
    assert_eq!(to(BucketWidth::Day), 3 * DAY);
}

#[test]
fn rows_of_odd_types_and_times_are_rolled_up_too() {
    let conn = file();
    for (ts, latency) in [
        ("'soon'", "'long'"),
        ("9e99", "-5"),
        ("-9223372036854775808", "1e99"),
    ] {
        conn.execute_batch(&format!(
            "INSERT INTO requests (request_id, ts, proxy, method, latency_us, status, bytes_in)
             VALUES (hex(randomblob(16)), {ts}, x'ff', x'70696e67', {latency}, 'ok',
                 9223372036854775807)"
        ))
        .unwrap();
    }
    roll_up_all(&conn);
    assert_eq!(
        value::<i64>(
            &conn,
            "SELECT sum(calls) FROM request_rollups WHERE width = 3600000"
        ),
        3
    );
    // Of both widths, and not a float.
    assert_eq!(
        value::<i64>(&conn, "SELECT max(bytes_in) FROM request_rollups"),
        i64::MAX
    );
}

#[test]
fn slice_ends_when_its_time_is_up() {
    let conn = file();
    conn.execute_batch("BEGIN").unwrap();
    for _ in 0..200 {
        insert(&conn, 0, "ping", None, 1);
    }
    let slice = roll_up(
        &conn,
        &mut Default::default(),
        LonelyLegs::Wait,
        Instant::now(),
    )
    .unwrap();
    assert!((1..200).contains(&slice.count), "{slice:?}");
    assert!(!slice.is_last);
    roll_up_all(&conn);
    assert_eq!(
        value::<i64>(&conn, "SELECT sum(calls) FROM request_rollups"),
        400
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cells_of_either_width_hold_what_the_rows_hold(
        parts in prop::collection::vec(
            prop::collection::vec((0..3 * DAY, 0..4_u8, 0..5_000_000_i64), 0..40),
            1..4,
        ),
    ) {
        let conn = file();
        let mut expected = Histogram::default();
        for part in &parts {
            for (ts, tool, latency) in part {
                insert(&conn, *ts, "tools/call", Some(&format!("tool {tool}")), *latency);
                expected.record(*latency as u64);
            }
            roll_up(&conn, &mut Default::default(), LonelyLegs::Wait, Instant::now()).unwrap();
        }
        roll_up_all(&conn);
        for width in BucketWidth::ALL {
            let differs = format!(
                "SELECT count(*) FROM (
                     SELECT ts - ts % {ms}, proxy, method, tool, status, count(*), sum(bytes_in),
                         0, max(latency_us)
                     FROM requests GROUP BY 1, 2, 3, 4, 5
                     EXCEPT
                     SELECT start, proxy, method, tool, outcome, calls, bytes_in, bytes_out,
                         max_latency_us
                     FROM request_rollups WHERE width = {ms})",
                ms = width.ms(),
            );
            prop_assert_eq!(value::<i64>(&conn, &differs), 0);
            prop_assert_eq!(latencies(&conn, width), expected.clone());
        }
        let calls: Option<i64> = value(&conn, "SELECT sum(calls) FROM request_rollups");
        let rows: i64 = value(&conn, "SELECT count(*) FROM requests");
        prop_assert_eq!(calls.unwrap_or(0), 2 * rows);
    }
}

#[test]
fn totals_are_removed_with_their_cells() {
    let conn = file();
    for ts in [0, HOUR, DAY] {
        insert(&conn, ts, "tools/call", Some("search"), 100);
    }
    roll_up_all(&conn);
    let span = Span {
        from: 0,
        before: HOUR,
    };
    let until = Instant::now() + Duration::from_secs(60);
    prune(&conn, BucketWidth::Hour, span, until).unwrap();
    assert_sums_of_cells(&conn);
    let hours = "SELECT count(*) FROM rollup_totals WHERE width = 3600000";
    assert_eq!(value::<i64>(&conn, hours), 2);
}

#[test]
fn long_names_are_cut_with_a_hash_that_distinguishes_them() {
    for name in ["", "search", &"x".repeat(NAME_BYTES)] {
        assert_eq!(cell_name(name), name);
    }
    let long = |last: char| format!("{}{last}", "é".repeat(100));
    let cut = cell_name(&long('a')).into_owned();
    assert!(cut.len() <= NAME_BYTES && cut.starts_with("éé"), "{cut}");
    let hash = Sha256::digest(long('a'));
    let digits: String = hash
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(cut.ends_with(&format!("~{digits}")), "{cut}");
    assert_ne!(cut, cell_name(&long('b')));
    assert_eq!(
        cell_name(&cut),
        cut,
        "it can be asked for as it stands there"
    );
}

#[test]
fn calls_of_a_long_name_share_one_cell() {
    let conn = file();
    let long = "x".repeat(1000);
    for n in 0..3 {
        insert(&conn, n, "tools/call", Some(&long), 100);
        insert(&conn, n, &long, None, 100);
    }
    roll_up_all(&conn);
    let cells = cells(&conn);
    assert_eq!(cells.len(), 4);
    for (_, _, method, tool, _, calls, _) in cells {
        let name = if tool.is_empty() { method } else { tool };
        assert_eq!((name.as_str(), calls), (&*cell_name(&long), 3));
    }
}
