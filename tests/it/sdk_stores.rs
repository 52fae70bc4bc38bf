//! The stores behind the traits of the SDKs: the contracts of the SDKs, and the promises that their
//! traits leave open.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{
    ClientCapabilities, Implementation, InitializeRequestParams, ServerJsonRpcMessage,
};
use rmcp::transport::common::server_side_http::ServerSseMessage;
use rmcp::transport::streamable_http_server::session::{
    self as rmcp_session, SessionState, SessionStore as _,
};
use rmcp::transport::{StreamableHttpServerConfig, streamable_http_server};
use tokio_stream::StreamExt;
use tower_mcp::testing::store_contracts::{event_store_contract, session_store_contract};
use tower_mcp_store::Store;
use tower_mcp_store::event_store::{CachingEventStore, MemoryEventStore, SqliteEventStore};
use tower_mcp_store::session_store::{CachingSessionStore, MemorySessionStore};

use crate::support::{LONG, connect, fresh, value};

fn open(path: &Path) -> SqliteEventStore {
    Store::open(path).unwrap().event_store()
}

#[tokio::test]
async fn event_store_passes_the_contract_tests_of_tower_mcp() {
    let dir = tempfile::tempdir().unwrap();
    let made = Cell::new(0);
    event_store_contract(|| {
        made.set(made.get() + 1);
        open(&dir.path().join(format!("{}.db", made.get())))
    })
    .await;
    assert!(made.get() > 0);
}

#[tokio::test]
async fn session_store_passes_the_contract_tests_of_tower_mcp() {
    let dir = tempfile::tempdir().unwrap();
    let made = Cell::new(0);
    session_store_contract(|| {
        made.set(made.get() + 1);
        let path = dir.path().join(format!("{}.db", made.get()));
        Store::open(path).unwrap().session_store()
    })
    .await;
    assert!(made.get() > 0);
}

#[tokio::test]
async fn memory_and_caching_stores_pass_the_contract_tests_of_tower_mcp() {
    event_store_contract(MemoryEventStore::new).await;
    let backend = || MemoryEventStore::with_capacity(10_000);
    event_store_contract(|| CachingEventStore::new(MemoryEventStore::new(), backend())).await;
    session_store_contract(MemorySessionStore::new).await;
    let caching = || CachingSessionStore::new(MemorySessionStore::new(), MemorySessionStore::new());
    session_store_contract(caching).await;
}

#[tokio::test]
async fn stores_are_accepted_by_the_servers_of_the_sdks() {
    let (_dir, path) = fresh();
    let store = Store::open(path).unwrap();
    let router = tower_mcp::McpRouter::new().server_info("s", "1");
    let _ = tower_mcp::HttpTransport::new(router)
        .event_store(Arc::new(store.event_store()))
        .session_store(Arc::new(store.session_store()));
    let _ = streamable_http_server::session::local::LocalSessionManager::default()
        .with_event_store(Arc::new(store.event_store()));
    let mut config = StreamableHttpServerConfig::default();
    config.session_store = Some(Arc::new(store.session_store()));
}

fn message(id: i64) -> ServerSseMessage {
    let json =
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"answer":{id},"a":{{"b":[1.5]}}}}}}"#);
    let message: ServerJsonRpcMessage = serde_json::from_str(&json).unwrap();
    ServerSseMessage::from_message(message)
}

/// Calls `EventStore::store_event`. tower-mcp has a trait of the same name.
async fn store(
    events: &impl rmcp_session::EventStore,
    stream: &str,
    event: &ServerSseMessage,
) -> String {
    rmcp_session::EventStore::store_event(events, stream, event)
        .await
        .unwrap()
}

/// Returns the ids and messages after an id.
async fn replay(
    events: &impl rmcp_session::EventStore,
    id: &str,
) -> Result<Vec<(String, serde_json::Value)>, rmcp_session::EventStoreError> {
    let stream = rmcp_session::EventStore::replay_events_after(events, id).await?;
    let message = |event: ServerSseMessage| {
        let message = event
            .message
            .map(|message| serde_json::to_value(&*message).unwrap());
        (event.event_id.unwrap(), message.unwrap_or_default())
    };
    Ok(stream.map(message).collect().await)
}

#[tokio::test]
async fn events_of_rmcp_are_replayed_with_their_ids_in_order_after_a_restart() {
    let (_dir, path) = fresh();
    let mut ids = Vec::new();
    for round in 0..3 {
        let events = open(&path);
        for id in 0..3 {
            ids.push(store(&events, "stream", &message(3 * round + id)).await);
        }
    }
    let events = open(&path);
    let replayed = replay(&events, &ids[3]).await.unwrap();
    let expected: Vec<_> = (4..9)
        .map(|id| {
            let message = serde_json::to_value(message(id as i64).message.as_deref()).unwrap();
            (ids[id].clone(), message)
        })
        .collect();
    assert_eq!(replayed, expected);
    assert_eq!(replay(&events, &ids[8]).await.unwrap(), []);
}

