//! Each request arrives once, even if a process is killed or a connection is cut.

use std::time::Duration;

use tower_mcp_store::Retention;
use tower_mcp_store_postgres::{PostgresErrorKind, ShipConfig, ship};

use crate::ship::request_ids;
use crate::support::{self, Cut, LONG, Relay, Replica, blocking, eventually, init};

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_is_cut_before_the_commit_has_written_nothing() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 1);
    replica.ship(database.target()).await.unwrap();
    replica.record("s", 20);
    let relay = Relay::start(server.port()).await;
    for step in [
        &b"START TRANSACTION"[..],
        b"INSERT INTO requests",
        b"UPDATE sources",
    ] {
        relay.set(Cut::Before(step));
        let error = replica.ship(database.target_at(relay.port())).await;
        assert_eq!(error.unwrap_err().kind(), PostgresErrorKind::Connection);
        assert_eq!(database.number("SELECT count(*) FROM requests").await, 1);
    }
    relay.set(Cut::Never);
    let stats = replica
        .ship(database.target_at(relay.port()))
        .await
        .unwrap();
    assert_eq!((stats.attempted, stats.inserted), (20, 20));
    assert_eq!(relay.cuts(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_whose_commit_was_not_answered_is_written_once() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    // The first connection claims the file, which is a transaction, too.
    replica.ship(database.target()).await.unwrap();
    replica.record("s", 20);
    let relay = Relay::start(server.port()).await;
    // The first commit is that of the transaction that claims the file.
    relay.set(Cut::AfterAll(&[b"UPDATE sources", b"COMMIT"]));
    let error = replica.ship(database.target_at(relay.port())).await;
    assert_eq!(error.unwrap_err().kind(), PostgresErrorKind::Connection);
    assert_eq!(request_ids(&database).await, replica.request_ids());
    relay.set(Cut::Never);
    let stats = replica.ship(database.target_at(relay.port())).await;
    let stats = stats.unwrap();
    assert_eq!((stats.attempted, stats.inserted), (20, 0));
    assert_eq!(request_ids(&database).await, replica.request_ids());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_is_killed_under_load_gets_each_request_once() {
    let Some(server) = support::own_postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    let config = ShipConfig::new(database.target()).batch_rows(50);
    let shipper = ship(replica.store(), config).unwrap();
    for round in 1..=3 {
        replica.record("s", 500);
        // It may be in the middle of the backlog.
        tokio::time::sleep(Duration::from_millis(30)).await;
        server.stop_immediately();
        eventually("the shipper notices", async || {
            replica.record("s", 10);
            shipper.stats().failures >= round
        })
        .await;
        server.run();
        eventually("the shipper catches up", async || {
            shipper.stats().is_caught_up
        })
        .await;
    }
    let stats = blocking(move || shipper.stop(LONG)).await.unwrap();
    let database = server.reconnected(&database).await;
    assert_eq!(request_ids(&database).await, replica.request_ids());
    assert!(stats.attempted >= stats.inserted);
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_after_which_the_file_exceeds_its_limit_is_reported_in_losses() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let relay = Relay::start(server.port()).await;
    let limit = 1 << 20;
    let replica = Replica::with(Retention::default().max_bytes(limit));
    replica.record("s", 100);
    let config = || ShipConfig::new(database.target_at(relay.port()));
    replica.ship_with(config()).await.unwrap();
    relay.set(Cut::Now);
    for _ in 0..20 {
        replica.record("s", 500);
    }
    let error = replica.ship_with(config()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Connection);
    relay.set(Cut::Never);
    replica.ship_with(config()).await.unwrap();
    let lost = "SELECT coalesce(sum(dropped), 0)::bigint FROM losses WHERE reason = 'unshipped'";
    let lost = database.number(lost).await;
    assert!(lost > 0, "the file kept within its limit");
    let arrived = database.number("SELECT count(*) FROM requests").await;
    assert_eq!(arrived + lost, 10_100);
}
