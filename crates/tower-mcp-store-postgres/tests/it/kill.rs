//! A shipper that is killed at any moment.

use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, future};

use tower_mcp_store_postgres::{ShipConfig, Target, ship_until};

use crate::ship::request_ids;
use crate::support::{self, Replica, init};

/// The file that the child ships, and the database.
const FILE: &str = "MCP_STORE_TEST_SHIP_FILE";
const TO: &str = "MCP_STORE_TEST_SHIP_TO";

/// How often the child is killed.
const KILLS: u64 = 12;

#[tokio::test(flavor = "multi_thread")]
async fn shipper_that_is_killed_again_and_again_ships_each_request_once() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    let url = database.url();
    for round in 0..KILLS {
        replica.record("s", 300);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--ignored", "kill::child_that_ships"])
            .env(FILE, replica.path())
            .env(TO, &url)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Some are killed while they connect, and others between two transactions.
        tokio::time::sleep(Duration::from_millis(20 + 25 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let stats = replica.ship(database.target()).await.unwrap();
    assert_eq!(request_ids(&database).await, replica.request_ids());
    assert_eq!(stats.refused, 0);
    let calls = database.number("SELECT total_calls FROM sessions").await;
    assert_eq!(calls, 300 * i64::try_from(KILLS).unwrap());
}

/// Not a test: the process that the test kills.
#[test]
#[ignore = "the child of another test"]
fn child_that_ships() {
    let target: Target = env::var(TO).unwrap().parse().unwrap();
    let config = ShipConfig::new(target).batch_rows(20);
    ship_until(env::var_os(FILE).unwrap(), config, future::pending()).unwrap();
}
