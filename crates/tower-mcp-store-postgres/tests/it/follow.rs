//! A follower shows each request once.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use tower_mcp_store::StoreEvent;
use tower_mcp_store::query::RequestFilter;
use tower_mcp_store_postgres::{
    FleetFollower, FleetReader, FleetRequest, PostgresError, PostgresErrorKind, ShipConfig, ship,
};

use crate::support::{self, Database, LONG, Postgres, Replica, blocking, init, request};

/// A follower that polls away from the runtime of the test.
struct Following(Option<FleetFollower>);

impl Following {
    async fn start(database: &Database, filter: RequestFilter, limit: usize) -> Self {
        let target = database.target();
        let begin = move || FleetReader::open(&target).unwrap().follow(filter, limit);
        Self(Some(blocking(begin).await))
    }

    async fn poll(&mut self) -> Result<Vec<FleetRequest>, PostgresError> {
        let mut follower = self.0.take().unwrap();
        let (follower, found) = blocking(move || {
            let found = follower.poll();
            (follower, found)
        })
        .await;
        self.0 = Some(follower);
        found
    }

    /// Returns the request ids that the next poll finds.
    async fn ids(&mut self) -> Vec<String> {
        let found = self.poll().await.unwrap().into_iter();
        found.map(|found| found.request.request_id).collect()
    }

    /// Polls until nothing is left, and returns the request ids of each poll.
    async fn drain(&mut self) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        loop {
            match self.ids().await {
                ids if ids.is_empty() => return all,
                ids => all.push(ids),
            }
        }
    }
}

impl Drop for Following {
    /// A runtime cannot be dropped within another one.
    fn drop(&mut self) {
        let follower = self.0.take();
        let _ = thread::spawn(move || drop(follower)).join();
    }
}

async fn fleet(server: &Postgres) -> Database {
    let database = server.database().await;
    init(database.target()).await.unwrap();
    database
}

/// Adds request ids, none of which may be there.
fn add(all: &mut BTreeSet<String>, ids: Vec<String>) {
    for id in ids {
        assert!(all.insert(id), "a request was shown twice");
    }
}

