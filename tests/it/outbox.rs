//! The file as an outbox: each row reaches the shipper, however often it changes, and the
//! writer keeps rows until then.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::outbox::{Outbox, OutboxBatch, OutboxRows, OutboxTable, OutboxValues};
use tower_mcp_store::{OpenErrorKind, Retention, SessionEvent, Store, StoreEvent};

use crate::support::{LONG, connect, fresh, record_requests, recorded, request, value};

fn registered(path: &Path) -> Outbox {
    let outbox = Outbox::open(path).unwrap();
    outbox.register().unwrap();
    outbox
}

fn rows_of(batch: &OutboxBatch, table: OutboxTable) -> Option<&OutboxRows> {
    batch.rows.iter().find(|rows| rows.table == table)
}

fn integers(batch: &OutboxBatch, table: OutboxTable, name: &str) -> Vec<i64> {
    let rows = rows_of(batch, table);
    let columns = rows.iter().flat_map(|rows| &rows.columns);
    let named = columns.filter(|column| column.name == name);
    let values = named.flat_map(|column| match &column.values {
        OutboxValues::Integers(values) => values.iter().flatten().copied().collect(),
        _ => Vec::new(),
    });
    values.collect()
}

/// Reads and confirms all that is left.
fn drain(outbox: &Outbox) -> Vec<OutboxBatch> {
    let mut batches = Vec::new();
    loop {
        let batch = outbox.batch(1_000).unwrap();
        outbox.confirm(&batch).unwrap();
        let is_last = batch.is_last;
        batches.push(batch);
        if is_last {
            return batches;
        }
    }
}

fn ids(batches: &[OutboxBatch]) -> Vec<i64> {
    let ids = batches.iter();
    ids.flat_map(|batch| integers(batch, OutboxTable::Requests, "id"))
        .collect()
}

#[test]
fn each_request_is_in_one_batch() {
    let (_dir, path) = recorded([]);
    let store = Store::open(&path).unwrap();
    record_requests(&store, 2_500);
    store.flush(LONG).unwrap();
    let outbox = registered(&path);
    assert_eq!(ids(&drain(&outbox)), (1..=2_500).collect::<Vec<_>>());
    // The writer has the file open all the time.
    record_requests(&store, 3);
    store.flush(LONG).unwrap();
    assert_eq!(ids(&drain(&outbox)), [2_501, 2_502, 2_503]);
    store.shutdown(LONG).unwrap();
}

#[test]
fn batch_that_was_not_confirmed_is_read_again() {
    let (_dir, path) = recorded([StoreEvent::Request(request())]);
    let outbox = registered(&path);
    let first = outbox.batch(10).unwrap();
    drop(outbox);
    let outbox = registered(&path);
    let second = outbox.batch(10).unwrap();
    assert_eq!(first.rows, second.rows);
    outbox.confirm(&second).unwrap();
    assert_eq!(outbox.cursor().unwrap().shipped_to, 1);
    assert!(outbox.batch(10).unwrap().is_empty());
}

#[test]
fn session_comes_with_each_batch_of_its_requests_and_with_its_end() {
    let session = SessionEvent::new("s");
    let of_session = || {
        let mut event = request();
        event.session_id = Some("s".into());
        StoreEvent::Request(event)
    };
    let (_dir, path) = recorded([StoreEvent::Session(session), of_session()]);
    let outbox = registered(&path);
    let calls = |batches: &[OutboxBatch]| -> Vec<i64> {
        let calls = batches.iter();
        calls
            .flat_map(|batch| integers(batch, OutboxTable::Sessions, "total_calls"))
            .collect()
    };
    assert_eq!(calls(&drain(&outbox)), [1]);
    let store = Store::open(&path).unwrap();
    store.record(of_session());
    store.flush(LONG).unwrap();
    assert_eq!(calls(&drain(&outbox)), [2]);
    store.record(StoreEvent::SessionClosed {
        session_id: "s".into(),
        ended_at: 5,
    });
    store.flush(LONG).unwrap();
    let batches = drain(&outbox);
    let ended = integers(&batches[0], OutboxTable::Sessions, "ended_at");
    assert_eq!((calls(&batches), ended), (vec![2], vec![5]));
    store.shutdown(LONG).unwrap();
}

#[test]
fn request_that_is_linked_after_it_was_shipped_is_shipped_again() {
    let (_dir, path) = recorded([StoreEvent::Request(request())]);
    let outbox = registered(&path);
    drain(&outbox);
    let conn = connect(&path);
    let link = |leg: i64| {
        let sql = "UPDATE requests SET operation_id = request_id, leg = ?1";
        conn.execute(sql, [leg]).unwrap();
    };
    link(1);
    let batch = outbox.batch(10).unwrap();
    assert_eq!(integers(&batch, OutboxTable::ChangedRequests, "leg"), [1]);
    // It changes again before the shipper confirms.
    link(2);
    outbox.confirm(&batch).unwrap();
    let batch = outbox.batch(10).unwrap();
    assert_eq!(integers(&batch, OutboxTable::ChangedRequests, "leg"), [2]);
    outbox.confirm(&batch).unwrap();
    assert!(outbox.batch(10).unwrap().is_empty());
}

