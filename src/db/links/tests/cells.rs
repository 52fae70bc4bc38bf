//! The cells of the statistics count what the rows count, whenever legs are linked.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::properties::{gives, interleave, operation, turns, with_sessions};
use super::{File, call, state};
use crate::clock;
use crate::db::rollup::LonelyLegs;

const CELLS: &str = "SELECT coalesce(sum(calls), 0), coalesce(sum(ended), 0),
        coalesce(max(max_latency_us), 0)
    FROM request_rollups WHERE width = 86400000";

const ROWS: &str = "SELECT count(*) FILTER (WHERE coalesce(leg, 1) = 1), count(us),
        coalesce(max(us), 0)
    FROM (SELECT leg, CASE
            WHEN leg IS NOT NULL THEN operation_us
            WHEN end_reason IS NULL THEN latency_us
        END AS us
        FROM requests)";

impl File {
    fn roll_up(&self, lonely: LonelyLegs) {
        let until = Instant::now() + Duration::from_secs(60);
        while !self
            .db
            .roll_up(lonely, Duration::ZERO, until)
            .unwrap()
            .is_last
        {}
    }

    /// Returns the number of calls, the number of ends, and the longest time of a call.
    fn counts(&self, sql: &str) -> (i64, i64, i64) {
        let row = |row: &rusqlite::Row<'_>| row.try_into();
        self.reader.query_row(sql, [], row).unwrap()
    }
}

/// Returns a time so late that a leg which may still be linked is not rolled up.
fn recently() -> i64 {
    clock::unix_ms() - 30_000
}

#[test]
fn end_that_is_rolled_up_stays_the_end_when_an_earlier_final_leg_is_linked() {
    let mut file = File::new();
    let now = recently();
    file.request(call(now, None, state("a")));
    // The client sends the second leg again, which ends the operation.
    file.request(call(now + 300, state("a"), None));
    file.roll_up(LonelyLegs::Wait);
    // Another process commits its rows later.
    file.request(call(now + 200, state("b"), None));
    file.request(call(now + 100, state("a"), state("b")));
    assert_eq!(file.legs(), [Some(1), Some(2), Some(3), Some(4)]);
    file.roll_up(LonelyLegs::RollUp);
    assert_eq!(file.counts(ROWS), (1, 1, 20_000));
    assert_eq!(file.counts(CELLS), (1, 1, 20_000));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cells_count_what_rows_count_if_rows_are_committed_out_of_order(
        operations in prop::collection::vec(operation(gives()), 1..7),
        order in prop::collection::vec(any::<prop::sample::Index>(), 30),
        delays in prop::collection::vec(0..6_u8, 30),
        roll_ups in prop::collection::vec(any::<bool>(), 30),
    ) {
        let mut file = with_sessions();
        let now = recently();
        let events = interleave(&operations, &order);
        for at in turns(events.len(), &delays) {
            let mut event = events[at].1.clone();
            event.ts += now;
            file.request(event);
            if roll_ups[at] {
                file.roll_up(LonelyLegs::Wait);
            }
        }
        file.roll_up(LonelyLegs::RollUp);
        prop_assert_eq!(file.counts(CELLS), file.counts(ROWS));
    }
}
