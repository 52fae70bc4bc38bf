//! Timelines equal the statistics of the same times, after any sequence of writing, rolling
//! up and pruning.

use std::fs;

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::super::stats::tests::model::{EMPTY, happen, moments, steps};
use super::super::super::stats::tests::operations::{insert, operations};
use super::super::super::stats::tests::{DAYS, LONG, START, deadline, prune};
use super::super::layout::{aligned, fitting};
use super::super::{LOOKED_AT, Timeline};
use super::{DAY, HOUR, ask, assert_as_statistics, sums};
use crate::Store;
use crate::db::{Db, LonelyLegs};
use crate::query::{Reader, TimelineFilter, Window};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn buckets_count_what_statistics_count_after_any_pruning(
        steps in steps(),
        asked in prop::collection::vec(
            (moments(), moments(), any::<bool>(), 1..40_usize), 2),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        fs::write(&path, &*EMPTY).unwrap();
        happen(&path, &steps);
        let reader = Reader::open(&path).unwrap();
        for (a, b, of_tool, buckets) in asked {
            let filter = TimelineFilter {
                window: Window { since: a.min(b), until: a.max(b) },
                tool: of_tool.then(|| "tool-1".to_owned()),
                buckets: Some(buckets),
                groups: Some(3),
                ..TimelineFilter::default()
            };
            for few in [LOOKED_AT, -1] {
                let timeline = ask(&reader, &filter, few);
                prop_assert!(timeline.buckets.len() <= buckets + 1);
                assert_as_statistics(&reader, &filter, &timeline);
            }
        }
        let all = reader.timeline(&TimelineFilter::new()).unwrap();
        assert_as_statistics(&reader, &TimelineFilter::new(), &all);
    }

    #[test]
    fn rounds_and_tasks_count_as_in_statistics_before_and_after_pruning(
        rolled_up in operations(),
        newer in operations(),
        buckets in 1..30_usize,
        pruned in 0..DAYS * 24,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        let conn = Connection::open(&path).unwrap();
        insert(&conn, 0, &rolled_up);
        let roll_up = || {
            let db = Db::open_to_maintain(&path).unwrap();
            while !db.roll_up(LonelyLegs::RollUp, LONG, deadline()).unwrap().is_last {}
        };
        roll_up();
        insert(&conn, rolled_up.len(), &newer);
        let reader = Reader::open(&path).unwrap();
        let window = Window { since: START, until: START + (DAYS + 1) * DAY };
        let filter = TimelineFilter::new().window(window).buckets(buckets).groups(9);
        let before = ask(&reader, &filter, LOOKED_AT);
        prop_assert_eq!(sums(&before)[0], (rolled_up.len() + newer.len()) as i64);
        for few in [LOOKED_AT, -1] {
            assert_as_statistics(&reader, &filter, &ask(&reader, &filter, few));
        }
        roll_up();
        prune(&path, START + pruned * HOUR + 1);
        let after = ask(&reader, &filter, LOOKED_AT);
        assert_as_statistics(&reader, &filter, &after);
        prop_assert_eq!(sums(&after), sums(&before));
        let ended = |timeline: &Timeline| timeline.buckets.iter().map(|it| it.ok).sum::<i64>();
        prop_assert_eq!(ended(&after), ended(&before));
    }

    #[test]
    fn width_fits_any_window(since: i64, until: i64, most in 1..1_000_usize) {
        let window = Window { since: since.min(until), until: since.max(until) };
        let width = fitting(window, most);
        let whole = aligned(window, width);
        prop_assert!(whole.since <= window.since && whole.until >= window.until);
        prop_assert!(whole.until.saturating_sub(whole.since) / width <= most as i64);
    }
}
