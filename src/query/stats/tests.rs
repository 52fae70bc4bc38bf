pub(in crate::query) mod model;
pub(in crate::query) mod operations;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::{
    CallStats, Coverage, Group, LOOKED_AT, Methods, Percentiles, Plan, StatsFilter, count, report,
};
use crate::Store;
use crate::db::{BucketWidth, rollup};
use crate::db::{Db, LonelyLegs, PrunableTables, Span, Unshipped};
use crate::query::{Reader, Window};

pub(in crate::query) const LONG: Duration = Duration::from_secs(30);

/// Midnight.
pub(in crate::query) const START: i64 = 1_795_046_400_000;
pub(in crate::query) const DAYS: i64 = 4;
const ROWS: i64 = 4_000;

/// A file with requests of some days, not in order of time. The first `rolled_up` rows are in
/// their cells.
pub(in crate::query) fn file(rolled_up: i64) -> (tempfile::TempDir, Connection, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    let store = Store::open(&path).unwrap();
    store.shutdown(Duration::from_secs(30)).unwrap();
    let conn = Connection::open(&path).unwrap();
    insert(&conn, 0..rolled_up);
    let tx = conn.unchecked_transaction().unwrap();
    while !rollup::roll_up(
        &tx,
        &mut Default::default(),
        LonelyLegs::Wait,
        Instant::now() + Duration::from_secs(30),
    )
    .unwrap()
    .is_last
    {}
    tx.commit().unwrap();
    insert(&conn, rolled_up..ROWS);
    let reader = Reader::open(&path).unwrap();
    (dir, conn, reader)
}

fn insert(conn: &Connection, rows: std::ops::Range<i64>) {
    let tx = conn.unchecked_transaction().unwrap();
    for i in rows {
        let place = i * 7_919 % ROWS;
        tx.execute(
            "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status,
                 tool_error, end_reason, bytes_in, bytes_out)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 10, ?1)",
            params![
                i,
                START + place * (DAYS * BucketWidth::Day.ms() / ROWS),
                if i % 3 == 0 { "default" } else { "weather" },
                if i % 5 == 0 { "ping" } else { "tools/call" },
                (i % 5 != 0).then(|| format!("tool-{}", i % 4)),
                i * i,
                if i % 11 == 0 { "timeout" } else { "ok" },
                i % 13 == 0,
                (i % 17 == 0).then_some("stream_end"),
            ],
        )
        .unwrap();
    }
    tx.commit().unwrap();
}

fn ask(reader: &Reader, filter: &StatsFilter, exact: bool) -> (CallStats, Vec<Group>) {
    let answer = reader.read(|source| {
        let plan = match exact {
            true => Plan::Requests(filter.window),
            false => Coverage::of(source)?.plan(filter.window, filter.window.until),
        };
        let (tallies, _) = count(&mut { source }, filter, Methods::All, &plan)?;
        Ok(tallies.finish(filter.method.is_some()))
    });
    answer.unwrap()
}

/// Deletes the requests from before `before` that are in their cells.
pub(in crate::query) fn prune(path: &Path, before: i64) {
    let from = i64::MIN;
    let db = Db::open_to_maintain(path).unwrap();
    while !db
        .prune(
            PrunableTables::All,
            Unshipped::Keep,
            Span { from, before },
            LONG,
            deadline(),
        )
        .unwrap()
        .is_last
    {}
}

pub(in crate::query) fn deadline() -> Instant {
    Instant::now() + LONG
}

/// Asserts that only the percentiles differ, and those within the bound.
#[track_caller]
fn assert_close(estimated: &CallStats, exact: &CallStats) {
    for (found, expected) in [
        (estimated.p50_us, exact.p50_us),
        (estimated.p95_us, exact.p95_us),
        (estimated.p99_us, exact.p99_us),
        (estimated.wall_p50_us, exact.wall_p50_us),
        (estimated.wall_p95_us, exact.wall_p95_us),
        (estimated.wall_p99_us, exact.wall_p99_us),
    ] {
        let (found, expected) = (found.unwrap_or(0) as f64, expected.unwrap_or(0) as f64);
        let bound = expected * crate::histogram::ERROR + 1.0;
        assert!((found - expected).abs() <= bound, "{found} for {expected}");
    }
    let comparable = |figures: &CallStats| CallStats {
        p50_us: None,
        p95_us: None,
        p99_us: None,
        wall_p50_us: None,
        wall_p95_us: None,
        wall_p99_us: None,
        ..figures.clone()
    };
    assert_eq!(comparable(estimated), comparable(exact));
}