#[tokio::test]
async fn priming_event_of_rmcp_keeps_its_retry_and_has_no_message() {
    let (_dir, path) = fresh();
    let events = open(&path);
    let first = store(&events, "stream", &message(1)).await;
    let retry = Duration::from_millis(1234);
    store(&events, "stream", &ServerSseMessage::retry(retry)).await;
    store(&events, "stream", &message(2)).await;
    let stream = rmcp_session::EventStore::replay_events_after(&events, &first).await;
    let replayed: Vec<_> = stream.unwrap().collect().await;
    assert_eq!(replayed[0].retry, Some(retry));
    assert!(replayed[0].message.is_none());
    assert_eq!(replayed[1].retry, None);
    assert!(replayed[1].message.is_some());
}

#[tokio::test]
async fn event_id_of_rmcp_leads_to_its_own_stream_only() {
    let (_dir, path) = fresh();
    event_ids_lead_to_their_own_streams(&open(&path)).await;
    event_ids_lead_to_their_own_streams(&MemoryEventStore::new()).await;
}

async fn event_ids_lead_to_their_own_streams(events: &impl rmcp_session::EventStore) {
    let mut first = Vec::new();
    let streams = ["a", "b", "a:common", "a ", "", "stream", "session"];
    for stream in streams {
        first.push(store(events, stream, &message(0)).await);
    }
    for (place, stream) in (1..).zip(streams) {
        store(events, stream, &message(place)).await;
    }
    for (place, id) in (1..).zip(&first) {
        let replayed = replay(events, id).await.unwrap();
        let answers: Vec<_> = replayed
            .iter()
            .map(|(_, message)| message["id"].clone())
            .collect();
        assert_eq!(answers, [place]);
    }
    let token = |id: &str| id.split_once('-').unwrap().0.to_owned();
    let tokens: std::collections::HashSet<_> = first.iter().map(|id| token(id)).collect();
    assert_eq!(tokens.len(), streams.len());

    // Invented, cut, of an event that does not exist yet, or of the other SDK.
    for id in [
        "",
        "1",
        "a",
        "stream",
        "a:common",
        "0/0",
        "00000000000000000000000000000000-1",
        &token(&first[0]),
        &format!("{}-", token(&first[0])),
        &format!("{}-3", token(&first[0])),
        &format!("{}-99", token(&first[0])),
        &format!("{}%-1", &token(&first[0])[..31]),
        &first[0].to_uppercase(),
    ] {
        let error = replay(events, id).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "backend error: there is no such event",
            "{id}"
        );
    }
}