#[test]
fn statement_that_ignores_conflicts_still_lists_its_change() {
    let (_dir, path) = recorded([]);
    let outbox = registered(&path);
    drain(&outbox);
    let conn = connect(&path);
    for status in ["working", "completed"] {
        conn.execute(
            "INSERT OR REPLACE INTO tasks (operation_id, task_id, status, updated_ts)
             VALUES ('o', 't', ?1, 1)",
            [status],
        )
        .unwrap();
        conn.execute("UPDATE OR IGNORE tasks SET polls = polls + 1", [])
            .unwrap();
    }
    let batch = outbox.batch(10).unwrap();
    assert_eq!(integers(&batch, OutboxTable::Tasks, "polls"), [1]);
}

#[test]
fn buckets_of_cells_count_all_calls() {
    let (_dir, path) = recorded((0..300).map(|n| {
        let mut event = request();
        event.latency_us = n * 100;
        StoreEvent::Request(event)
    }));
    let maintenance = Maintenance::open(&path).unwrap();
    maintenance
        .prune(0, |_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    let batches = drain(&registered(&path));
    let sum = |name: &str| -> i64 {
        let values = batches.iter();
        values
            .flat_map(|batch| integers(batch, OutboxTable::Buckets, name))
            .sum()
    };
    // One cell of the hour, and one of the day.
    assert_eq!((sum("server"), sum("wall")), (600, 600));
    assert_eq!(batches.last().unwrap().watermarks.rolled_up_to, Some(300));
}

#[test]
fn second_shipper_of_a_file_is_refused() {
    let (_dir, path) = recorded([]);
    let first = Outbox::open(&path).unwrap();
    let error = Outbox::open(&path).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::Locked);
    assert!(error.to_string().contains("another shipper"), "{error}");
    drop(first);
    Outbox::open(&path).unwrap();
}

#[test]
fn file_is_as_before_once_its_shipper_is_forgotten() {
    let (_dir, path) = recorded([StoreEvent::Request(request())]);
    let conn = connect(&path);
    let contents = |conn: &Connection| -> BTreeMap<String, String> {
        let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema
            UNION ALL SELECT key, value FROM meta";
        let mut select = conn.prepare(sql).unwrap();
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    };
    let before = contents(&conn);
    let outbox = registered(&path);
    drain(&outbox);
    assert_ne!(contents(&conn), before);
    outbox.forget().unwrap();
    assert_eq!(contents(&conn), before);
}

#[test]
fn rewind_and_a_new_id_begin_with_the_oldest_row() {
    let (_dir, path) = recorded([StoreEvent::Request(request())]);
    let outbox = registered(&path);
    let before = outbox.identity().unwrap().store_id;
    drain(&outbox);
    outbox.rewind().unwrap();
    assert!(outbox.cursor().unwrap().is_rewound);
    assert_eq!(ids(&drain(&outbox)), [1]);
    assert!(!outbox.cursor().unwrap().is_rewound);
    assert_eq!(outbox.identity().unwrap().store_id, before);
    outbox.renew_store_id().unwrap();
    assert_ne!(outbox.identity().unwrap().store_id, before);
    assert_eq!(ids(&drain(&outbox)), [1]);
}

#[test]
fn pruning_by_hand_keeps_rows_that_were_not_shipped() {
    let (_dir, path) = recorded((0..10).map(|_| StoreEvent::Request(request())));
    let outbox = registered(&path);
    let batch = outbox.batch(4).unwrap();
    outbox.confirm(&batch).unwrap();
    drop(outbox);
    let maintenance = Maintenance::open(&path).unwrap();
    assert_eq!(maintenance.unshipped_before(i64::MAX).unwrap(), 6);
    let all = |maintenance: &Maintenance| {
        let outcome = maintenance.prune(i64::MAX, |_| std::ops::ControlFlow::Continue(()));
        outcome.unwrap();
    };
    all(&maintenance);
    let conn = connect(&path);
    let left = "SELECT group_concat(id, ' ') FROM requests";
    assert_eq!(value::<String>(&conn, left), "5 6 7 8 9 10");
    all(&maintenance.remove_unshipped(true));
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 0);
    let lost = "SELECT group_concat(reason || ' ' || dropped) FROM losses";
    assert_eq!(value::<String>(&conn, lost), "unshipped 6");
}

#[test]
fn file_over_its_limit_loses_the_oldest_rows_and_says_how_many_were_not_shipped() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    drop(registered(&path));
    record_requests(&store, 20_000);
    store.shutdown(LONG).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    let limit = i64::try_from(bytes / 2).unwrap();
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(bytes / 2))
        .open()
        .unwrap();
    let conn = connect(&path);
    let used = "SELECT (page_count - freelist_count) * page_size
        FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let start = std::time::Instant::now();
    while value::<i64>(&conn, used) > limit {
        assert!(start.elapsed() < LONG, "the file stays too large");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    store.shutdown(LONG).unwrap();
    let left: i64 = value(&conn, "SELECT count(*) FROM requests");
    let lost = "SELECT sum(dropped) FROM losses WHERE reason = 'unshipped'";
    assert_eq!(left + value::<i64>(&conn, lost), 20_000);
    assert!((1_000..19_000).contains(&left), "{left}");
    assert_eq!(ids(&drain(&registered(&path))).len() as i64, left);
}
