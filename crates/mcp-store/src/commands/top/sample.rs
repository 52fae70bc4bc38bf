//! Files for the tests, written as the layer writes them.

use std::time::Duration;

use tower_mcp_store::query::Reader;
use tower_mcp_store::{RequestEvent, RequestStatus, Retention, SessionEvent, Store, StoreEvent};

use super::feed::Feed;
use super::state::State;

/// The time at which the tests read their files.
pub(crate) const NOW: i64 = 1_790_000_000_500;

/// A call of a tool that ended this many seconds before [`NOW`].
pub(crate) fn call(tool: &str, seconds: i64, latency_us: u64) -> StoreEvent {
    StoreEvent::Request(request(tool, seconds, latency_us))
}

/// Like [`call`], but the tool failed.
pub(crate) fn tool_error(tool: &str, seconds: i64, latency_us: u64) -> StoreEvent {
    let mut event = request(tool, seconds, latency_us);
    event.tool_error = true;
    StoreEvent::Request(event)
}

/// Like [`call`], but the call failed.
pub(crate) fn error(tool: &str, seconds: i64, latency_us: u64, text: &str) -> StoreEvent {
    let mut event = request(tool, seconds, latency_us);
    event.status = RequestStatus::Error;
    event.error_code = Some("-32603".into());
    event.error_msg = Some(text.into());
    StoreEvent::Request(event)
}

/// A session of a client that began this many seconds before [`NOW`].
pub(crate) fn session(id: &str, client: &str, seconds: i64) -> StoreEvent {
    let mut event = SessionEvent::new(id);
    event.started_at = NOW - seconds * 1_000;
    event.client_name = Some(client.into());
    event.client_version = Some("1.0".into());
    StoreEvent::Session(event)
}

/// The state of `top` on a file that holds these events.
pub(crate) fn state(events: Vec<StoreEvent>) -> State {
    state_after(events, "")
}

/// Like [`state`], after another program has changed the file.
pub(crate) fn state_after(events: Vec<StoreEvent>, sql: &str) -> State {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp-store.db");
    // The rows are old.
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    events.into_iter().for_each(|event| store.record(event));
    store.shutdown(Duration::from_secs(30)).unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(sql).unwrap();
    drop(conn);
    let reader = Reader::open(&path).unwrap();
    let mut feed = Feed::begin(&reader, None, NOW).unwrap();
    let mut state = State::default();
    state.update(feed.ask(state.range(), NOW).unwrap());
    state
}

fn request(tool: &str, seconds: i64, latency_us: u64) -> RequestEvent {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
    event.tool = Some(tool.into());
    event.session_id = Some("s1".into());
    event.latency_us = latency_us;
    event.ts = NOW - seconds * 1_000 - (latency_us / 1_000) as i64;
    event
}
