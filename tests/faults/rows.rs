//! Rows that SQLite refuses, and clocks that go back.

use tower_mcp_store::{Retention, SessionEvent, Store, StoreEvent};
use tracing::Level;

use crate::COUNT;
use crate::log::{LOG, listen, logged};
use crate::support::{LONG, connect, fresh, record_requests, request, rows, value};

#[test]
fn failures_in_a_row_are_logged_once() {
    listen();
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let event = request();
    let id = event.request_id;
    for _ in 0..4 {
        store.record(StoreEvent::Request(event.clone()));
        store.flush(LONG).unwrap();
    }
    let name = path.to_str().unwrap();
    let logged_refusals = || {
        logged(
            Level::WARN,
            &["refused an event", name, "requests.request_id"],
        )
    };
    assert_eq!(logged_refusals(), 1, "three refusals in a row");
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

#[test]
fn bad_row_in_a_batch_fails_alone() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path).flush_interval(LONG).open().unwrap();
    let event = request();
    record_requests(&store, 500);
    for _ in 0..3 {
        store.record(StoreEvent::Request(event.clone()));
    }
    record_requests(&store, 500);
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.failed, stats.dropped), (1001, 2, 0));
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, COUNT), 1001);
    let dropped = "SELECT sum(dropped) FROM losses WHERE reason = 'write_failed'";
    assert_eq!(value::<i64>(&conn, dropped), 2);
}

#[test]
fn clock_set_back_keeps_the_order_of_times() {
    const AHEAD: i64 = 4_000_000_000_000;
    let (_dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    // A writer that was killed while the clock was ahead.
    conn.execute(
        "INSERT INTO writers (id, started_at, seen_at) VALUES ('killed', ?1, ?1)",
        [AHEAD],
    )
    .unwrap();
    // The store does not take rows for old either.
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    let mut session = SessionEvent::new("s");
    session.started_at = AHEAD;
    store.record(StoreEvent::Session(session));
    for ts in [AHEAD + 2, AHEAD + 1, 1_000] {
        let mut event = request();
        event.ts = ts;
        event.session_id = Some("s".into());
        store.record(StoreEvent::Request(event));
        store.flush(LONG).unwrap();
    }
    assert_eq!(store.shutdown(LONG).unwrap().written, 4);
    let session = "SELECT total_calls = 3 AND last_seen_at = started_at + 2 FROM sessions";
    assert!(value::<bool>(&conn, session));
    let losses = "SELECT from_ts, to_ts FROM losses";
    assert_eq!(rows(&conn, losses), [[AHEAD.into(), AHEAD.into()]]);
}
