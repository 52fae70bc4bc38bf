//! Opening, flushing, shutting down and dropping a store.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tower_mcp_store::{RequestStatus, Store, StoreEvent, StoreState};

use crate::support::{LONG, connect, fresh, record_requests, request, value};

const COUNT: &str = "SELECT count(*) FROM requests";

#[test]
fn handles_can_be_shared_between_threads() {
    fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<Store>();
}

#[test]
fn flush_writes_every_event_recorded_before_it() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path).flush_interval(LONG).open().unwrap();
    let conn = connect(&path);
    for round in 1..=5 {
        record_requests(&store, 3);
        assert_eq!(
            store.stats().queued,
            3,
            "nothing is written before its time"
        );
        store.flush(LONG).unwrap();
        assert_eq!(value::<i64>(&conn, COUNT), 3 * round);
    }
}

#[test]
fn events_are_written_after_the_interval_without_a_flush() {
    let (_dir, path) = fresh();
    let (send, recorded) = mpsc::channel();
    let store = Store::builder(&path)
        .flush_interval(Duration::from_millis(5))
        .on_recorded(move |_| send.send(()).unwrap())
        .open()
        .unwrap();
    record_requests(&store, 1);
    recorded.recv_timeout(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&path), COUNT), 1);
}

#[test]
fn flush_that_times_out_returns_how_many_events_are_queued() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let blocker = connect(&path);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    record_requests(&store, 2);
    let error = store.flush(Duration::from_millis(20)).unwrap_err();
    assert_eq!(error.queued(), 2);
    blocker.execute_batch("ROLLBACK").unwrap();
    store.flush(LONG).unwrap();
}

#[test]
fn shutdown_writes_all_events_closes_the_file_and_can_be_repeated() {
    let (dir, path) = fresh();
    let store = Store::builder(&path).flush_interval(LONG).open().unwrap();
    let clone = store.clone();
    record_requests(&store, 1000);
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.queued), (1000, 0));
    assert_eq!(store.state(), StoreState::Closed);
    assert_eq!(clone.shutdown(Duration::ZERO).unwrap(), stats);
    // A closed database has no WAL, and the run of its writer has ended.
    assert!(!dir.path().join("mcp.db-wal").exists());
    let living = "SELECT count(*) FROM writers WHERE ended_at IS NULL";
    assert_eq!(value::<i64>(&connect(&path), living), 0);

    record_requests(&clone, 1);
    assert_eq!((clone.stats().submitted, clone.stats().dropped), (1001, 1));
    clone.flush(LONG).unwrap();
}

#[test]
fn shutdown_without_time_returns_the_error_each_time() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path).flush_interval(LONG).open().unwrap();
    record_requests(&store, 10);
    for _ in 0..2 {
        let error = store.shutdown(Duration::ZERO).unwrap_err();
        assert_eq!(
            (error.lost(), error.stats().dropped, error.stats().queued),
            (10, 10, 0)
        );
        assert!(error.to_string().starts_with("10 events"), "{error}");
    }
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, COUNT), 0);
    assert_eq!(
        value::<i64>(
            &conn,
            "SELECT dropped FROM losses WHERE reason = 'shutdown'"
        ),
        10
    );
}

#[test]
fn shutdown_of_a_locked_file_ends_in_time_and_counts_its_losses() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let blocker = connect(&path);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    record_requests(&store, 3);
    let start = Instant::now();
    let error = store.shutdown(Duration::from_millis(100)).unwrap_err();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(
        (error.lost(), error.stats().dropped, error.stats().queued),
        (3, 3, 0)
    );
    assert!(error.to_string().contains("locked"), "{error}");
    blocker.execute_batch("ROLLBACK").unwrap();
    // The shutdown could not write its losses, but the file still shows that the writer did not
    // close it.
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    assert_eq!(
        value::<String>(&blocker, "SELECT reason FROM losses"),
        "unclean_shutdown"
    );
}

#[test]
fn drop_of_the_last_handle_writes_the_queue() {
    let (dir, path) = fresh();
    let store = Store::builder(&path).flush_interval(LONG).open().unwrap();
    let clone = store.clone();
    record_requests(&store, 500);
    drop(store);
    assert_eq!(clone.stats().queued, 500);
    drop(clone);
    assert_eq!(value::<i64>(&connect(&path), COUNT), 500);
    drop(dir);
}

