//! Clients resume streams over sockets: from a server that was killed and started again on the same
//! file, and from another server that shares the file.
//!
//! A server prints each event that its store has acknowledged before it sends the event. The test
//! compares what a client receives with that. The clients of both SDKs resume a stream by
//! themselves. A plain HTTP client does the same, so that the test does not depend on how the SDKs
//! resume. The clients of the TypeScript SDK run once `tests/interop/run.sh` has installed them:
//!
//! ```text
//! cargo test --all-features --test it -- --ignored typescript
//! ```
//!
//! `MCP_STORE_TEST_KILLS=100` is the long form of all of them.

mod clients;
mod plain_client;
mod server;
mod typescript;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use plain_client::Session;
use server::{Sdk, Server, Stores};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::support::{LONG, fresh};

/// How long a stream must be silent to count as finished.
const SILENCE: Duration = Duration::from_millis(300);

/// A server lives at most this long after its first event, in microseconds.
const LIFE: u64 = 200_000;

fn kills() -> u64 {
    std::env::var("MCP_STORE_TEST_KILLS").map_or(3, |count| count.parse().expect("a number"))
}

/// Adds the events up to `last`, and those that arrive right after it.
async fn hear(heard: &mut UnboundedReceiver<u64>, last: u64, steps: &mut Vec<u64>) {
    loop {
        let wait = match steps.last() {
            Some(step) if *step >= last => SILENCE,
            _ => LONG,
        };
        match timeout(wait, heard.recv()).await {
            Ok(Some(step)) => steps.push(step),
            _ => return,
        }
    }
}

/// `connect` returns a client that makes the server count, and a value that keeps the client alive.
/// The client is notified of the kill.
async fn every_acknowledged_event_comes_once_and_in_order<C>(
    sdk: Sdk,
    connect: impl AsyncFn(String, UnboundedSender<u64>, Arc<Notify>) -> C,
) {
    every_event_of_these_stores_comes_once_and_in_order(Stores::Sqlite, sdk, connect).await;
}

async fn every_event_of_these_stores_comes_once_and_in_order<C>(
    stores: Stores,
    sdk: Sdk,
    connect: impl AsyncFn(String, UnboundedSender<u64>, Arc<Notify>) -> C,
) {
    let (_dir, path) = fresh();
    let mut server = Server::start_with(stores, sdk, &path, 0).await;
    for round in 0..kills() {
        let (sender, mut heard) = unbounded_channel();
        let killed = Arc::<Notify>::default();
        let client = connect(server.url(), sender, killed.clone()).await;
        let mut acknowledged = vec![server.acknowledged().await];
        // A client without a first event has no id from which to resume.
        let first = timeout(LONG, heard.recv()).await.unwrap();
        let mut steps = Vec::from_iter(first);
        let moment = RandomState::new().hash_one(round) % LIFE;
        tokio::time::sleep(Duration::from_micros(moment)).await;
        let port = server.port;
        acknowledged.extend(server.kill().await);
        killed.notify_one();
        server = Server::start_with(stores, sdk, &path, port).await;

        let last = acknowledged.len() as u64;
        assert!(acknowledged.iter().copied().eq(1..=last), "round {round}");
        hear(&mut heard, last, &mut steps).await;
        // The event that was under way may have been committed too.
        let whole = steps.iter().copied().eq(1..=steps.len() as u64);
        assert!(
            whole && steps.len() as u64 >= last,
            "round {round}: of {last} came {steps:?}"
        );
        drop(client);
    }
}

#[tokio::test]
async fn rmcp_client_gets_every_event_a_killed_server_acknowledged() {
    let connect = async |url, sender, _| clients::rmcp(url, sender).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::Rmcp, connect).await;
}

#[tokio::test]
async fn tower_mcp_client_gets_every_event_a_killed_server_acknowledged() {
    let connect = async |url, sender, _| clients::tower_mcp(url, sender).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::TowerMcp, connect).await;
}

#[tokio::test]
async fn plain_client_gets_every_event_a_killed_rmcp_server_acknowledged() {
    let connect =
        async |url, sender, killed| plain_client::follow(Sdk::Rmcp, url, sender, killed).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::Rmcp, connect).await;
}

#[tokio::test]
async fn plain_client_gets_every_event_a_killed_tower_mcp_server_acknowledged() {
    let connect =
        async |url, sender, killed| plain_client::follow(Sdk::TowerMcp, url, sender, killed).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::TowerMcp, connect).await;
}

