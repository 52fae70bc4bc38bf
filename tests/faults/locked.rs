//! Files whose write lock another process holds.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tower_mcp_store::{Store, StoreState};
use tracing::Level;

use crate::load::Load;
use crate::log::{listen, logged};
use crate::other_process::Holder;
use crate::support::{LONG, connect, fresh, record_requests, value};
use crate::{COUNT, is_long, wait_until};

#[test]
fn file_that_is_locked_for_a_while_loses_no_event() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let blocker = connect(&path);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    record_requests(&store, 100);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    record_requests(&store, 100);
    let stats = store.stats();
    assert_eq!((stats.queued, stats.written, stats.failed), (200, 0, 0));
    blocker.execute_batch("ROLLBACK").unwrap();
    store.flush(LONG).unwrap();
    assert_eq!(store.state(), StoreState::Ready);
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.failed, stats.dropped), (200, 0, 0));
    assert_eq!(value::<i64>(&blocker, COUNT), 200);
    assert_eq!(value::<i64>(&blocker, "SELECT count(*) FROM losses"), 0);
}

#[test]
fn opening_in_the_background_does_not_wait_for_a_lock() {
    let (_dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let blocker = connect(&path);
    blocker.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let store = Store::builder(&path).open_in_background();
    record_requests(&store, 1);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    blocker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.shutdown(LONG).unwrap().written, 1);
}

/// How many seconds the lock is held, and how many events come each second.
fn cases() -> &'static [(u64, u64)] {
    match is_long() {
        true => &[(10, 2_000), (10, 10_000), (60, 2_000)],
        false => &[(1, 2_000), (1, 10_000)],
    }
}

#[test]
fn lock_of_another_process_loses_no_event() {
    listen();
    for &(seconds, rate) in cases() {
        let (_dir, path) = fresh();
        let store = Store::open(&path).unwrap();
        let load = Load::start(&store, rate);
        wait_until(|| store.stats().written > 0);
        let holder = Holder::of(&path, "BEGIN IMMEDIATE");
        sleep(Duration::from_secs(seconds));
        assert!(matches!(store.state(), StoreState::Failing { .. }));
        drop(holder);
        wait_until(|| store.stats().queued == 0);
        assert_eq!(store.state(), StoreState::Ready);
        let traffic = load.stop();
        traffic.assert_unharmed(store.shutdown(LONG).unwrap());
        assert_eq!(
            value::<i64>(&connect(&path), COUNT) as u64,
            traffic.recorded
        );
        let name = path.to_str().unwrap();
        assert_eq!(logged(Level::WARN, &["cannot write", name, "locked"]), 1);
    }
}

#[test]
fn lock_of_another_process_while_the_store_opens_loses_no_event() {
    listen();
    for &(seconds, rate) in cases() {
        let (_dir, path) = fresh();
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        let holder = Holder::of(&path, "BEGIN IMMEDIATE");
        let store = Store::builder(&path).open_in_background();
        let load = Load::start(&store, rate);
        sleep(Duration::from_secs(seconds));
        assert_ne!(store.state(), StoreState::Ready);
        drop(holder);
        wait_until(|| store.state() == StoreState::Ready && store.stats().queued == 0);
        let traffic = load.stop();
        traffic.assert_unharmed(store.shutdown(LONG).unwrap());
        assert_eq!(
            value::<i64>(&connect(&path), COUNT) as u64,
            traffic.recorded
        );
        // Opening waits for a lock for two seconds.
        let name = path.to_str().unwrap();
        let messages = logged(Level::ERROR, &["cannot open", name, "lock"]);
        assert_eq!(messages, usize::from(seconds > 5));
    }
}

#[test]
fn lock_that_fills_the_queue_loses_the_rest_and_counts_it() {
    listen();
    let (_dir, path) = fresh();
    let store = Store::builder(&path).queue_events(1_000).open().unwrap();
    let holder = Holder::of(&path, "BEGIN IMMEDIATE");
    let load = Load::start(&store, 10_000);
    wait_until(|| store.stats().dropped > 1_000);
    drop(holder);
    wait_until(|| store.stats().written > 1_000);
    let traffic = load.stop();
    traffic.assert_free();
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!(stats.submitted, traffic.recorded);
    assert_eq!(stats.written + stats.dropped, traffic.recorded);
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, COUNT) as u64, stats.written);
    let dropped = "SELECT sum(dropped) FROM losses WHERE reason = 'queue_full'";
    assert_eq!(value::<i64>(&conn, dropped) as u64, stats.dropped);
    let name = path.to_str().unwrap();
    assert_eq!(logged(Level::WARN, &["queue is full", name]), 1);
}
