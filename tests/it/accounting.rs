//! Every recorded event is counted as written, failed, dropped or queued.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rusqlite::types::Value;
use tower_mcp_store::{SessionEvent, Stats, Store, StoreEvent, StoreState};

use crate::support::{LONG, connect, fresh, record_requests, request, rows, value};

#[track_caller]
fn assert_balanced(stats: Stats) {
    assert_eq!(
        stats.submitted,
        stats.written + stats.failed + stats.dropped + stats.queued,
        "{stats}"
    );
}

#[test]
fn counters_balance_at_every_moment_under_load() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path)
        .flush_interval(Duration::from_millis(1))
        .queue_events(500)
        .open()
        .unwrap();
    let again = request();
    let recording = AtomicBool::new(true);
    let file = {
        let conn = connect(&path);
        move || {
            // One statement, so that all values are of the same moment.
            let sql = "SELECT submitted >= written + failed + dropped
                    AND written = (SELECT count(*) FROM requests)
                    AND failed + dropped = (SELECT coalesce(sum(dropped), 0) FROM losses)
                FROM writers";
            assert!(value::<bool>(&conn, sql), "the file agrees with itself");
        }
    };
    let samples = thread::scope(|scope| {
        let recorders: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for round in 0..100 {
                        record_requests(&store, 40);
                        // The second and later events with this id fail.
                        store.record(StoreEvent::Request(again.clone()));
                        if round % 10 == 0 {
                            store.flush(LONG).unwrap();
                        }
                    }
                })
            })
            .collect();
        let sampler = scope.spawn(|| {
            let mut samples = 0_u64;
            while recording.load(Ordering::Relaxed) {
                assert_balanced(store.stats());
                samples += 1;
            }
            samples
        });
        while !recorders.iter().all(|recorder| recorder.is_finished()) {
            file();
        }
        for recorder in recorders {
            recorder.join().unwrap();
        }
        recording.store(false, Ordering::Relaxed);
        sampler.join().unwrap()
    });
    assert!(samples > 100, "{samples} samples");
    let stats = store.shutdown(LONG).unwrap();
    assert_balanced(stats);
    assert_eq!((stats.submitted, stats.queued), (3 * 100 * 41, 0));
    assert!(stats.failed > 0 && stats.dropped > 0, "{stats}");

    let conn = connect(&path);
    assert_eq!(
        value::<i64>(&conn, "SELECT count(*) FROM requests") as u64,
        stats.written
    );
    let accounts = [stats.submitted, stats.written, stats.failed, stats.dropped];
    assert_eq!(
        rows(
            &conn,
            "SELECT submitted, written, failed, dropped FROM writers"
        ),
        [accounts.map(|count| Value::Integer(count as i64))]
    );
    for (reason, lost) in [
        ("queue_full", stats.dropped),
        ("write_failed", stats.failed),
    ] {
        let dropped: i64 = conn
            .query_row(
                "SELECT sum(dropped) FROM losses WHERE reason = ?1",
                [reason],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(dropped as u64, lost, "{reason}");
    }
}

#[test]
fn overload_is_one_row_of_losses_and_sessions_are_kept() {
    let (_dir, path) = fresh();
    let blocker = {
        let store = Store::open(&path).unwrap();
        store.shutdown(LONG).unwrap();
        connect(&path)
    };
    let store = Store::builder(&path).queue_events(10).open().unwrap();
    // The lock stops the writer, so that the queue fills.
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    record_requests(&store, 25);
    store.record(StoreEvent::Session(SessionEvent::new("s")));
    assert_eq!((store.stats().queued, store.stats().dropped), (11, 15));
    blocker.execute_batch("ROLLBACK").unwrap();
    store.flush(LONG).unwrap();
    record_requests(&store, 1);
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.dropped), (12, 15));
    let losses = "SELECT reason, dropped, from_ts > 0 AND from_ts <= to_ts FROM losses";
    assert_eq!(
        rows(&blocker, losses),
        [[
            Value::Text("queue_full".into()),
            Value::Integer(15),
            Value::Integer(1)
        ]]
    );
    assert_eq!(value::<i64>(&blocker, "SELECT count(*) FROM sessions"), 1);
}

#[test]
fn queue_also_keeps_to_its_limit_in_bytes() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path)
        .flush_interval(LONG)
        .queue_bytes(100_000)
        .open()
        .unwrap();
    let mut event = request();
    event.target = Some("x".repeat(60_000).into());
    store.record(StoreEvent::Request(event.clone()));
    store.flush(LONG).unwrap();
    assert_eq!(store.stats().written, 1, "alone it fits");
    event.target = Some("x".repeat(200_000).into());
    store.record(StoreEvent::Request(event));
    assert_eq!(store.stats().dropped, 1);
    // No later event reports the loss, so the shutdown must.
    store.shutdown(LONG).unwrap();
    assert_eq!(
        value::<i64>(&connect(&path), "SELECT dropped FROM losses"),
        1
    );
}

#[test]
fn statistics_are_displayed_as_one_line() {
    let (_dir, path) = fresh();
    let store = Store::open(path).unwrap();
    record_requests(&store, 2);
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!(
        stats.to_string(),
        "2 submitted, 2 written, 0 failed, 0 dropped, \
         0 unlinked, 0 posts, 0 skipped, 0 truncated, 0 unidentified, 0 other media, \
         0 mismatched, 0 listings too long, 0 listings malformed, 0 in flight, 0 queued"
    );
}

#[test]
fn each_run_of_a_writer_stores_its_counters() {
    let (_dir, path) = fresh();
    for run in 1..=2 {
        let store = Store::open(&path).unwrap();
        record_requests(&store, 10 * run);
        store.flush(LONG).unwrap();
        let conn = connect(&path);
        let living = "SELECT submitted, written FROM writers WHERE ended_at IS NULL";
        let count = Value::Integer(10 * run as i64);
        assert_eq!(rows(&conn, living), [[count.clone(), count]]);
        store.shutdown(LONG).unwrap();
        let ended = "SELECT count(*) FROM writers
             WHERE started_at <= seen_at AND seen_at = ended_at";
        assert_eq!(value::<i64>(&conn, ended) as u64, run);
    }
}

#[test]
fn stored_counters_are_dated_before_every_event_they_lack() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path).flush_interval(LONG).open().unwrap();
    let blocker = connect(&path);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    record_requests(&store, 1);
    let flush = {
        let store = store.clone();
        thread::spawn(move || store.flush(LONG).unwrap())
    };
    while store.state() == StoreState::Ready {
        thread::yield_now();
    }
    // The writer has taken the first event and cannot write it yet.
    thread::sleep(Duration::from_millis(2));
    let second = request();
    let lacking = second.ts;
    store.record(StoreEvent::Request(second));
    blocker.execute_batch("ROLLBACK").unwrap();
    flush.join().unwrap();
    assert_eq!(value::<i64>(&blocker, "SELECT written FROM writers"), 1);
    assert!(value::<i64>(&blocker, "SELECT seen_at FROM writers") < lacking);
    store.shutdown(LONG).unwrap();
}