#[tokio::test]
async fn plain_client_gets_every_event_a_killed_server_acknowledged_through_a_cache() {
    for sdk in [Sdk::Rmcp, Sdk::TowerMcp] {
        let connect =
            async |url, sender, killed| plain_client::follow(sdk, url, sender, killed).await;
        every_event_of_these_stores_comes_once_and_in_order(Stores::Caching, sdk, connect).await;
    }
}

/// The server keeps running; only the connection is lost.
#[tokio::test]
async fn client_that_lost_its_connection_gets_its_events_from_memory() {
    const HEARD: u64 = 10;
    for sdk in [Sdk::Rmcp, Sdk::TowerMcp] {
        let (_dir, path) = fresh();
        let server = Server::start_with(Stores::Memory, sdk, &path, 0).await;
        let mut session = Session::open(&server.url()).await;
        let mut events = session.count(sdk, &server.url()).await;
        let mut ids = Vec::new();
        while (ids.len() as u64) < HEARD {
            let event = timeout(LONG, events.next()).await.unwrap().unwrap();
            if event.progress.is_some() {
                ids.push(event.id);
            }
        }
        drop(events);
        let listening = session.listen(&server.url(), Some(&ids[4])).await;
        let mut events = listening.unwrap();
        for step in 6..=HEARD {
            let event = timeout(LONG, events.next()).await.unwrap().unwrap();
            assert_eq!(event.progress, Some(step), "{sdk:?}");
            assert_eq!(event.id, ids[step as usize - 1], "{sdk:?}");
        }
    }
}

async fn typescript_clients_get_every_acknowledged_event(sdk: Sdk, how: &str) {
    for version in ["typescript", "typescript2"] {
        eprintln!("{version}");
        let connect =
            async |url: String, sender, killed| typescript::run(version, how, &url, sender, killed);
        every_acknowledged_event_comes_once_and_in_order(sdk, connect).await;
    }
}

#[tokio::test]
#[ignore = "needs what tests/interop/run.sh installs"]
async fn typescript_clients_connect_again_to_a_killed_rmcp_server() {
    typescript_clients_get_every_acknowledged_event(Sdk::Rmcp, "reconnect").await;
}

#[tokio::test]
#[ignore = "needs what tests/interop/run.sh installs"]
async fn typescript_clients_connect_again_to_a_killed_tower_mcp_server() {
    typescript_clients_get_every_acknowledged_event(Sdk::TowerMcp, "reconnect").await;
}

#[tokio::test]
#[ignore = "needs what tests/interop/run.sh installs"]
async fn typescript_clients_return_to_a_killed_rmcp_server() {
    typescript_clients_get_every_acknowledged_event(Sdk::Rmcp, "return").await;
}

/// One server keeps running while the other takes the session over.
async fn a_session_is_handed_over(sdk: Sdk) {
    let (_dir, path) = fresh();
    let mut first = Server::start(sdk, &path, 0).await;
    let second = Server::start(sdk, &path, 0).await;
    let mut session = Session::open(&first.url()).await;
    let mut events = session.count(sdk, &first.url()).await;
    let (mut steps, mut last) = (Vec::new(), None);
    while steps.len() < 5 {
        let event = timeout(LONG, events.next()).await.unwrap().unwrap();
        steps.extend(event.progress);
        last = Some(event.id);
    }
    let mut acknowledged = 0;
    while acknowledged < 50 {
        acknowledged = first.acknowledged().await;
    }
    // Only a server that has loaded the record of the session answers this.
    let listening = session.listen(&second.url(), last.as_deref()).await;
    let mut events = listening.expect("a session that is known");
    while steps.last().is_none_or(|step| *step < acknowledged) {
        let event = timeout(LONG, events.next()).await.unwrap().unwrap();
        steps.extend(event.progress);
    }
    assert!(
        steps.iter().copied().eq(1..=steps.len() as u64),
        "{steps:?}"
    );
    session.ping(&second.url()).await;
}

#[tokio::test]
async fn session_moves_from_one_rmcp_server_to_another() {
    a_session_is_handed_over(Sdk::Rmcp).await;
}

#[tokio::test]
async fn session_moves_from_one_tower_mcp_server_to_another() {
    a_session_is_handed_over(Sdk::TowerMcp).await;
}

/// Not a test: the server of other tests, each in a process of its own.
#[tokio::test]
#[ignore = "run by the other tests"]
async fn server() {
    server::run().await;
}
