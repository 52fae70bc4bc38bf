//! Replicas whose clocks are wrong.

use std::time::Duration;

use tower_mcp_store::StoreEvent;
use tower_mcp_store_postgres::FleetReader;
use tower_mcp_store_postgres::fleet::{self, FleetRetention};

use crate::support::{self, Database, LONG, Replica, blocking, init, request};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_MS: i64 = 86_400_000;

/// Records a request of another time.
fn record(replica: &Replica, ts: i64) {
    let mut event = request();
    event.ts = ts;
    replica.store().record(StoreEvent::Request(event));
    replica.store().flush(LONG).unwrap();
}

/// Returns how many days from now the requests of a table were received.
async fn days(database: &Database, table: &str, now: i64) -> Vec<String> {
    let sql = format!("SELECT ((ts - {now}) / {DAY_MS})::text FROM {table} ORDER BY ts");
    database.texts(&sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_wrong_clock_wait_in_the_default_partition_until_they_are_too_old() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let now = request().ts;
    let replica = Replica::new();
    for days in [-500, -3, 0, 2, 40, 20_000] {
        record(&replica, now + days * DAY_MS);
    }
    let stats = replica.ship(database.target()).await.unwrap();
    assert_eq!((stats.inserted, stats.refused), (6, 0));
    let default = days(&database, "requests_default", now).await;
    assert_eq!(default, ["-500", "-3", "40", "20000"]);

    let retain = async |requests: Duration| {
        let target = database.target();
        let retention = FleetRetention::default().requests(requests);
        blocking(move || fleet::retain(&target, &retention))
            .await
            .unwrap()
    };
    // If the writer has already rolled up the oldest request, its statistics are removed, too.
    let removed = retain(30 * DAY).await;
    assert_eq!(removed.partitions, 0);
    assert!(removed.rows > 0);
    // One day got a partition. The days that are too far ahead wait.
    let default = days(&database, "requests_default", now).await;
    assert_eq!(default, ["40", "20000"]);
    let left = days(&database, "requests", now).await;
    assert_eq!(left, ["-3", "0", "2", "40", "20000"]);
    let pruned_to = "SELECT requests_pruned_to FROM mcp_store_meta";
    assert!(database.number(pruned_to).await < now);
    let removed = retain(2 * DAY).await;
    assert_eq!((removed.partitions, removed.rows), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn difference_between_the_clocks_is_in_the_database() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    // The clock of the database is an hour behind: this function comes before the real one.
    database
        .run(&format!(
            "CREATE SCHEMA behind;
             CREATE FUNCTION behind.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
                 'SELECT pg_catalog.clock_timestamp() - make_interval(hours => 1)';
             ALTER DATABASE {} SET search_path = behind, pg_catalog, public",
            database.name()
        ))
        .await;
    let replica = Replica::new();
    replica.record("s", 3);
    replica.ship(database.target()).await.unwrap();
    let target = database.target();
    let info = blocking(move || FleetReader::open(&target).unwrap().info().unwrap()).await;
    let ahead = info.stores[0].clock_ahead_ms;
    assert!((3_590_000..3_610_000).contains(&ahead), "{ahead}");
    assert_eq!(info.requests, 3);
}