#[test]
fn store_dropped_by_a_panic_does_not_delay_it() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let blocker = connect(&path);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    record_requests(&store, 1);
    let start = Instant::now();
    let panicked = thread::spawn(move || {
        let _store = store;
        std::panic::resume_unwind(Box::new("not printed"));
    })
    .join();
    assert!(panicked.is_err());
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn longest_durations_are_accepted() {
    let (_dir, path) = fresh();
    let store = Store::builder(path)
        .flush_interval(Duration::MAX)
        .open()
        .unwrap();
    record_requests(&store, 1);
    store.flush(Duration::MAX).unwrap();
    assert_eq!(store.shutdown(Duration::MAX).unwrap().written, 1);
}

// ===== the hook =====

#[test]
fn hook_sees_exactly_the_committed_requests() {
    let (_dir, path) = fresh();
    let conn = {
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        connect(&path)
    };
    let (send, seen) = mpsc::channel();
    let store = Store::builder(&path)
        .on_recorded(move |event| {
            let sql = "SELECT status FROM requests WHERE request_id = ?1";
            let id = event.request_id.to_string();
            let status: String = conn.query_row(sql, [id], |row| row.get(0)).unwrap();
            send.send((status, event.status)).unwrap();
        })
        .open()
        .unwrap();
    let first = request();
    let mut second = first.clone();
    second.status = RequestStatus::Error;
    let mut third = request();
    third.status = RequestStatus::Timeout;
    for event in [first, second, third] {
        store.record(StoreEvent::Request(event));
    }
    store.flush(LONG).unwrap();
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(
        seen,
        [
            ("ok".to_owned(), RequestStatus::Ok),
            ("timeout".to_owned(), RequestStatus::Timeout),
        ]
    );
}

#[test]
fn hook_that_panics_is_not_called_again_and_loses_no_row() {
    let (_dir, path) = fresh();
    let (send, calls) = mpsc::channel();
    let store = Store::builder(&path)
        .on_recorded(move |_| {
            send.send(()).unwrap();
            std::panic::resume_unwind(Box::new("not printed"));
        })
        .open()
        .unwrap();
    for _ in 0..2 {
        record_requests(&store, 2);
        store.flush(LONG).unwrap();
    }
    assert_eq!(calls.try_iter().count(), 1);
    assert_eq!(store.shutdown(LONG).unwrap().written, 4);
}

#[test]
fn hook_that_holds_the_last_handle_does_not_block_the_writer() {
    struct SendsOnDrop(mpsc::Sender<()>);
    impl Drop for SendsOnDrop {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }

    let (_dir, path) = fresh();
    let (give, take) = mpsc::channel::<Store>();
    let (send, dropped) = mpsc::channel();
    // Rust drops the fields in this order.
    let mut own = (None, SendsOnDrop(send));
    let store = Store::builder(path)
        .on_recorded(move |_| {
            let own = &mut own;
            own.0 = take.try_recv().ok();
        })
        .open()
        .unwrap();
    give.send(store.clone()).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    let start = Instant::now();
    store.shutdown(LONG).unwrap();
    drop(store);
    dropped.recv_timeout(LONG).unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn reader_sees_a_request_within_a_tenth_of_a_second_while_others_come() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let reader = connect(&path);
    let mut seen = reader
        .prepare("SELECT count(*) FROM requests WHERE request_id = ?1")
        .unwrap();
    let mut waits: Vec<Duration> = (0..20)
        .map(|_| {
            let event = request();
            let id = event.request_id.to_string();
            let start = Instant::now();
            store.record(StoreEvent::Request(event));
            while seen.query_row([&id], |row| row.get::<_, i64>(0)).unwrap() == 0 {
                record_requests(&store, 5);
                thread::sleep(Duration::from_millis(1));
            }
            start.elapsed()
        })
        .collect();
    waits.sort_unstable();
    // A busy machine may delay the two slowest.
    assert!(waits[17] < Duration::from_millis(100), "{waits:?}");
}