#[test]
fn cells_edges_and_rows_not_rolled_up_count_each_row_once() {
    let (hour, day) = (BucketWidth::Hour.ms(), BucketWidth::Day.ms());
    for rolled_up in [0, 2_500, ROWS] {
        let (_dir, _conn, reader) = file(rolled_up);
        for (since, until) in [
            (i64::MIN, i64::MAX),
            (START, START + DAYS * day),
            (START + 1, START + DAYS * day - 1),
            (START + 20 * hour + 1, START + 2 * day + 5 * hour + 7),
            (START + hour, START + 3 * hour),
            (START + hour + 1, START + 2 * hour - 1),
            (START + day / 2, i64::MAX),
            (i64::MAX, i64::MIN),
        ] {
            for (proxy, method, tool) in [
                (None, None, None),
                (Some("weather"), None, None),
                (None, Some("ping"), None),
                (Some("default"), None, Some("tool-2")),
            ] {
                let filter = StatsFilter {
                    window: Window { since, until },
                    server_name: proxy.map(str::to_owned),
                    method: method.map(str::to_owned),
                    tool: tool.map(str::to_owned),
                };
                let (total, groups) = ask(&reader, &filter, false);
                let (exact_total, exact_groups) = ask(&reader, &filter, true);
                assert_close(&total, &exact_total);
                assert_eq!(groups.len(), exact_groups.len());
                for (group, exact) in groups.iter().zip(&exact_groups) {
                    assert_eq!((&group.method, &group.tool), (&exact.method, &exact.tool));
                    assert_close(&group.figures, &exact.figures);
                }
            }
        }
    }
}

#[test]
fn removed_requests_still_count() {
    let (dir, _conn, reader) = file(ROWS);
    let mut filter = StatsFilter::default();
    let before = reader.stats(&filter).unwrap();
    assert_eq!(before.percentiles, Percentiles::Exact);
    // Half an hour into the third day.
    let noted = START + 2 * BucketWidth::Day.ms() + BucketWidth::Hour.ms() / 2;
    prune(&dir.path().join("mcp.db"), noted);
    let after = reader.stats(&filter).unwrap();
    assert!(matches!(after.percentiles, Percentiles::Estimated { .. }));
    assert_close(&after.total, &before.total);
    assert_eq!(after.window, Window::ALL);
    filter.window = Window::since(noted);
    let rest = reader.stats(&filter).unwrap();
    assert_eq!(
        (rest.percentiles, rest.window),
        (Percentiles::Exact, filter.window),
        "all of these are there"
    );
}

#[test]
fn kept_old_requests_do_not_hide_that_younger_ones_are_gone() {
    let (dir, conn, reader) = file(ROWS);
    let filter = StatsFilter::default();
    let before = reader.stats(&filter).unwrap();
    let span = Span {
        from: START + BucketWidth::Day.ms(),
        before: START + 2 * BucketWidth::Day.ms(),
    };
    let db = Db::open_to_maintain(&dir.path().join("mcp.db")).unwrap();
    while !db
        .prune(PrunableTables::All, Unshipped::Keep, span, LONG, deadline())
        .unwrap()
        .is_last
    {}
    let oldest = "SELECT min(ts) FROM requests";
    let oldest: i64 = conn.query_row(oldest, [], |row| row.get(0)).unwrap();
    assert_eq!(oldest, START);
    let after = reader.stats(&filter).unwrap();
    assert!(matches!(after.percentiles, Percentiles::Estimated { .. }));
    assert_close(&after.total, &before.total);
}

/// Returns a file with three groups of requests. One call of an unknown tool each second,
/// 1,300 in all. Within the next four hours, 300 failed calls of `late` and 300 calls of
/// `search`, half of them successful. A day later, more requests than are read one by
/// one.
pub(in crate::query) fn flooded() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(&format!(
        "BEGIN;
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1299)
         INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status)
         SELECT hex(randomblob(16)), {START} + 1000 * i, 'default', 'tools/call', 'made up ' || i,
             1, 'error' FROM n;
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 599)
         INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status)
         SELECT hex(randomblob(16)), {START} + 3600000 + 24000 * i, 'default', 'tools/call',
             iif(i % 2, 'late', 'search'), 1, iif(i % 4, 'error', 'ok') FROM n;
         WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {LOOKED_AT})
         INSERT INTO requests (request_id, ts, proxy, method, latency_us, status)
         SELECT hex(randomblob(16)), {START} + 86400000 + i, 'default', 'ping', 1, 'ok' FROM n;
         COMMIT;"
    ))
    .unwrap();
    let db = Db::open_to_maintain(&path).unwrap();
    while !db
        .roll_up(LonelyLegs::Wait, LONG, deadline())
        .unwrap()
        .is_last
    {}
    (dir, path)
}