fn ids_of(replicas: &[&Replica]) -> BTreeSet<String> {
    replicas.iter().flat_map(|one| one.request_ids()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_shows_each_request_of_files_that_ship_in_turn_once_across_a_restart() {
    let Some(server) = support::own_postgres() else {
        return;
    };
    let database = fleet(&server).await;
    let (first, second) = (Replica::new(), Replica::new());
    for replica in [&first, &second] {
        replica.record("old", 3);
        replica.ship(database.target()).await.unwrap();
    }
    let mut following = Following::start(&database, RequestFilter::new(), 100).await;
    let mut shown = BTreeSet::new();
    add(&mut shown, following.ids().await);
    assert_eq!(shown, ids_of(&[&first, &second]));
    for _ in 0..3 {
        for replica in [&first, &second] {
            replica.record("new", 2);
            replica.ship(database.target()).await.unwrap();
            add(&mut shown, following.ids().await);
        }
    }
    assert_eq!(shown, ids_of(&[&first, &second]));
    let joined = Replica::new();
    joined.record("joined", 5);
    joined.ship(database.target()).await.unwrap();
    first.record("last before the restart", 1);
    first.ship(database.target()).await.unwrap();
    server.stop_immediately();
    let error = following.poll().await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Connection, "{error}");
    server.run();
    second.record("after the restart", 4);
    second.ship(database.target()).await.unwrap();
    add(&mut shown, following.ids().await);
    assert_eq!(shown, ids_of(&[&first, &second, &joined]));
    assert_eq!(following.ids().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_return_a_backlog_of_two_files_in_parts() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = fleet(&server).await;
    let mut following = Following::start(&database, RequestFilter::new(), 10).await;
    assert_eq!(following.ids().await, [""; 0]);
    let replicas = [Replica::new(), Replica::new()];
    for (number, replica) in (1..).zip(&replicas) {
        replica.record("s", 600 * number);
        replica.ship(database.target()).await.unwrap();
    }
    let parts = following.drain().await;
    let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
    assert_eq!(lengths, [1_000, 600, 200]);
    let mut shown = BTreeSet::new();
    parts.into_iter().for_each(|ids| add(&mut shown, ids));
    assert_eq!(shown, ids_of(&replicas.each_ref()));
}

#[tokio::test(flavor = "multi_thread")]
async fn first_poll_returns_the_newest_requests_and_all_are_in_order_of_time() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = fleet(&server).await;
    let replicas = [Replica::new(), Replica::new()];
    let record = |from: i64| {
        for (number, replica) in (from..).zip(&replicas) {
            for step in 0..4 {
                let mut event = request();
                event.ts = 1_795_046_400_000 + 2 * step + number;
                replica.store().record(StoreEvent::Request(event));
            }
            replica.store().flush(LONG).unwrap();
        }
    };
    record(0);
    for replica in &replicas {
        replica.ship(database.target()).await.unwrap();
    }
    let mut following = Following::start(&database, RequestFilter::new(), 3).await;
    let times = |found: Vec<FleetRequest>| -> Vec<i64> {
        let times = found.into_iter().map(|found| found.request.ts);
        times.map(|ts| ts - 1_795_046_400_000).collect()
    };
    assert_eq!(times(following.poll().await.unwrap()), [5, 6, 7]);
    record(100);
    for replica in &replicas {
        replica.ship(database.target()).await.unwrap();
    }
    let expected = Vec::from_iter(100..108);
    assert_eq!(times(following.poll().await.unwrap()), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_passes_requests_that_its_filter_does_not_take() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = fleet(&server).await;
    let replica = Replica::new();
    let filter = RequestFilter::new().tool("wanted").client("client of*");
    let mut following = Following::start(&database, filter, 10).await;
    assert_eq!(following.ids().await, [""; 0]);
    replica.record("s", 3);
    let mut event = request();
    event.tool = Some("wanted".into());
    event.session_id = Some("s".into());
    let id = event.request_id.to_string();
    replica.store().record(StoreEvent::Request(event));
    replica.record("s", 3);
    replica.ship(database.target()).await.unwrap();
    assert_eq!(following.drain().await, [[id]]);
}

/// A shipper that was killed after its commit first goes back in `sources`, and then writes the
/// batch again.
#[tokio::test(flavor = "multi_thread")]
async fn follower_does_not_show_rows_again_that_a_shipper_writes_again() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = fleet(&server).await;
    let replica = Replica::new();
    replica.record("s", 4);
    replica.ship(database.target()).await.unwrap();
    database.run("UPDATE sources SET shipped_to = 2").await;
    let mut following = Following::start(&database, RequestFilter::new(), 10).await;
    assert_eq!(following.ids().await.len(), 4);
    database.run("UPDATE sources SET shipped_to = 4").await;
    assert_eq!(following.ids().await, [""; 0]);
    database.run("UPDATE sources SET shipped_to = 1").await;
    assert_eq!(following.ids().await, [""; 0]);
    database.run("UPDATE sources SET shipped_to = 4").await;
    assert_eq!(following.ids().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_that_begins_while_files_are_shipped_misses_nothing() {
    const ROUNDS: usize = 10;
    let Some(server) = support::postgres() else {
        return;
    };
    let database = fleet(&server).await;
    let replicas = [Replica::new(), Replica::new()];
    let target = database.target();
    let config = ShipConfig::new(target.clone()).poll_interval(Duration::from_millis(5));
    let ship = |replica: &Replica| {
        let shipper = ship(replica.store(), config.clone()).unwrap();
        for _ in 0..ROUNDS {
            replica.record("s", 2);
        }
        shipper.stop(LONG).unwrap();
    };
    let shown = thread::scope(|scope| {
        let shippers = replicas
            .each_ref()
            .map(|replica| scope.spawn(|| ship(replica)));
        let target = &target;
        let follow = move || {
            let reader = FleetReader::open(target).unwrap();
            let mut follower = reader.follow(RequestFilter::new(), 10_000);
            let mut shown = BTreeSet::new();
            loop {
                let is_over = shippers.iter().all(|shipper| shipper.is_finished());
                let found = follower.poll().unwrap();
                if found.is_empty() && is_over {
                    return shown;
                }
                let ids = found.into_iter().map(|found| found.request.request_id);
                add(&mut shown, ids.collect());
            }
        };
        scope.spawn(follow).join().unwrap()
    });
    assert_eq!(shown, ids_of(&replicas.each_ref()));
}
