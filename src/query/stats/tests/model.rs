//! After any sequence of writing, rolling up and pruning, statistics equal those of a
//! simple computation over all written requests.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::{DAYS, LONG, START, assert_close, deadline, report};
use crate::Store;
use crate::db::pruned::Pruned;
use crate::db::rollup::assert_sums_of_cells;
use crate::db::{BucketWidth, Db, LonelyLegs, PrunableTables, Span, Unshipped};
use crate::query::{CallStats, Percentiles, Reader, StatsFilter, Window};

/// A file without requests.
pub(in crate::query) static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    fs::read(&path).unwrap()
});

/// A step of the sequence.
#[derive(Debug, Clone)]
pub(in crate::query) enum Step {
    /// Writes requests: their times, tools and outcomes.
    Write(Vec<(i64, u8, bool, i64)>),
    RollUp,
    /// Deletes the requests between two times.
    Prune(i64, i64),
    /// Deletes the polls before a time.
    PrunePolls(i64),
    /// Deletes cells before a time.
    PruneCells(BucketWidth, i64),
    /// Deletes the oldest cells until they take this number of pages.
    ShortenCells(u64),
}

pub(in crate::query) fn moments() -> impl Strategy<Value = i64> {
    // Often near the edge of a cell.
    let hours =
        (0..DAYS * 24, -1..=1_i64).prop_map(|(hour, ms)| hour * BucketWidth::Hour.ms() + ms);
    let all = 0..DAYS * BucketWidth::Day.ms();
    prop_oneof![all, hours].prop_map(|after| START + after)
}

pub(in crate::query) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let row = (moments(), 0..3_u8, any::<bool>(), 0..5_000_000_i64);
    let step = prop_oneof![
        3 => prop::collection::vec(row, 1..40).prop_map(Step::Write),
        2 => Just(Step::RollUp),
        2 => moments().prop_map(|before| Step::Prune(i64::MIN, before)),
        1 => (moments(), moments()).prop_map(|(from, before)| Step::Prune(from, before)),
        2 => moments().prop_map(Step::PrunePolls),
        2 => (prop_oneof![Just(BucketWidth::Hour), Just(BucketWidth::Day)], moments())
            .prop_map(|(width, before)| Step::PruneCells(width, before)),
        1 => (0..12_u64).prop_map(Step::ShortenCells),
    ];
    prop::collection::vec(step, 1..12)
}

/// Runs the steps and returns all recorded requests.
pub(in crate::query) fn happen(path: &Path, steps: &[Step]) -> Connection {
    let db = Db::open_to_maintain(path).unwrap();
    let conn = Connection::open(path).unwrap();
    let truth = Connection::open_in_memory().unwrap();
    let insert = "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status,
             bytes_in)
         VALUES (hex(randomblob(16)), ?1, 'default', ?2, ?3, ?4, ?5, 10)";
    truth
        .execute_batch(
            "CREATE TABLE requests (request_id, ts, proxy, method, tool, latency_us, status,
                 bytes_in)",
        )
        .unwrap();
    for step in steps {
        match step {
            Step::Write(rows) => {
                let write = conn.unchecked_transaction().unwrap();
                for (ts, tool, ok, latency) in rows {
                    let (method, tool) = match tool {
                        0 => ("ping", None),
                        other => ("tools/call", Some(format!("tool-{other}"))),
                    };
                    let status = if *ok { "ok" } else { "error" };
                    for conn in [&conn, &truth] {
                        let row = params![ts, method, tool, latency, status];
                        conn.execute(insert, row).unwrap();
                    }
                }
                write.commit().unwrap();
            }
            // In several slices.
            Step::RollUp => drop(db.roll_up(LonelyLegs::Wait, LONG, Instant::now()).unwrap()),
            Step::Prune(from, before) => {
                let (from, before) = (*from, *before);
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
            Step::PrunePolls(before) => {
                let (from, before) = (i64::MIN, *before);
                while !db
                    .prune_polls(Span { from, before }, LONG, deadline())
                    .unwrap()
                    .is_last
                {}
            }
            Step::PruneCells(width, before) => {
                let (from, before) = (i64::MIN, *before);
                while !db
                    .prune_cells(*width, Span { from, before }, LONG, deadline())
                    .unwrap()
                    .is_last
                {}
            }
            Step::ShortenCells(pages) => {
                while !db
                    .shorten_cells(pages * 4096, LONG, deadline())
                    .unwrap()
                    .is_last
                {}
            }
        }
    }
    assert_sums_of_cells(&conn);
    truth
}

