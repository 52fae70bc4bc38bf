//! Session ids can be stored hashed. All lookups still work.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tower_mcp_store::query::{Lookup, Reader};
use tower_mcp_store::{SessionEvent, Store, StoreEvent};

use crate::support::{LONG, connect, fresh, request, rows, value};

const SECRET: &str = "1868a90c-5f4e-4d4b-9a1c-credential";

/// Records a session with three requests, and its end.
fn record(path: &Path, id: &str) {
    let store = Store::builder(path).hash_session_ids(true).open().unwrap();
    let id: Arc<str> = id.into();
    store.record(StoreEvent::Session(SessionEvent::new(Arc::clone(&id))));
    for _ in 0..3 {
        let mut event = request();
        event.session_id = Some(Arc::clone(&id));
        store.record(StoreEvent::Request(event));
    }
    store.record(StoreEvent::SessionClosed {
        session_id: id,
        ended_at: 7,
    });
    store.shutdown(LONG).unwrap();
}

#[test]
fn hashed_id_joins_a_session_its_requests_and_its_end() {
    let (_dir, path) = fresh();
    record(&path, SECRET);
    let conn = connect(&path);
    assert_eq!(
        value::<i64>(
            &conn,
            "SELECT count(*) FROM requests r JOIN sessions s USING (session_id)
             WHERE s.total_calls = 3 AND s.ended_at = 7 AND session_id GLOB 'hashed:*'"
        ),
        3
    );
}

#[test]
fn plain_id_is_nowhere_in_the_file_if_ids_are_hashed() {
    let (dir, path) = fresh();
    record(&path, SECRET);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let found = bytes.windows(8).any(|part| part == &SECRET.as_bytes()[..8]);
        assert!(!found);
    }
}

#[test]
fn hash_of_an_id_is_the_same_after_reopening_the_file() {
    let (_dir, path) = fresh();
    record(&path, SECRET);
    record(&path, SECRET);
    let conn = connect(&path);
    let calls = "SELECT total_calls FROM sessions";
    assert_eq!(rows(&conn, calls).len(), 1);
    assert_eq!(value::<i64>(&conn, calls), 6);
}

#[test]
fn id_is_stored_unchanged_by_default() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let event = SessionEvent::new(SECRET);
    store.record(StoreEvent::Session(event));
    store.shutdown(LONG).unwrap();
    let found: String = value(&connect(&path), "SELECT session_id FROM sessions");
    assert_eq!(found, SECRET);
}

#[test]
fn plain_id_finds_its_session_if_ids_are_hashed() {
    let (_dir, path) = fresh();
    record(&path, SECRET);
    let reader = Reader::open(&path).unwrap();
    let found = reader.find_session(SECRET).unwrap().one().unwrap();
    assert!(found.session_id.starts_with("hashed:"));
    assert_eq!(found.total_calls, 3);
    let mut stored = found.session_id.clone();
    assert_eq!(
        reader.find_session(&stored).unwrap().one(),
        Some(found.clone())
    );
    stored.truncate("hashed:".len() + 4);
    assert_eq!(reader.find_session(&stored).unwrap().one(), Some(found));
    // The beginning of an id does not lead to its hash.
    let beginning = &SECRET[..SECRET.len() - 1];
    assert_eq!(reader.find_session(beginning).unwrap(), Lookup::Nothing);
}
