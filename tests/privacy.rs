//! What must never be stored is not in the file, its WAL, or anywhere near.

#[path = "faults/log.rs"]
mod log;
mod recording;

use std::fmt::Debug;
use std::time::Duration;

use recording::{Recording, event_stream, exchange, json, post_with, response};
use tower_mcp_store::event_store::{CachingEventStore, EventRecord, EventStore, MemoryEventStore};
use tower_mcp_store::session_store::{
    CachingSessionStore, MemorySessionStore, SessionRecord, SessionStore,
};
use tower_mcp_store::{Principal, RequestEvent, RequestStatus, Store, StoreEvent};
use tracing::Level;

const SECRET: &str = "s3cr3t-c0ffee";

#[tokio::test]
async fn bodies_arguments_results_and_headers_leave_no_trace() {
    let recording = Recording::start();
    let layer = recording.layer();
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"token":"{SECRET}"}},"_meta":{{"x":"{SECRET}","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"Zed","title":"{SECRET}"}}}}}}}}"#
    );
    let read = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"https://me:{SECRET}@host/x"}}}}"#
    );
    let result = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{SECRET}"}}],"isError":true}}}}"#
    );
    let error = format!(
        r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":"no","data":"{SECRET}"}}}}"#
    );
    let headers = [
        ("authorization", SECRET),
        ("cookie", SECRET),
        ("user-agent", SECRET),
        ("mcp-param-key", SECRET),
        ("x-api-key", SECRET),
        ("last-event-id", SECRET),
    ];
    for body in [&call, &read] {
        for answer in [
            json(&result),
            event_stream(format!("id: {SECRET}\ndata: {result}\n\n")),
            json(&error),
            response(
                500,
                "application/json",
                format!(r#"{{"detail":"{SECRET}"}}"#),
            ),
            response(500, "", format!(r#"{{"detail":"{SECRET}"}}"#)),
            response(500, "text/html", SECRET),
            response(200, "text/plain", SECRET),
        ] {
            let mut request = post_with(&headers, body);
            request.extensions_mut().insert(Principal::new("alice"));
            exchange(&layer, request, answer).await.unwrap();
        }
    }
    assert_eq!(recording.rows().len(), 14);

    let mut files = 0;
    for file in std::fs::read_dir(recording.store.path().parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!found, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2, "the file and its WAL");
}

/// Fails if it shows the secret.
#[track_caller]
fn shows_nothing(thing: &impl Debug) {
    let shown = format!("{thing:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn ids_of_sessions_and_their_events_are_neither_logged_nor_shown() {
    log::listen();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    let store = Store::open(&path).unwrap();
    let timeout = Duration::from_millis(20);
    let events = store.event_store().timeout(timeout);
    let sessions = store.session_store().timeout(timeout);
    let events = CachingEventStore::new(MemoryEventStore::new(), events);
    let sessions = CachingSessionStore::new(MemorySessionStore::new(), sessions);
    let event = || EventRecord::new(1, SECRET);
    let record = SessionRecord::new("sdk", SECRET, SECRET, Duration::from_secs(60));
    events.append(SECRET, event()).await.unwrap();
    sessions.save(&record).await.unwrap();
    shows_nothing(&(&events, &sessions, &store, &record));

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    shows_nothing(&events.append(SECRET, event()).await.unwrap_err());
    shows_nothing(&events.purge_session(SECRET).await.unwrap_err());
    shows_nothing(&sessions.save(&record).await.unwrap_err());
    shows_nothing(&sessions.delete("sdk", SECRET).await.unwrap_err());
    let mut request = RequestEvent::new("tools/call", RequestStatus::Ok);
    request.session_id = Some(SECRET.into());
    store.record(StoreEvent::Request(request));
    shows_nothing(&store.flush(Duration::from_secs(1)).unwrap_err());
    assert!(log::logged(Level::WARN, &["cannot write"]) > 0);
    other.execute_batch("ROLLBACK").unwrap();
    // Neither as it ought to be: no text, no number.
    other
        .execute_batch("UPDATE sse_events SET ts = 'x'; UPDATE sdk_sessions SET expires_at = 'x'")
        .unwrap();
    for secret in events.replay_after(SECRET, 0).await.unwrap_or_default() {
        assert_eq!(secret.data, SECRET, "to whoever asks for it alone");
    }
    drop(sessions.load("sdk", SECRET).await);
    store.shutdown(Duration::from_secs(5)).unwrap();
    shows_nothing(&events.append(SECRET, event()).await.unwrap_err());

    let log = log::LOG.lock().unwrap();
    assert!(
        log.iter().all(|(_, line)| !line.contains(SECRET)),
        "{log:?}"
    );
}