#[test]
fn tool_without_a_cell_is_counted_from_its_remaining_requests() {
    let (_dir, path) = flooded();
    let reader = Reader::open(&path).unwrap();
    let reported = |tool: Option<&str>| {
        let filter = StatsFilter {
            tool: tool.map(str::to_owned),
            ..StatsFilter::default()
        };
        let stats = reader.stats(&filter).unwrap();
        let exact = stats.percentiles == Percentiles::Exact;
        (stats.total.calls, stats.other_calls, exact)
    };
    let all = 1_300 + 600 + LOOKED_AT + 1;
    assert_eq!(reported(None), (all, 0, false));
    assert_eq!(reported(Some("late")), (300, 0, true));
    assert_eq!(reported(Some("search")), (300, 0, true));
    assert_eq!(reported(Some("never")), (0, 0, true));

    // Half of the four hours, and a part of the next, which only a cell counts.
    prune(&path, START + 7 * BucketWidth::Hour.ms() / 2);
    assert_eq!(reported(None), (all, 0, false));
    // Its successful calls gave it a name.
    assert_eq!(reported(Some("search")), (300, 300 + 225, false));
    assert_eq!(reported(Some("late")), (75, 300 + 225, false));

    prune(&path, START + BucketWidth::Day.ms());
    assert_eq!(reported(Some("late")), (0, 600, false));
    assert_eq!(reported(Some("made up 7")), (1, 600, false));
    assert_eq!(reported(Some("(other)")), (600, 0, false));
    let filter = StatsFilter {
        method: Some("tools/call".to_owned()),
        ..StatsFilter::default()
    };
    let calls = reader.stats(&filter).unwrap();
    assert_eq!((calls.total.calls, calls.other_calls), (1_900, 0));
}

#[test]
fn overflowing_counts_saturate() {
    let (_dir, conn, reader) = file(ROWS);
    conn.execute(
        "UPDATE request_rollups SET calls = ?1, ended = ?1 WHERE outcome IN ('timeout', 'tool_error')",
        [i64::MAX],
    )
    .unwrap();
    let (total, groups) = ask(&reader, &StatsFilter::default(), false);
    let counts = |figures: &CallStats| {
        [
            figures.calls,
            figures.errors,
            figures.timeouts,
            figures.tool_errors,
        ]
    };
    assert_eq!(counts(&total), [i64::MAX; 4]);
    assert!(
        groups
            .iter()
            .any(|group| counts(&group.figures) == [i64::MAX; 4])
    );
}

#[test]
fn removed_polls_leave_the_percentiles_of_other_requests_exact() {
    let (dir, conn, reader) = file(ROWS);
    let filter = StatsFilter::default();
    let before = reader.stats(&filter).unwrap();
    let db = Db::open_to_maintain(&dir.path().join("mcp.db")).unwrap();
    let noted = START + 2 * BucketWidth::Day.ms();
    let (from, until) = (i64::MIN, noted);
    while !db
        .prune_polls(
            Span {
                from,
                before: until,
            },
            LONG,
            deadline(),
        )
        .unwrap()
        .is_last
    {}
    let left = "SELECT count(*) FROM requests WHERE method = 'ping' AND ts < ?1";
    let left: i64 = conn.query_row(left, [noted], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    let after = reader.stats(&filter).unwrap();
    assert_eq!(after.percentiles, Percentiles::Exact);
    assert_eq!(after.total, before.total);
    for (after, before) in after.groups.iter().zip(&before.groups) {
        match after.method.as_str() {
            "ping" => assert_close(&after.figures, &before.figures),
            _ => assert_eq!(after, before),
        }
    }
    // Only the polls are those of whole hours.
    let filter = StatsFilter::new().window(Window::since(START + 1));
    let part = reader.stats(&filter).unwrap();
    assert_eq!(part.window, filter.window);
    assert_eq!(part.polls, Window::since(START));
    let pings = reader.stats(&filter.method("ping")).unwrap();
    assert!(matches!(pings.percentiles, Percentiles::Estimated { .. }));
    assert_eq!(pings.window, Window::since(START));
    assert!(pings.total.p50_us.is_some());
}
