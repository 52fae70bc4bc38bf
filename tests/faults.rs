//! Files that are locked, full, moved, removed, damaged or not there at all.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use support::{LONG, connect, fresh, record_requests, value};
use tower_mcp_store::{Store, StoreState};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

const COUNT: &str = "SELECT count(*) FROM requests";

/// What the crate has logged, with its level.
static LOG: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_mcp_store")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{value:?} ").unwrap();
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        LOG.lock()
            .unwrap()
            .push((*event.metadata().level(), text.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

/// How often a message with all of `words` was logged.
fn logged(level: Level, words: &[&str]) -> usize {
    let log = LOG.lock().unwrap();
    log.iter()
        .filter(|(at, text)| *at == level && words.iter().all(|word| text.contains(word)))
        .count()
}

#[track_caller]
fn wait_until(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONG, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_file_that_is_locked_for_a_while_costs_nothing() {
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
fn a_file_that_is_removed_is_made_anew() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    record_requests(&store, 2);
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&path), COUNT), 2);
    assert_eq!(store.shutdown(LONG).unwrap().written, 3);
}

#[test]
fn a_file_that_is_moved_away_is_whole_and_a_new_one_goes_on() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    record_requests(&store, 2);
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&old), COUNT), 1);
    assert_eq!(value::<i64>(&connect(&path), COUNT), 2);
    store.shutdown(LONG).unwrap();
}

#[test]
fn a_file_that_is_replaced_by_something_else_is_left_alone_until_it_is_gone() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"something else").unwrap();
    record_requests(&store, 1);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"something else");
    fs::remove_file(&path).unwrap();
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&path), COUNT), 1);
}

#[test]
fn a_store_opened_in_the_background_logs_once_and_recovers() {
    listen();
    let (_dir, path) = fresh();
    fs::create_dir(&path).unwrap();
    let store = Store::builder(&path).queue_events(5).open_in_background();
    record_requests(&store, 8);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    // Let it fail a second time.
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
fn a_store_that_never_opens_ends_in_time_and_counts_what_it_lost() {
    let (_dir, path) = fresh();
    fs::write(&path, b"a file").unwrap();
    let store = Store::builder(path.join("mcp.db")).open_in_background();
    record_requests(&store, 2);
    let error = store.shutdown(Duration::from_millis(10)).unwrap_err();
    assert_eq!(
        (error.lost, error.stats.dropped, error.stats.queued),
        (2, 2, 0)
    );
    assert!(
        error.reason.unwrap().contains("cannot open"),
        "the reason is told"
    );
}

#[test]
fn a_store_that_never_opens_and_has_nothing_to_write_ends_at_once() {
    let (_dir, path) = fresh();
    fs::create_dir(&path).unwrap();
    let store = Store::builder(path).open_in_background();
    let start = Instant::now();
    store.shutdown(LONG).unwrap();
    assert!(start.elapsed() < LONG / 2);
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

#[test]
fn failures_are_told_once_per_stretch() {
    listen();
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let event = support::request();
    let id = event.request_id;
    for _ in 0..4 {
        store.record(tower_mcp_store::StoreEvent::Request(event.clone()));
        store.flush(LONG).unwrap();
    }
    let told = || logged(Level::WARN, &["refused an event", "requests.request_id"]);
    assert_eq!(told(), 1, "three refusals in a row");
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    assert_eq!(logged(Level::INFO, &["takes all events again"]), 1);
    let log = LOG.lock().unwrap();
    assert!(!log.iter().any(|(_, text)| text.contains(&id.to_string())));
    drop(log);
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM losses"), 1);
    assert_eq!(value::<i64>(&conn, "SELECT dropped FROM losses"), 3);
}

/// The file may not grow over a megabyte: `ulimit -f` in a child process.
#[cfg(unix)]
#[test]
fn a_full_disk_loses_nothing_that_is_not_told() {
    use std::process::Command;

    const CHILD: &str = "MCP_STORE_TEST_FULL_DISK";
    let (_dir, path) = fresh();
    if let Some(path) = std::env::var_os(CHILD) {
        let store = Store::open(&path).unwrap();
        record_requests(&store, 20_000);
        let error = store.shutdown(Duration::from_millis(500)).unwrap_err();
        let stats = error.stats;
        assert_eq!(
            stats.submitted,
            stats.written + stats.failed + stats.dropped + stats.queued
        );
        assert_eq!((stats.failed, stats.queued), (0, 0), "{stats}");
        assert!(error.reason.is_some(), "{error}");
        println!("written={}=", stats.written);
        return;
    }
    // The unit of the limit is 512 or 1024 bytes. Without the trap the signal
    // that comes with it would end the child.
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 1000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "a_full_disk_loses_nothing_that_is_not_told",
        ])
        .env(CHILD, &path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let written: i64 = text.split('=').nth(1).unwrap().parse().unwrap();
    let conn = connect(&path);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    assert_eq!(value::<i64>(&conn, COUNT), written);
    drop(conn);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
}
