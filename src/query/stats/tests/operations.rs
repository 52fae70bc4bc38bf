//! Operations of several requests, and tasks, count the same from rows and from cells.

use proptest::prelude::*;
use rusqlite::{Connection, params};

use super::{DAYS, LONG, START, ask, assert_close, deadline};
use crate::Store;
use crate::db::{BucketWidth, Db, LonelyLegs};
use crate::query::{Reader, StatsFilter, Window};

/// An operation: when it begins, its number of rounds, whether it has ended, whether it
/// has a task, and the time between two requests.
pub(in crate::query) type Operation = (i64, i64, bool, bool, i64);

pub(in crate::query) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let all = 0..DAYS * BucketWidth::Day.ms();
    // Often over the edge of a cell.
    let edges = (1..DAYS * 24).prop_map(|hour| hour * BucketWidth::Hour.ms() - 1);
    let ts = prop_oneof![all, edges];
    let operation = (ts, 1..4_i64, any::<bool>(), any::<bool>(), 0..90_000_i64);
    prop::collection::vec(operation, 1..20)
}

pub(in crate::query) fn insert(conn: &Connection, from: usize, operations: &[Operation]) {
    for (i, (after, rounds, has_ended, has_task, gap)) in operations.iter().enumerate() {
        let (first, ts) = (format!("{}-1", from + i), START + after);
        let is_linked = *rounds > 1 || *has_task || !has_ended;
        for leg in 1..=*rounds {
            let is_last = leg == *rounds;
            let end_reason = match (is_last, has_task, has_ended) {
                (true, true, _) => Some("task"),
                (true, false, true) => None,
                _ => Some("input_required"),
            };
            let is_end = is_linked && end_reason.is_none();
            conn.execute(
                "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status,
                     bytes_in, operation_id, leg, end_reason, operation_us)
                 VALUES (?1, ?2, 'default', 'tools/call', ?3, ?4, ?5, 7, ?6, ?7, ?8, ?9)",
                params![
                    format!("{}-{leg}", from + i),
                    ts + (leg - 1) * gap,
                    format!("tool-{}", i % 3),
                    1000 * leg,
                    if i % 4 == 0 && end_reason.is_none() {
                        "error"
                    } else {
                        "ok"
                    },
                    is_linked.then_some(&first),
                    is_linked.then_some(leg),
                    end_reason,
                    is_end.then_some(500 * rounds * (rounds + 1)),
                ],
            )
            .unwrap();
        }
        if *has_task {
            let ended = has_ended.then_some(ts + 10 * gap);
            conn.execute(
                "INSERT INTO tasks (operation_id, task_id, updated_ts, ended_ts, outcome)
                 VALUES (?1, ?1, 0, ?2, ?3)",
                params![first, ended, has_ended.then_some("ok")],
            )
            .unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn operations_count_the_same_from_rows_and_from_cells(
        rolled_up in operations(),
        newer in operations(),
        windows in prop::collection::vec((0..DAYS * 24, 0..DAYS * 24, -1..=1_i64), 6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        let conn = Connection::open(&path).unwrap();
        insert(&conn, 0, &rolled_up);
        let db = Db::open_to_maintain(&path).unwrap();
        while !db.roll_up(LonelyLegs::Wait, LONG, deadline()).unwrap().is_last {}
        // Some outcomes are refined after they were counted, and some tasks end later.
        conn.execute_batch(
            "UPDATE tasks SET outcome = 'tool_error' WHERE outcome = 'ok' AND operation_id < '5'",
        )
        .unwrap();
        conn.execute(
            "UPDATE tasks SET ended_ts = ?1, outcome = 'gone'
             WHERE ended_ts IS NULL AND operation_id < '5'",
            [START + BucketWidth::Day.ms()],
        )
        .unwrap();
        insert(&conn, rolled_up.len(), &newer);
        let reader = Reader::open(&path).unwrap();
        let calls: i64 = (rolled_up.len() + newer.len()).try_into().unwrap();
        let (total, _) = ask(&reader, &StatsFilter::new(), true);
        prop_assert_eq!(total.calls, calls);
        for (a, b, off) in windows {
            let hour = BucketWidth::Hour.ms();
            let [since, until] = [a.min(b), a.max(b)].map(|at| START + at * hour + off);
            let filter = StatsFilter::new().window(Window { since, until });
            let (cells, cell_groups) = ask(&reader, &filter, false);
            let (exact, groups) = ask(&reader, &filter, true);
            assert_close(&cells, &exact);
            let empty = |group: &&super::Group| group.figures == super::CallStats::default();
            let cell_groups = Vec::from_iter(cell_groups.iter().filter(|group| !empty(group)));
            prop_assert_eq!(cell_groups.len(), groups.len());
            for (cells, exact) in cell_groups.iter().zip(&groups) {
                prop_assert_eq!(&cells.tool, &exact.tool);
                assert_close(&cells.figures, &exact.figures);
            }
        }
    }
}
