//! A shipper that is killed at any moment.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, future};

use tower_mcp_store::{Store, StoreEvent};
use tower_mcp_store_postgres::{ShipConfig, Target, ship, ship_once, ship_until};

use crate::ship::request_ids;
use crate::support::{self, Cut, LONG, Relay, Replica, blocking, eventually, init, request};

/// The file that the child ships, and the database.
const FILE: &str = "MCP_STORE_TEST_SHIP_FILE";
const TO: &str = "MCP_STORE_TEST_SHIP_TO";

/// How often the child is killed.
const KILLS: u64 = 12;

/// Counts each row that a shipper sends, also those that are there and those of transactions
/// that are rolled back.
const COUNT_ATTEMPTS: &str = "
    CREATE SEQUENCE attempts;
    CREATE FUNCTION count_attempt() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM nextval(''attempts''); RETURN NEW; END';
    CREATE TRIGGER attempts BEFORE INSERT ON requests
        FOR EACH ROW EXECUTE FUNCTION count_attempt()";

/// The most requests in a batch of the child.
const BATCH: u64 = 20;

/// Starts a child, which runs this ignored test.
fn child(test: &str, path: &Path, url: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "--ignored", test])
        .env(FILE, path)
        .env(TO, url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shipper_that_is_killed_again_and_again_ships_each_request_once() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    database.run(COUNT_ATTEMPTS).await;
    let replica = Replica::new();
    let url = database.url();
    let number = async |sql| u64::try_from(database.number(sql).await).unwrap();
    let mut recorded = 0;
    for round in 0..KILLS {
        replica.record("s", 300);
        let mut child = child("kill::child_that_ships", replica.path(), &url);
        // Some are killed while they connect, and others after some batches.
        let began = Instant::now();
        let there = number("SELECT count(*) FROM requests").await;
        while began.elapsed() < Duration::from_millis(20 * round)
            || round > 3 && number("SELECT count(*) FROM requests").await < there + BATCH * round
        {
            replica.record("s", 5);
            recorded += 5;
            assert!(began.elapsed() < LONG, "it does not ship");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let stats = replica.ship(database.target()).await.unwrap();
    assert_eq!(request_ids(&database).await, replica.request_ids());
    assert_eq!(stats.refused, 0);
    let all = 300 * KILLS + recorded;
    assert_eq!(number("SELECT total_calls FROM sessions").await, all);
    // Each kill costs one batch at most.
    let attempts = number("SELECT last_value FROM attempts").await;
    assert!(
        (all..=all + KILLS * BATCH).contains(&attempts),
        "{attempts}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shipper_that_is_killed_at_each_step_of_a_batch_ships_each_request_once() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    database.run(COUNT_ATTEMPTS).await;
    let replica = Replica::new();
    replica.ship(database.target()).await.unwrap();
    let relay = Relay::start(server.port()).await;
    let url = database.url_at(relay.port());
    let mut written = 0;
    for (cut, is_committed) in [
        (Cut::Before(b"INSERT INTO requests"), false),
        (Cut::Before(b"UPDATE sources"), false),
        (Cut::AfterAll(&[b"UPDATE sources"]), false),
        (Cut::AfterAll(&[b"UPDATE sources", b"COMMIT"]), true),
    ] {
        replica.record("s", 10);
        relay.set(cut);
        let cuts = relay.cuts();
        let mut child = child("kill::child_that_ships", replica.path(), &url);
        eventually("it comes to this step", async || relay.cuts() > cuts).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let there = database.number("SELECT count(*) FROM requests").await;
        assert_eq!(there, written + i64::from(is_committed) * 10, "{cut:?}");
        relay.set(Cut::Never);
        let stats = replica.ship(database.target()).await.unwrap();
        let new = if is_committed { 0 } else { 10 };
        assert_eq!((stats.attempted, stats.inserted), (10, new), "{cut:?}");
        written += 10;
    }
    assert_eq!(request_ids(&database).await, replica.request_ids());
    // Once before each of the last three kills, and once after each of all four.
    let attempts = database.number("SELECT last_value FROM attempts").await;
    assert_eq!(attempts, 30 + 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_server_that_is_killed_are_shipped_from_its_file() {
    const SERVERS: i64 = 5;
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    database.run(COUNT_ATTEMPTS).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mcp.db");
    let url = database.url();
    for round in 1..=SERVERS {
        let mut child = child("kill::child_that_records_and_ships", &path, &url);
        eventually("it ships", async || {
            database.number("SELECT count(*) FROM requests").await >= 200 * round
        })
        .await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let (shipped, config) = (path.clone(), ShipConfig::new(database.target()));
    blocking(move || ship_once(shipped, config)).await.unwrap();
    let file = rusqlite::Connection::open(&path).unwrap();
    let mut select = file
        .prepare("SELECT request_id FROM requests ORDER BY 1")
        .unwrap();
    let ids = select.query_map([], |row| row.get(0)).unwrap();
    let ids: Vec<String> = ids.map(Result::unwrap).collect();
    assert_eq!(request_ids(&database).await, ids);
    let all = i64::try_from(ids.len()).unwrap();
    let attempts = database.number("SELECT last_value FROM attempts").await;
    let repeated = SERVERS * i64::try_from(BATCH).unwrap();
    assert!((all..=all + repeated).contains(&attempts), "{attempts}");
}

/// Not a test: the process that the test kills.
#[test]
#[ignore = "the child of another test"]
fn child_that_ships() {
    ship_until(env::var_os(FILE).unwrap(), config(), future::pending()).unwrap();
}

/// Not a test: a server that the test kills.
#[test]
#[ignore = "the child of another test"]
fn child_that_records_and_ships() {
    let store = Store::open(env::var_os(FILE).unwrap()).unwrap();
    let _shipper = ship(&store, config()).unwrap();
    loop {
        for _ in 0..20 {
            store.record(StoreEvent::Request(request()));
        }
        store.flush(LONG).unwrap();
    }
}

fn config() -> ShipConfig {
    let target: Target = env::var(TO).unwrap().parse().unwrap();
    ShipConfig::new(target).batch_rows(usize::try_from(BATCH).unwrap())
}
