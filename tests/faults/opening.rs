//! Files that the store cannot open at first, or at all.

use std::fs;
use std::time::{Duration, Instant};

use tower_mcp_store::query::Reader;
use tower_mcp_store::{Store, StoreState};
use tracing::Level;

use crate::log::{listen, logged};
use crate::support::{LONG, connect, fresh, record_requests, value};
use crate::{COUNT, wait_until};

#[test]
fn store_opened_in_the_background_logs_once_and_recovers() {
    listen();
    let (_dir, path) = fresh();
    fs::create_dir(&path).unwrap();
    let store = Store::builder(&path).queue_events(5).open_in_background();
    record_requests(&store, 8);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    // Time for a second failed attempt.
    std::thread::sleep(Duration::from_millis(100));
    let StoreState::Failing { reason } = store.state() else {
        panic!("{}", store.state());
    };
    assert!(reason.contains("it is a directory"), "{reason}");
    let stats = store.stats();
    assert_eq!((stats.queued, stats.dropped), (5, 3));

    fs::remove_dir(&path).unwrap();
    store.flush(LONG).unwrap();
    assert_eq!(store.state(), StoreState::Ready);
    let name = path.to_str().unwrap();
    assert_eq!(logged(Level::ERROR, &[name]), 1);
    store.shutdown(LONG).unwrap();
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, COUNT), 5);
    assert_eq!(value::<i64>(&conn, "SELECT dropped FROM losses"), 3);
}

#[test]
fn store_that_never_opens_shuts_down_in_time_and_counts_its_losses() {
    let (_dir, path) = fresh();
    fs::write(&path, b"a file").unwrap();
    let store = Store::builder(path.join("mcp.db")).open_in_background();
    record_requests(&store, 2);
    let error = store.shutdown(Duration::from_millis(10)).unwrap_err();
    assert_eq!(
        (error.lost(), error.stats().dropped, error.stats().queued),
        (2, 2, 0)
    );
    assert!(
        error.reason().unwrap().contains("cannot open"),
        "the state has the reason"
    );
}

#[test]
fn store_that_never_opens_and_has_an_empty_queue_shuts_down_at_once() {
    let (_dir, path) = fresh();
    fs::create_dir(&path).unwrap();
    let store = Store::builder(path).open_in_background();
    let start = Instant::now();
    store.shutdown(LONG).unwrap();
    assert!(start.elapsed() < LONG / 2);
}

#[test]
fn directories_that_are_created_are_named_in_the_log() {
    listen();
    let (dir, _) = fresh();
    let parent = dir.path().join("a/b");
    let path = parent.join("mcp.db");
    for _ in 0..2 {
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
    }
    let name = parent.to_str().unwrap();
    assert_eq!(logged(Level::INFO, &["created the directory", name]), 1);
}

#[test]
fn opening_under_another_key_logs_one_warning_with_both_fingerprints_and_never_the_key() {
    listen();
    let (_dir, path) = fresh();
    for key in [[1; 32], [2; 32], [2; 32]] {
        let store = Store::builder(&path).shared_key(key).open().unwrap();
        store.shutdown(LONG).unwrap();
    }
    let info = Reader::open(&path).unwrap().info().unwrap();
    let name = path.display().to_string();
    let [first, second] = [&info.key_fingerprints[0], &info.key_fingerprints[1]];
    assert_eq!(logged(Level::WARN, &[&name, first, second]), 1);
    assert_eq!(logged(Level::WARN, &[&name]), 1);
}
