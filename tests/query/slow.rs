use std::cmp::Reverse;

use crate::data::{Data, filters};

#[test]
fn the_slowest_rows_come_first_above_the_threshold_and_without_streams() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let mut slowest_first = data.rows.clone();
        slowest_first.sort_by_key(|row| Reverse((row.latency_us, row.id)));
        for filter in filters() {
            for threshold in [0, 20_000] {
                let expected: Vec<i64> = slowest_first
                    .iter()
                    .filter(|row| data.takes(&filter, row))
                    .filter(|row| row.end_reason.as_deref() != Some("stream_end"))
                    .filter(|row| row.latency_us >= threshold)
                    .map(|row| row.id)
                    .take(30)
                    .collect();
                let found = data.reader.slow(&filter, threshold, 30).unwrap();
                let found: Vec<i64> = found.iter().map(|row| row.id).collect();
                assert_eq!(
                    found, expected,
                    "version {version}, {threshold}, {filter:?}"
                );
            }
        }
    }
}