/// Computes the statistics of the requests of a window in the simplest way. Polls are
/// those of another window.
fn plainly(truth: &Connection, filter: &StatsFilter, polls: Window) -> CallStats {
    let mut statement = truth
        .prepare(
            "SELECT latency_us, status <> 'ok', bytes_in, method = 'ping' FROM requests
             WHERE ts >= iif(method = 'ping', ?4, ?1) AND ts < iif(method = 'ping', ?5, ?2)
                 AND (?3 IS NULL OR tool = ?3)
             ORDER BY latency_us",
        )
        .unwrap();
    let Window { since, until } = filter.window;
    let values = params![since, until, filter.tool, polls.since, polls.until];
    let rows: Vec<(i64, i64, i64, bool)> = statement
        .query_map(values, |row| row.try_into())
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let latencies: Vec<i64> = rows.iter().filter(|row| !row.3).map(|row| row.0).collect();
    let rank = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).max(1);
        latencies.get(rank - 1).copied()
    };
    CallStats {
        calls: rows.len() as i64,
        errors: rows.iter().map(|row| row.1).sum(),
        bytes_in: rows.iter().map(|row| row.2).sum(),
        p50_us: rank(50),
        p95_us: rank(95),
        p99_us: rank(99),
        max_us: rank(100),
        wall_p50_us: rank(50),
        wall_p95_us: rank(95),
        wall_p99_us: rank(99),
        wall_max_us: rank(100),
        ..CallStats::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn statistics_are_those_of_the_recorded_requests_in_the_reported_window(
        steps in steps(),
        windows in prop::collection::vec((moments(), moments(), any::<bool>()), 8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        fs::write(&path, &*EMPTY).unwrap();
        let truth = happen(&path, &steps);
        let conn = Connection::open(&path).unwrap();
        let reader = Reader::open(&path).unwrap();
        let pruned_to = |what: Pruned| what.to(&conn).unwrap();
        let rows_from = pruned_to(Pruned::Requests);
        let hours_from = pruned_to(Pruned::Cells(BucketWidth::Hour));
        let days_from = pruned_to(Pruned::Cells(BucketWidth::Day));
        for (a, b, of_tool) in windows {
            let asked = Window { since: a.min(b), until: a.max(b) };
            let mut filter = StatsFilter {
                window: asked,
                tool: of_tool.then(|| "tool-1".to_owned()),
                ..StatsFilter::default()
            };
            let stats = reader.stats(&filter).unwrap();
            filter.window = stats.window;
            let expected = plainly(&truth, &filter, stats.polls);
            assert_close(&stats.total, &expected);
            // Also by cells, as if there were too many requests to read each.
            let estimated = reader.read(|source| report(&mut { source }, &filter, -1)).unwrap();
            prop_assert_eq!(estimated.window, stats.window);
            let expected = plainly(&truth, &filter, estimated.polls);
            assert_close(&estimated.total, &expected);
            let calls: i64 = stats.groups.iter().map(|group| group.figures.calls).sum();
            prop_assert_eq!(calls, stats.total.calls);
            // Each pruned request was before this time.
            if asked.since >= rows_from || asked.since == asked.until {
                prop_assert_eq!(stats.window, asked);
            }
            if asked.since >= rows_from {
                prop_assert_eq!(stats.percentiles, Percentiles::Exact);
                let expected = plainly(&truth, &filter, stats.polls);
                prop_assert_eq!(stats.total, expected);
            }
            // It grows at most by the cells at its ends, and not less if they exist.
            let wider = |width: BucketWidth| {
                let (since, until) = (asked.since, asked.until);
                let (reported, ms) = (stats.window, width.ms());
                reported.since <= since && reported.since > since - ms
                    && reported.until >= until && reported.until < until + ms
            };
            if hours_from == i64::MIN {
                prop_assert!(wider(BucketWidth::Hour), "{:?} for {asked:?}", stats.window);
            } else if days_from == i64::MIN {
                prop_assert!(wider(BucketWidth::Day), "{:?} for {asked:?}", stats.window);
            }
        }
    }
}
