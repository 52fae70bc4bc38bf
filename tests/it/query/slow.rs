use std::cmp::Reverse;
use std::time::Duration;

use tower_mcp_store::EndReason;
use tower_mcp_store::query::{Recorded, RequestFilter};

use crate::query::data::{Data, filters};
use crate::support::{connect, value};

#[test]
fn slowest_rows_above_the_threshold_come_first_without_streams() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let mut slowest_first = data.rows.clone();
        slowest_first.sort_by_key(|row| Reverse((row.latency_us, row.id)));
        for filter in filters() {
            for threshold in [0, 20_000] {
                let expected: Vec<i64> = slowest_first
                    .iter()
                    .filter(|row| data.takes(&filter, row))
                    .filter(|row| row.end_reason != Some(Recorded::Known(EndReason::StreamEnd)))
                    .filter(|row| row.latency_us >= threshold as i64)
                    .map(|row| row.id)
                    .take(30)
                    .collect();
                let mut above = filter.clone();
                let threshold = Duration::from_micros(threshold);
                above.min_latency = Some(threshold.max(filter.min_latency.unwrap_or_default()));
                let found = data.reader.slow(&above, 30).unwrap();
                let found: Vec<i64> = found.iter().map(|row| row.id).collect();
                assert_eq!(
                    found, expected,
                    "version {version}, {threshold:?}, {filter:?}"
                );
            }
        }
    }
}

#[test]
fn fractional_latencies_are_found_in_order() {
    let data = Data::of_version(5);
    let conn = connect(&data.path);
    // One latency in each class, and several in one.
    let odd = [0.5, 150.25, 3_700.5, 3_700.75, 45_000.5, 9e12, 3_999.0];
    for (id, latency) in odd.iter().enumerate() {
        let sql = "UPDATE requests SET latency_us = ?1, end_reason = NULL WHERE id = ?2";
        conn.execute(sql, (latency, id as i64 + 1)).unwrap();
    }
    let all = data.reader.slow(&RequestFilter::default(), 10_000).unwrap();
    let reported: Vec<i64> = all.iter().map(|row| row.latency_us).collect();
    assert!(reported.is_sorted_by(|a, b| a >= b), "{reported:?}");
    let expected = "SELECT count(*) FROM requests WHERE end_reason IS NOT 'stream_end'";
    assert_eq!(all.len() as i64, value::<i64>(&conn, expected));
    let some = data
        .reader
        .slow(
            &RequestFilter::new().min_latency(Duration::from_millis(3)),
            30,
        )
        .unwrap();
    let some: Vec<i64> = some.iter().map(|row| row.latency_us).collect();
    assert_eq!(some, reported[..30]);
}