#[tokio::test]
async fn streams_of_rmcp_and_sessions_of_tower_mcp_do_not_see_each_other() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};

    let (_dir, path) = fresh();
    let events = open(&path);
    let id = store(&events, "x", &message(1)).await;
    events.append("x", EventRecord::new(7, "{}")).await.unwrap();
    assert_eq!(events.replay_after("x", 0).await.unwrap().len(), 1);
    assert_eq!(events.replay_after(&id, 0).await.unwrap(), []);
    assert_eq!(replay(&events, &id).await.unwrap(), []);
    events.purge_session("x").await.unwrap();
    store(&events, "x", &message(2)).await;
    assert_eq!(replay(&events, &id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn evicted_events_of_an_rmcp_stream_are_skipped_and_the_rest_replayed() {
    let (_dir, path) = fresh();
    only_evicted_events_are_missing(&open(&path).max_events_per_session(3)).await;
    only_evicted_events_are_missing(&MemoryEventStore::with_capacity(3)).await;
}

async fn only_evicted_events_are_missing(events: &impl rmcp_session::EventStore) {
    let mut ids = Vec::new();
    for id in 0..6 {
        ids.push(store(events, "stream", &message(id)).await);
    }
    let replayed = replay(events, &ids[0]).await.unwrap();
    let replayed: Vec<_> = replayed.into_iter().map(|(id, _)| id).collect();
    assert_eq!(replayed, ids[3..]);
}

#[tokio::test]
async fn event_of_rmcp_is_committed_before_its_id_is_returned() {
    let (_dir, path) = fresh();
    let events = open(&path);
    store(&events, "stream", &message(1)).await;
    let count = "SELECT count(*) FROM sse_events";
    assert_eq!(value::<i64>(&connect(&path), count), 1);
}

#[tokio::test]
async fn session_of_rmcp_is_stored_until_it_is_deleted_or_expires() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let sessions = store
        .session_store()
        .with_default_ttl(Duration::from_secs(60));
    let client = Implementation::new("client", "1.2.3");
    let params = InitializeRequestParams::new(ClientCapabilities::default(), client);
    let state = SessionState::new(params);
    sessions.store("s", &state).await.unwrap();
    let expires = || -> i64 { value(&connect(&path), "SELECT expires_at FROM sdk_sessions") };
    let before = expires();

    let later = sessions.clone().with_default_ttl(Duration::from_secs(120));
    let loaded = later.load("s").await.unwrap().unwrap();
    assert_eq!(
        serde_json::to_value(loaded).unwrap(),
        serde_json::to_value(&state).unwrap()
    );
    assert!(
        expires() >= before + 50_000,
        "a session in use is kept longer"
    );
    assert!(sessions.load("other").await.unwrap().is_none());
    sessions.delete("s").await.unwrap();
    assert!(sessions.load("s").await.unwrap().is_none());

    sessions
        .with_default_ttl(Duration::ZERO)
        .store("t", &state)
        .await
        .unwrap();
    assert!(later.load("t").await.unwrap().is_none());
    store.shutdown(LONG).unwrap();
}

#[tokio::test]
async fn every_session_store_holds_a_session_of_rmcp_until_it_is_deleted() {
    async fn check(sessions: impl rmcp_session::SessionStore) {
        let client = Implementation::new("client", "1");
        let params = InitializeRequestParams::new(ClientCapabilities::default(), client);
        sessions
            .store("s", &SessionState::new(params))
            .await
            .unwrap();
        assert!(sessions.load("s").await.unwrap().is_some());
        assert!(sessions.load("t").await.unwrap().is_none());
        sessions.delete("s").await.unwrap();
        assert!(sessions.load("s").await.unwrap().is_none());
    }
    let (_dir, path) = fresh();
    let sqlite = Store::open(path).unwrap().session_store();
    check(sqlite.clone()).await;
    check(MemorySessionStore::new()).await;
    check(CachingSessionStore::new(MemorySessionStore::new(), sqlite)).await;
}

#[tokio::test]
async fn rmcp_resumes_a_session_while_the_file_is_locked() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let sessions = store.session_store().timeout(Duration::from_millis(50));
    let client = InitializeRequestParams::new(
        ClientCapabilities::default(),
        Implementation::new("client", "1"),
    );
    sessions
        .store("s", &SessionState::new(client))
        .await
        .unwrap();
    let other = connect(&path);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(sessions.load("s").await.unwrap().is_some());
}

/// Returns a message of about `bytes`.
fn answer(bytes: usize) -> ServerSseMessage {
    let text = "x".repeat(bytes);
    let message = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{text}"}}}}"#);
    ServerSseMessage::from_message(serde_json::from_str(&message).unwrap())
}

#[tokio::test]
async fn answers_to_many_requests_keep_to_the_byte_limit() {
    use rmcp_session::EventStore as _;

    let (_dir, path) = fresh();
    let events = open(&path).max_bytes(100_000);
    for request in 0..100 {
        let stream = format!("session:{request}");
        let priming = ServerSseMessage::retry(Duration::from_secs(3));
        events.store_event(&stream, &priming).await.unwrap();
        events.store_event(&stream, &answer(10_000)).await.unwrap();
    }
    let conn = connect(&path);
    let bytes: i64 = value(&conn, "SELECT bytes FROM sse_totals");
    assert!((80_000..=100_000).contains(&bytes), "{bytes}");
    let empty = "SELECT count(*) FROM sse_logs WHERE log NOT IN (SELECT log FROM sse_events)";
    assert_eq!(value::<i64>(&conn, empty), 0);
}

#[tokio::test]
async fn client_that_listens_to_a_silent_session_can_still_resume() {
    use rmcp_session::EventStore as _;

    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let events = store.event_store().max_age(Duration::from_secs(3600));
    let client = InitializeRequestParams::new(
        ClientCapabilities::default(),
        Implementation::new("client", "1"),
    );
    let sessions = store.session_store();
    sessions
        .store("s", &SessionState::new(client))
        .await
        .unwrap();
    let mut last = Vec::new();
    for stream in ["s:common", "s:1", "gone:common"] {
        last.push(events.store_event(stream, &answer(1)).await.unwrap());
    }
    // Makes the events two hours older.
    connect(&path)
        .execute_batch("UPDATE sse_events SET n = n - 7200000000")
        .unwrap();
    events.store_event("other", &answer(1)).await.unwrap();
    let next = events.store_event("s:common", &answer(2)).await.unwrap();
    let replay = events.replay_events_after(&last[0]).await.unwrap();
    let replayed: Vec<_> = replay.map(|event| event.event_id).collect().await;
    assert_eq!(replayed, [Some(next)]);
    for id in &last[1..] {
        assert!(events.replay_events_after(id).await.is_err());
    }
}
