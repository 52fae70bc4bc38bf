use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::{Figures, Group, Percentiles, StatsFilter, Tallies, cells, rows};
use crate::Store;
use crate::db::rollup::{self, Width};
use crate::query::{Reader, Window};

/// Midnight.
const START: i64 = 1_795_046_400_000;
const DAYS: i64 = 4;
const ROWS: i64 = 4_000;

/// A file with requests over some days, not in the order of their time, of
/// which the first `folded` rows are in their cells.
fn file(folded: i64) -> (tempfile::TempDir, Connection, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    let store = Store::open(&path).unwrap();
    store.shutdown(Duration::from_secs(30)).unwrap();
    let conn = Connection::open(&path).unwrap();
    insert(&conn, 0..folded);
    let fold = conn.unchecked_transaction().unwrap();
    while !rollup::fold(&fold, Instant::now() + Duration::from_secs(30))
        .unwrap()
        .is_last
    {}
    fold.commit().unwrap();
    insert(&conn, folded..ROWS);
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
                START + place * (DAYS * Width::Day.ms() / ROWS),
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

fn ask(reader: &Reader, filter: &StatsFilter, exact: bool) -> (Figures, Vec<Group>) {
    let answer = reader.read(|source| {
        let mut tallies = Tallies::new(exact);
        if exact {
            rows::add(source, filter, filter.window, &mut tallies)?;
        } else {
            cells::add(source, filter, &mut tallies)?;
        }
        Ok(tallies.finish())
    });
    answer.unwrap()
}

/// Asserts that nothing but the percentiles differs, and they by the bound.
#[track_caller]
fn assert_close(estimated: &Figures, exact: &Figures) {
    for (found, expected) in [
        (estimated.p50_us, exact.p50_us),
        (estimated.p95_us, exact.p95_us),
        (estimated.p99_us, exact.p99_us),
    ] {
        let (found, expected) = (found.unwrap_or(0) as f64, expected.unwrap_or(0) as f64);
        let bound = expected * crate::histogram::ERROR + 1.0;
        assert!((found - expected).abs() <= bound, "{found} for {expected}");
    }
    let comparable = |figures: &Figures| Figures {
        p50_us: None,
        p95_us: None,
        p99_us: None,
        ..figures.clone()
    };
    assert_eq!(comparable(estimated), comparable(exact));
}

#[test]
fn cells_rows_at_the_edges_and_rows_not_yet_folded_make_each_row_count_once() {
    let (hour, day) = (Width::Hour.ms(), Width::Day.ms());
    for folded in [0, 2_500, ROWS] {
        let (_dir, _conn, reader) = file(folded);
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
                    proxy: proxy.map(str::to_owned),
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
fn requests_that_are_no_longer_in_the_file_still_count() {
    let (_dir, conn, reader) = file(ROWS);
    let mut filter = StatsFilter::default();
    let before = reader.stats(&filter).unwrap();
    assert_eq!(before.percentiles, Percentiles::Exact);
    let two_days_later = START + 2 * Width::Day.ms();
    conn.execute("DELETE FROM requests WHERE ts < ?1", [two_days_later])
        .unwrap();
    let after = reader.stats(&filter).unwrap();
    assert!(matches!(after.percentiles, Percentiles::Estimated { .. }));
    assert_close(&after.total, &before.total);
    filter.window = Window::since(two_days_later);
    let rest = reader.stats(&filter).unwrap();
    assert_eq!(
        rest.percentiles,
        Percentiles::Exact,
        "all of these are there"
    );
}

#[test]
fn an_hour_of_which_some_requests_are_gone_is_not_told_from_the_rest() {
    let (_dir, conn, reader) = file(ROWS);
    let filter = StatsFilter::default();
    let before = reader.stats(&filter).unwrap();
    let half_an_hour_later = START + Width::Hour.ms() / 2;
    let gone = conn
        .execute("DELETE FROM requests WHERE ts < ?1", [half_an_hour_later])
        .unwrap();
    assert!(gone > 0);
    let after = reader.stats(&filter).unwrap();
    assert!(matches!(after.percentiles, Percentiles::Estimated { .. }));
    assert_close(&after.total, &before.total);
}

#[test]
fn counts_that_no_number_holds_are_told_as_the_highest() {
    let (_dir, conn, reader) = file(ROWS);
    conn.execute(
        "UPDATE request_rollups SET calls = ?1, tool_errors = ?1 WHERE status = 'timeout'",
        [i64::MAX],
    )
    .unwrap();
    let (total, groups) = ask(&reader, &StatsFilter::default(), false);
    let counts = |figures: &Figures| {
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
