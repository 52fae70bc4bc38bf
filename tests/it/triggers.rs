//! What the user's triggers can and cannot do.

use std::time::Duration;

use rusqlite::Connection;
use tower_mcp_store::{SessionEvent, Store, StoreEvent};

use crate::support::{LONG, connect, fresh, request, value};

const REQUESTS: &str = "SELECT count(*) FROM requests";

/// Returns a store, and another connection that has run `sql`.
fn store_with(sql: &str) -> (tempfile::TempDir, Store, Connection) {
    let (dir, path) = fresh();
    let store = Store::open(path).unwrap();
    let conn = connect(store.path());
    conn.execute_batch(sql).unwrap();
    (dir, store, conn)
}

#[test]
fn trigger_that_refuses_the_counters_of_a_session_loses_no_request() {
    let (_dir, store, conn) = store_with(
        "CREATE TRIGGER protect BEFORE UPDATE ON sessions
         BEGIN SELECT RAISE(ABORT, 'sessions are final'); END",
    );
    store.record(StoreEvent::Session(SessionEvent::new("s")));
    let mut event = request();
    event.session_id = Some("s".into());
    store.record(StoreEvent::Request(event));
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&conn, REQUESTS), 1);
    let calls = "SELECT total_calls FROM sessions";
    assert_eq!(value::<i64>(&conn, calls), 0, "as the trigger wants it");
    assert_eq!(store.shutdown(LONG).unwrap().failed, 0);
}

#[test]
fn trigger_that_rolls_a_batch_back_delays_it_and_loses_nothing() {
    let (_dir, store, conn) = store_with(
        "CREATE TRIGGER strict BEFORE INSERT ON requests WHEN NEW.tool = 'bad'
         BEGIN SELECT RAISE(ROLLBACK, 'no bad tools'); END",
    );
    for tool in ["good", "bad", "better"] {
        let mut event = request();
        event.tool = Some(tool.into());
        store.record(StoreEvent::Request(event));
    }
    let error = store.flush(Duration::from_millis(200)).unwrap_err();
    assert!(error.to_string().contains("no bad tools"), "{error}");
    assert_eq!(value::<i64>(&conn, REQUESTS), 0);
    conn.execute_batch("DROP TRIGGER strict").unwrap();
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&conn, REQUESTS), 3);
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.failed), (3, 0));
}
