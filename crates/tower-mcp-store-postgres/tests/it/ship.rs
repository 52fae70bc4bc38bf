//! What is shipped arrives once, in whole, and adds up.

use tower_mcp_store::event::{Leg, TaskId, TaskStatus};
use tower_mcp_store::{EndReason, RequestEvent, RequestStatus, StoreEvent};
use tower_mcp_store_postgres::fleet::{self, Roles};
use tower_mcp_store_postgres::{PostgresErrorKind, ShipConfig, Target, ship};

use crate::support::{self, Database, LONG, Replica, blocking, eventually, init, request};

/// Returns the request ids in the database, in order.
pub(crate) async fn request_ids(database: &Database) -> Vec<String> {
    database
        .texts("SELECT request_id FROM requests ORDER BY 1")
        .await
}

pub(crate) fn all_request_ids(replicas: &[Replica]) -> Vec<String> {
    let mut ids: Vec<String> = replicas.iter().flat_map(Replica::request_ids).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn three_files_add_up_in_the_database() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = [Replica::new(), Replica::new(), Replica::new()];
    for (number, replica) in (1..).zip(&replicas) {
        replica.record(&format!("session {number}"), 10 * number);
        // One session that all replicas know.
        replica.record("shared", number);
        let stats = replica.ship(database.target()).await.unwrap();
        assert_eq!(
            (stats.attempted, stats.inserted),
            (11 * number, 11 * number)
        );
    }
    assert_eq!(request_ids(&database).await, all_request_ids(&replicas));
    for (sql, expected) in [
        ("SELECT count(*) FROM calls", 66),
        ("SELECT count(*) FROM operations", 66),
        ("SELECT count(*) FROM sessions", 4),
        (
            "SELECT total_calls FROM sessions WHERE session_id = 'shared'",
            6,
        ),
        (
            "SELECT calls FROM client_stats WHERE client_name = 'client of shared'",
            6,
        ),
        (
            "SELECT calls FROM tool_stats WHERE gen_ai_tool_name = 'search'",
            66,
        ),
        ("SELECT sum(calls)::bigint FROM hourly_stats", 66),
        ("SELECT count(*) FROM sources", 3),
        ("SELECT sum(written)::bigint FROM writers", 72),
    ] {
        assert_eq!(database.number(sql).await, expected, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rewound_file_is_shipped_again_and_changes_nothing() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 50);
    replica.ship(database.target()).await.unwrap();
    let outbox = tower_mcp_store::outbox::Outbox::open(replica.path()).unwrap();
    outbox.rewind().unwrap();
    drop(outbox);
    let stats = replica.ship(database.target()).await.unwrap();
    assert_eq!((stats.attempted, stats.inserted), (50, 0));
    assert_eq!(request_ids(&database).await, replica.request_ids());
    let calls = "SELECT total_calls FROM sessions";
    assert_eq!(database.number(calls).await, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_the_same_once_rows_are_in_cells() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 300);
    replica.ship(database.target()).await.unwrap();
    let stats = "SELECT format('%s %s %s %s', calls, ended, max_duration,
        http_request_body_size) FROM hourly_stats ORDER BY ts";
    let before = database.texts(stats).await;
    // It rolls all requests up, and removes none.
    let path = replica.path().to_owned();
    blocking(move || {
        let maintenance = tower_mcp_store::maintenance::Maintenance::open(path).unwrap();
        maintenance
            .prune(0, |_| std::ops::ControlFlow::Continue(()))
            .unwrap();
    })
    .await;
    replica.ship(database.target()).await.unwrap();
    assert_eq!(
        database.number("SELECT rolled_up_to FROM sources").await,
        300
    );
    assert_eq!(database.texts(stats).await, before);
    let buckets = "SELECT sum(server)::bigint FROM rollup_buckets WHERE width = 3600000";
    assert_eq!(database.number(buckets).await, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_postgresql_cannot_store_arrives_with_a_replacement() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    let mut event = request();
    event.tool = Some("a\0b".into());
    replica.store().record(StoreEvent::Request(event));
    replica.record("s", 3);
    let stats = replica.ship(database.target()).await.unwrap();
    assert_eq!((stats.inserted, stats.refused), (4, 0));
    let tools = "SELECT DISTINCT tool FROM requests ORDER BY 1";
    assert_eq!(database.texts(tools).await, ["a\u{fffd}b", "search"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_database_refuses_are_counted_and_the_others_arrive() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 20);
    // Another program writes names that no index takes.
    replica
        .file()
        .execute(
            "UPDATE requests SET tool = hex(randomblob(10000)) WHERE id IN (3, 17)",
            [],
        )
        .unwrap();
    let stats = replica.ship(database.target()).await.unwrap();
    assert_eq!((stats.inserted, stats.refused), (18, 2));
    let losses = "SELECT format('%s %s %s', id, dropped, reason) FROM losses ORDER BY id";
    assert_eq!(
        database.texts(losses).await,
        ["-17 1 refused", "-3 1 refused"]
    );
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 18);
    // The next rows come as usual.
    replica.record("s", 5);
    let stats = replica.ship(database.target()).await.unwrap();
    assert_eq!((stats.inserted, stats.refused), (5, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn task_that_ends_after_it_was_shipped_ends_in_the_database() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    let mut event = request();
    event.end_reason = Some(EndReason::Task);
    event.session_id = Some("s".into());
    let mut leg = Leg::default();
    leg.task_id = Some(TaskId::new("task 1"));
    leg.task_status = Some(TaskStatus::Working);
    event.leg = Some(Box::new(leg));
    replica.store().record(StoreEvent::Request(event));
    replica.record("s", 1);
    replica.ship(database.target()).await.unwrap();
    let outcome = "SELECT outcome FROM operations WHERE kind = 'task'";
    assert_eq!(database.texts(outcome).await, ["working"]);
    let sql = "UPDATE tasks SET status = 'completed', outcome = 'ok', ended_ts = updated_ts + 5";
    assert_eq!(replica.file().execute(sql, []).unwrap(), 1);
    replica.ship(database.target()).await.unwrap();
    assert_eq!(database.texts(outcome).await, ["ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shipper_of_a_store_ships_while_it_records() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    let shipper = ship(replica.store(), ShipConfig::new(database.target())).unwrap();
    replica.record("s", 40);
    eventually("the rows arrive", async || {
        database.number("SELECT count(*) FROM requests").await == 40
    })
    .await;
    replica.record("s", 2);
    let stats = blocking(move || shipper.stop(LONG)).await.unwrap();
    assert_eq!((stats.attempted, stats.inserted), (42, 42));
    assert_eq!(request_ids(&database).await, replica.request_ids());
}

#[tokio::test(flavor = "multi_thread")]
async fn six_shippers_share_a_pool_of_two_connections() {
    let Some(server) = support::postgres() else {
        return;
    };
    let Some(pooler) = support::pgbouncer(&server, 2) else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas: Vec<Replica> = (0..6).map(|_| Replica::new()).collect();
    for (number, replica) in replicas.iter().enumerate() {
        replica.record(&format!("s{number}"), 200);
    }
    let ship = |replica: &Replica| {
        let config = ShipConfig::new(database.target_at(pooler.port())).batch_rows(20);
        let path = replica.path().to_owned();
        tokio::task::spawn_blocking(move || tower_mcp_store_postgres::ship_once(path, config))
    };
    let shipping: Vec<_> = replicas.iter().map(ship).collect();
    for done in shipping {
        let stats = done.await.unwrap().unwrap();
        assert_eq!((stats.attempted, stats.inserted), (200, 200));
    }
    assert_eq!(request_ids(&database).await, all_request_ids(&replicas));
}

#[tokio::test(flavor = "multi_thread")]
async fn role_with_the_rights_of_a_shipper_ships_and_one_without_does_not() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    let name = database.name();
    let (may, may_not) = (format!("may_{name}"), format!("may_not_{name}"));
    database
        .run(&format!(
            "CREATE ROLE {may} LOGIN; CREATE ROLE {may_not} LOGIN"
        ))
        .await;
    let (target, roles) = (database.target(), Roles::new().shipper(&may));
    blocking(move || fleet::init(&target, &roles))
        .await
        .unwrap();
    let of = |role: &str| -> Target {
        let url = format!("postgres://{role}@127.0.0.1:{}/{name}", server.port());
        url.parse().unwrap()
    };
    let replica = Replica::new();
    replica.record("s", 5);
    let error = replica.ship(of(&may_not)).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Rights, "{error}");
    assert!(
        error.to_string().contains("fleet init --shipper"),
        "{error}"
    );
    let stats = replica.ship(of(&may)).await.unwrap();
    assert_eq!(stats.inserted, 5);
    // Changes of rows that were shipped need further rights.
    let sql = "UPDATE requests SET operation_id = request_id, leg = 1 WHERE id = 1";
    replica.file().execute(sql, []).unwrap();
    replica.record("s", 1);
    replica.ship(of(&may)).await.unwrap();
    assert_eq!(database.number("SELECT count(leg) FROM requests").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_without_tables_or_with_newer_ones_is_refused() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    let replica = Replica::new();
    replica.record("s", 1);
    let error = replica.ship(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::NoSchema, "{error}");
    init(database.target()).await.unwrap();
    database
        .run("UPDATE mcp_store_meta SET version = version + 1")
        .await;
    let error = replica.ship(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::NewerSchema, "{error}");
    assert_eq!(database.number("SELECT count(*) FROM sources").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_whose_requests_went_to_another_replica_has_all_of_them() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let (first, second) = (Replica::new(), Replica::new());
    first.record("s", 3);
    // It has not seen the session begin.
    for session in ["s", "s", "of no file"] {
        let mut event = request();
        event.session_id = Some(session.into());
        second.store().record(StoreEvent::Request(event));
    }
    second.store().flush(LONG).unwrap();
    for replica in [&second, &first] {
        replica.ship(database.target()).await.unwrap();
    }
    let sessions = "SELECT format('%s %s %s', session_id, total_calls, operations) FROM sessions";
    assert_eq!(database.texts(sessions).await, ["s 5 5"]);
    let named = "SELECT count(*) FROM calls WHERE client_name = 'client of s'";
    assert_eq!(database.number(named).await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn task_that_is_polled_at_another_replica_ends() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = [Replica::new(), Replica::new()];
    let began = request().ts;
    let record = |replica: &Replica, method: &'static str, after, status, session: &str| {
        let mut leg = Leg::default();
        leg.task_id = Some(TaskId::new("task 1"));
        leg.task_status = Some(status);
        let mut event = RequestEvent::new(method, RequestStatus::Ok);
        event.ts = began + after;
        event.session_id = Some(session.into());
        event.end_reason = (method == "tools/call").then_some(EndReason::Task);
        event.leg = Some(Box::new(leg));
        replica.store().record(StoreEvent::Request(event));
        replica.store().flush(LONG).unwrap();
    };
    record(&replicas[0], "tools/call", 0, TaskStatus::Working, "s");
    // Another caller has a task of the same name.
    record(&replicas[1], "tasks/get", 10, TaskStatus::Failed, "other");
    record(&replicas[1], "tasks/get", 20, TaskStatus::Working, "s");
    record(&replicas[1], "tasks/get", 30, TaskStatus::Completed, "s");
    for replica in &replicas {
        replica.ship(database.target()).await.unwrap();
    }
    let tasks = "SELECT format('%s %s %s', outcome, wall_us, polls) FROM operations
        WHERE kind = 'task'";
    assert_eq!(database.texts(tasks).await, ["ok 30000 2"]);
}
