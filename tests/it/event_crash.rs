//! Servers that are killed while they append. `MCP_STORE_TEST_KILLS=100` kills them 100 times.

use std::path::Path;
use std::process::Child;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use rmcp::transport::common::server_side_http::ServerSseMessage;
use rmcp::transport::streamable_http_server::session as rmcp_session;
use tokio_stream::StreamExt;
use tower_mcp_store::event_store::{EventRecord, EventStore};
use tower_mcp_store::{Store, StoreEvent};

use crate::support::{self, LONG, child, fresh, request, value};

/// The environment variables with the child's path and its first event id.
const CHILD: &str = "MCP_STORE_TEST_CRASH_PATH";
const FROM: &str = "MCP_STORE_TEST_CRASH_FROM";

/// How many sessions are appended to at the same time.
const SESSIONS: u64 = 4;

fn kills(default: u64) -> u64 {
    std::env::var("MCP_STORE_TEST_KILLS")
        .map_or(default, |count| count.parse().expect("a number of kills"))
}

/// Runs the test `name` again in a process of its own. Also returns the lines that it prints with a
/// `!` before them.
fn spawn(name: &str, path: &Path, from: u64) -> (Child, Receiver<String>) {
    let mut test = child::test(&format!("event_crash::{name}"));
    child::spawn(test.env(CHILD, path).env(FROM, from.to_string()))
}

/// Appends to all sessions for ever while telemetry is recorded. Prints each acknowledged append:
/// the session, the id, and rmcp's id.
async fn append_for_ever(path: &Path, from: u64) {
    let store = Store::open(path).unwrap();
    for session in 0..SESSIONS {
        let store = store.clone();
        tokio::spawn(async move {
            let events = store.event_store().max_events_per_session(1_000_000);
            for id in from.. {
                let name = session.to_string();
                let event = EventRecord::new(id, format!("{session}/{id}"));
                events.append(&name, event).await.unwrap();
                let stream = format!("{session}:common");
                let event = ServerSseMessage::retry(Duration::from_millis(id));
                let stored = rmcp_session::EventStore::store_event(&events, &stream, &event).await;
                println!("!{session} {id} {}", stored.unwrap());
            }
        });
    }
    loop {
        for _ in 0..100 {
            store.record(StoreEvent::Request(request()));
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn events_acknowledged_before_a_kill_are_replayed_once_and_in_order() {
    if let Ok(path) = std::env::var(CHILD) {
        let from = std::env::var(FROM).unwrap().parse().unwrap();
        return append_for_ever(Path::new(&path), from).await;
    }
    let (_dir, path) = fresh();
    let mut acknowledged = vec![0; SESSIONS as usize];
    let mut streams = vec![Vec::new(); SESSIONS as usize];
    let mut from = 1;
    for round in 0..kills(3) {
        let test = "events_acknowledged_before_a_kill_are_replayed_once_and_in_order";
        let (mut child, lines) = spawn(test, &path, from);
        let mut printed = vec![lines.recv_timeout(LONG).unwrap()];
        // At a different moment in each round.
        thread::sleep(Duration::from_micros(round * 7919 % 50_000));
        child.kill().unwrap();
        child.wait().unwrap();
        // A printed line is an acknowledged append. The last line may be cut short.
        printed.extend(lines.iter());
        for line in printed {
            let mut words = line.split(' ');
            let mut next = || words.next().unwrap_or_default().to_owned();
            let (session, id, place) = (next(), next(), next());
            let is_whole = place
                .split_once('-')
                .is_some_and(|(token, n)| token.len() == 32 && !n.is_empty());
            if let (true, Ok(session), Ok(id)) = (is_whole, session.parse::<usize>(), id.parse()) {
                acknowledged[session] = id;
                streams[session].push((id, place));
            }
        }

        let store = Store::open(&path).unwrap();
        let events = store.event_store();
        for (session, newest) in acknowledged.iter().enumerate() {
            let name = session.to_string();
            let replayed = events.replay_after(&name, 0).await.unwrap();
            let ids: Vec<_> = replayed.iter().map(|event| event.id).collect();
            assert!(ids.is_sorted_by(|a, b| a < b), "once and in order");
            from = from.max(ids.last().unwrap_or(&0) + 1);
            // The append that was under way may be stored too.
            let kept = ids.iter().filter(|id| *id <= newest).count() as u64;
            assert!(ids.last().unwrap_or(&0) >= newest, "session {session}");
            for event in &replayed {
                assert_eq!(event.data, format!("{name}/{}", event.id));
            }
            let printed = streams[session].len() as u64;
            assert!(kept >= printed, "{kept} of {printed} are left");

            let Some((first, place)) = streams[session].first() else {
                // The process was killed before it acknowledged an append to this session.
                continue;
            };
            let stream = rmcp_session::EventStore::replay_events_after(&events, place).await;
            let stream: Vec<_> = stream.unwrap().collect().await;
            let found: Vec<_> = stream
                .iter()
                .map(|event| event.event_id.clone().unwrap())
                .collect();
            let mut last = 0;
            for (id, place) in &streams[session][1..] {
                assert!(id > first);
                let at = found.iter().position(|found| found == place);
                let at = at.expect("an acknowledged event is replayed") + 1;
                assert!(at > last, "in order");
                last = at;
            }
        }
        store.shutdown(LONG).unwrap();
        let check: String = value(&support::connect(&path), "PRAGMA integrity_check");
        assert_eq!(check, "ok");
    }
}
