use std::cmp::Reverse;

use tower_mcp_store::query::{Lookup, Request, RequestFilter, Written};

use crate::query::data::{Data, START, filters, session_id};
use crate::support::connect;

fn ids(rows: &[Request]) -> Vec<i64> {
    rows.iter().map(|row| row.id).collect()
}

#[test]
fn pages_are_the_newest_rows_that_a_filter_accepts() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let mut newest_first = data.rows.clone();
        newest_first.sort_by_key(|row| Reverse(row.position()));
        for filter in filters() {
            let expected: Vec<i64> = newest_first
                .iter()
                .filter(|row| data.takes(&filter, row))
                .map(|row| row.id)
                .take(75)
                .collect();
            let mut found = Vec::new();
            for limit in [10, 65] {
                let last = found.last().map(Request::position);
                let page = data.reader.requests(&filter, limit, last).unwrap();
                let is_full = page.len() == limit;
                found.extend(page);
                if !is_full {
                    break;
                }
            }
            assert_eq!(ids(&found), expected, "version {version}, {filter:?}");
        }
    }
}

#[test]
fn follower_returns_each_new_row_that_the_filter_accepts() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        for filter in filters() {
            let mut follow = data.reader.follow_after(filter.clone(), 100);
            let mut found = Vec::new();
            loop {
                let rows = follow.poll().unwrap();
                if rows.is_empty() {
                    break;
                }
                found.extend(rows);
            }
            let takes = |row: &&Request| row.id > 100 && data.takes(&filter, row);
            let expected: Vec<i64> = data.rows.iter().filter(takes).map(|row| row.id).collect();
            assert_eq!(ids(&found), expected, "version {version}, {filter:?}");
        }
        let mut follow = data.reader.follow(RequestFilter::default()).unwrap();
        assert!(follow.poll().unwrap().is_empty());
    }
}

#[test]
fn newest_new_rows_of_each_filter_are_those_that_it_accepts() {
    const LIMIT: usize = 7;
    for version in [4, 5] {
        let data = Data::of_version(version);
        let filters = filters();
        let mut follow = data.reader.follow_after(RequestFilter::new(), 100);
        let found = follow.poll_newest(&filters, LIMIT).unwrap();
        assert_eq!(found.len(), filters.len());
        for (filter, found) in filters.iter().zip(found) {
            let takes = |row: &&Request| row.id > 100 && data.takes(filter, row);
            let all: Vec<i64> = data.rows.iter().filter(takes).map(|row| row.id).collect();
            let omitted = all.len().saturating_sub(LIMIT);
            assert_eq!(
                ids(&found.rows),
                all[omitted..],
                "version {version}, {filter:?}"
            );
            assert_eq!(
                found.omitted, omitted as i64,
                "version {version}, {filter:?}"
            );
            assert!(!found.is_partial);
        }
        let again = follow.poll_newest(&filters, LIMIT).unwrap();
        assert!(again.iter().all(|found| *found == Written::default()));
    }
}

#[test]
fn rows_before_the_newest_100_000_are_not_examined() {
    let data = Data::of_version(5);
    connect(&data.path)
        .execute_batch(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100001)
             INSERT INTO requests (request_id, ts, proxy, method, latency_us, status)
                 SELECT n, n, 'default', 'ping', 1, 'ok' FROM n",
        )
        .unwrap();
    let mut follow = data.reader.follow_after(RequestFilter::new(), 0);
    let found = follow.poll_newest(&[RequestFilter::new()], 1).unwrap();
    assert!(found[0].is_partial);
    assert_eq!((found[0].rows.len(), found[0].omitted), (1, 99_999));
}

#[test]
fn requests_of_a_long_session_are_found_by_time() {
    let data = Data::of_version(5);
    // The query plan now reads the session by time.
    connect(&data.path)
        .execute_batch("UPDATE sessions SET total_calls = 1000000")
        .unwrap();
    let mut filter = RequestFilter::default();
    filter.session = Some(session_id(9));
    let mut expected: Vec<_> = data
        .rows
        .iter()
        .filter(|row| data.takes(&filter, row))
        .collect();
    expected.sort_by_key(|row| Reverse(row.position()));
    let expected: Vec<i64> = expected.iter().map(|row| row.id).take(20).collect();
    assert_eq!(
        ids(&data.reader.requests(&filter, 20, None).unwrap()),
        expected
    );
}

#[test]
fn request_is_found_by_the_beginning_of_its_id() {
    let data = Data::of_version(5);
    let find = |id: &str| data.reader.find_request(id).unwrap();
    let row = &data.rows[0x2a];
    assert_eq!(find(&row.request_id), Lookup::One(row.clone()));
    assert_eq!(find("0000002A-"), Lookup::One(row.clone()));
    let Lookup::Several(ids) = find("000000") else {
        panic!("one of many");
    };
    assert_eq!(ids.len(), 5);
    assert!(ids.iter().all(|id| id.starts_with("000000")));
    for nothing in ["", "f", "%", "0000002a%", "'"] {
        assert_eq!(find(nothing), Lookup::Nothing, "{nothing:?}");
    }
}

#[test]
fn odd_value_hides_no_row() {
    let data = Data::of_version(5);
    connect(&data.path)
        .execute_batch(
            "UPDATE requests SET method = x'ff00', tool = 1.5, bytes_in = 'many',
                 http_status = x'00', error_msg = CAST(x'61ff' AS TEXT) WHERE id = 1",
        )
        .unwrap();
    let mut filter = RequestFilter::default();
    filter.window.until = START + 60;
    let rows = data.reader.requests(&filter, 1_000, None).unwrap();
    let odd = rows.iter().find(|row| row.id == 1).unwrap();
    assert_eq!(odd.error_msg.as_deref(), Some("a\u{fffd}"));
    assert_eq!(odd.bytes_in, None);
}
