//! Streams that are taken up again over sockets: from a server that was killed
//! and started again on the same file, and from another that shares the file.
//!
//! A server tells each event that its store has acknowledged, before it sends
//! it. What a client hears is compared with that. The clients of both SDKs take
//! a stream up again by themselves; a plain HTTP client does it beside them, so
//! that what is promised does not hang on how they do it. So do the clients of
//! the TypeScript SDK, once `tests/interop/run.sh` has installed it:
//!
//! ```text
//! cargo test --all-features --test it -- --ignored typescript
//! ```
//!
//! `MCP_STORE_TEST_KILLS=100` is the long form of them all.

mod clients;
mod plain;
mod server;
mod typescript;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use plain::Session;
use server::{Sdk, Server, Stores};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::support::{LONG, fresh};

/// How long nothing has to come for nothing more to come.
const SILENCE: Duration = Duration::from_millis(300);

/// A server lives no longer than this after its first event, in microseconds.
const LIFE: u64 = 200_000;

fn kills() -> u64 {
    std::env::var("MCP_STORE_TEST_KILLS").map_or(3, |count| count.parse().expect("a number"))
}

/// Adds what is heard up to `last`, and whatever comes at once behind it.
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

/// `connect` gives a client that has the server count, and what keeps it alive;
/// it is notified of the kill.
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
        let (tell, mut heard) = unbounded_channel();
        let killed = Arc::<Notify>::default();
        let client = connect(server.url(), tell, killed.clone()).await;
        let mut acknowledged = vec![server.acknowledged().await];
        // Who has heard nothing has no id to go on from.
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
        // The one that was under way may have been committed too.
        let whole = steps.iter().copied().eq(1..=steps.len() as u64);
        assert!(
            whole && steps.len() as u64 >= last,
            "round {round}: of {last} came {steps:?}"
        );
        drop(client);
    }
}

#[tokio::test]
async fn the_client_of_rmcp_gets_what_a_killed_server_acknowledged() {
    let connect = async |url, tell, _| clients::rmcp(url, tell).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::Rmcp, connect).await;
}

#[tokio::test]
async fn the_client_of_tower_mcp_gets_what_a_killed_server_acknowledged() {
    let connect = async |url, tell, _| clients::tower_mcp(url, tell).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::TowerMcp, connect).await;
}

#[tokio::test]
async fn a_plain_client_gets_what_a_killed_server_of_rmcp_acknowledged() {
    let connect = async |url, tell, killed| plain::follow(Sdk::Rmcp, url, tell, killed).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::Rmcp, connect).await;
}

#[tokio::test]
async fn a_plain_client_gets_what_a_killed_server_of_tower_mcp_acknowledged() {
    let connect = async |url, tell, killed| plain::follow(Sdk::TowerMcp, url, tell, killed).await;
    every_acknowledged_event_comes_once_and_in_order(Sdk::TowerMcp, connect).await;
}

#[tokio::test]
async fn a_plain_client_gets_what_a_killed_server_acknowledged_through_a_cache() {
    for sdk in [Sdk::Rmcp, Sdk::TowerMcp] {
        let connect = async |url, tell, killed| plain::follow(sdk, url, tell, killed).await;
        every_event_of_these_stores_comes_once_and_in_order(Stores::Caching, sdk, connect).await;
    }
}

/// The server goes on; only the connection is lost.
#[tokio::test]
async fn a_client_that_lost_its_connection_gets_its_events_again_from_memory() {
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

async fn the_clients_of_typescript_get_what_was_acknowledged(sdk: Sdk, how: &str) {
    for version in ["typescript", "typescript2"] {
        eprintln!("{version}");
        let connect =
            async |url: String, tell, killed| typescript::run(version, how, &url, tell, killed);
        every_acknowledged_event_comes_once_and_in_order(sdk, connect).await;
    }
}

#[tokio::test]
#[ignore = "needs what tests/interop/run.sh installs"]
async fn the_clients_of_typescript_connect_again_to_a_killed_server_of_rmcp() {
    the_clients_of_typescript_get_what_was_acknowledged(Sdk::Rmcp, "reconnect").await;
}

#[tokio::test]
#[ignore = "needs what tests/interop/run.sh installs"]
async fn the_clients_of_typescript_connect_again_to_a_killed_server_of_tower_mcp() {
    the_clients_of_typescript_get_what_was_acknowledged(Sdk::TowerMcp, "reconnect").await;
}

#[tokio::test]
#[ignore = "needs what tests/interop/run.sh installs"]
async fn the_clients_of_typescript_return_to_a_killed_server_of_rmcp() {
    the_clients_of_typescript_get_what_was_acknowledged(Sdk::Rmcp, "return").await;
}

/// One server goes on while the other takes the session over.
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
    // Only who has loaded the record of the session answers this.
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
async fn one_server_of_rmcp_hands_a_session_over_to_another() {
    a_session_is_handed_over(Sdk::Rmcp).await;
}

#[tokio::test]
async fn one_server_of_tower_mcp_hands_a_session_over_to_another() {
    a_session_is_handed_over(Sdk::TowerMcp).await;
}

/// Not a test of its own: the servers of the others, each in its own process.
#[tokio::test]
#[ignore = "run by the other tests"]
async fn server() {
    server::run().await;
}
