//! The tables of a fleet's database, and what its owner does with them.

use std::time::{Duration, SystemTime};

use tower_mcp_store_postgres::fleet::{self, FleetRetention, Roles};
use tower_mcp_store_postgres::{PostgresErrorKind, SCHEMA_VERSION};

use crate::support::{self, Database, blocking, init};

const DAY: Duration = Duration::from_secs(86_400);

fn unix_ms(ago: Duration) -> i64 {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    i64::try_from((now - ago).as_millis()).unwrap()
}

/// Adds a request of that time.
async fn add(database: &Database, request_id: &str, ts: i64) {
    let sql = format!(
        "INSERT INTO requests (store_id, id, request_id, ts, proxy, method, latency_us, status)
         VALUES ('00000000-0000-7000-8000-000000000000', 1, '{request_id}', {ts}, 'default',
             'ping', 1000, 'ok')"
    );
    database.run(&sql).await;
}

async fn tables(database: &Database) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class AS c
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') ORDER BY 1";
    database.texts(sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn init_makes_the_tables_once() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    let made = init(database.target()).await.unwrap();
    assert_eq!((made.from, made.to), (0, SCHEMA_VERSION));
    let before = tables(&database).await;
    for view in [
        "calls",
        "operations",
        "tool_stats",
        "hourly_stats",
        "client_stats",
        "sessions",
    ] {
        assert!(before.iter().any(|name| name == view), "{view}");
        assert_eq!(
            database
                .number(&format!("SELECT count(*) FROM {view}"))
                .await,
            0,
            "{view}"
        );
    }
    let again = init(database.target()).await.unwrap();
    assert_eq!((again.from, again.to), (SCHEMA_VERSION, SCHEMA_VERSION));
    assert_eq!(tables(&database).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_inits_at_once_make_one_schema() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    let (one, two) = tokio::join!(init(database.target()), init(database.target()));
    let mut from = [one.unwrap().from, two.unwrap().from];
    from.sort_unstable();
    assert_eq!(from, [0, SCHEMA_VERSION]);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_with_other_tables_of_these_names_is_left_as_it_is() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    database
        .run("CREATE TABLE requests (of text); CREATE VIEW calls AS SELECT 1")
        .await;
    let before = tables(&database).await;
    let error = init(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Unsuitable);
    assert!(error.to_string().contains("requests, calls"), "{error}");
    assert_eq!(tables(&database).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn database_that_does_not_store_utf8_is_refused() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server
        .database_with("ENCODING 'LATIN1' TEMPLATE template0")
        .await;
    let error = init(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Unsuitable);
    assert!(error.to_string().contains("LATIN1"), "{error}");
    assert_eq!(tables(&database).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_schema_is_refused() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    database
        .run("UPDATE mcp_store_meta SET version = version + 1")
        .await;
    let error = init(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::NewerSchema);
    let target = database.target();
    let retain = move || fleet::retain(&target, &FleetRetention::default());
    let error = blocking(retain).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::NewerSchema);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_and_retain_refuse_a_database_without_tables() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    let (one, two) = (database.target(), database.target());
    let migrate = blocking(move || fleet::migrate(&one, &Roles::new())).await;
    assert_eq!(migrate.unwrap_err().kind(), PostgresErrorKind::NoSchema);
    let retain = blocking(move || fleet::retain(&two, &FleetRetention::default())).await;
    assert_eq!(retain.unwrap_err().kind(), PostgresErrorKind::NoSchema);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_day_move_to_its_partition_when_it_is_made() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let days_ago = |days| unix_ms(days * DAY);
    add(&database, "late", days_ago(3)).await;
    add(&database, "far ahead", i64::MAX).await;
    let target = database.target();
    blocking(move || fleet::migrate(&target, &Roles::new()))
        .await
        .unwrap();
    let left = database
        .texts("SELECT request_id FROM requests_default")
        .await;
    assert_eq!(left, ["far ahead"]);
    assert_eq!(database.number("SELECT count(*) FROM requests").await, 2);
    // Today, the next seven days, and that day.
    let sql = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'requests'::regclass";
    assert_eq!(database.number(sql).await, 1 + 1 + 7 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retain_drops_old_days_and_says_from_when_rows_are_whole() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    for (name, days) in [("old", 12), ("kept", 2)] {
        add(&database, name, unix_ms(days * DAY)).await;
    }
    let target = database.target();
    blocking(move || fleet::migrate(&target, &Roles::new()))
        .await
        .unwrap();
    add(&database, "without partition", unix_ms(11 * DAY)).await;
    let target = database.target();
    let retention = FleetRetention::default().requests(10 * DAY);
    let removed = blocking(move || fleet::retain(&target, &retention))
        .await
        .unwrap();
    assert_eq!((removed.partitions, removed.rows), (1, 1));
    assert_eq!(
        database.texts("SELECT request_id FROM requests").await,
        ["kept"]
    );
    let pruned_to = "SELECT requests_pruned_to FROM mcp_store_meta";
    let pruned_to = database.number(pruned_to).await;
    assert!(
        (unix_ms(11 * DAY)..=unix_ms(10 * DAY)).contains(&pruned_to),
        "{pruned_to}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_get_the_rights_that_they_need_and_no_others() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    let (shipper, reader) = (
        format!("Ship \"{}\"", database.name()),
        format!("read {}", database.name()),
    );
    database
        .run(&format!(
            "CREATE ROLE \"{}\"; CREATE ROLE \"{reader}\"",
            shipper.replace('"', "\"\"")
        ))
        .await;
    let roles = Roles::new().shipper(&shipper).reader(&reader);
    let target = database.target();
    blocking(move || fleet::init(&target, &roles))
        .await
        .unwrap();
    let has = async |role: &str, right: &str| {
        let role = role.replace('\'', "''");
        let sql =
            format!("SELECT has_table_privilege('{role}', 'requests', '{right}')::int::bigint");
        database.number(&sql).await == 1
    };
    for (right, ships) in [
        ("SELECT", true),
        ("INSERT", true),
        ("UPDATE", false),
        ("DELETE", false),
    ] {
        assert_eq!(has(&shipper, right).await, ships, "{right}");
        assert_eq!(has(&reader, right).await, right == "SELECT", "{right}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_works_behind_a_pooler() {
    let Some(server) = support::postgres() else {
        return;
    };
    let Some(pooler) = support::pgbouncer(&server, 1) else {
        return;
    };
    let database = server.database().await;
    let target = database.target_at(pooler.port());
    init(target.clone()).await.unwrap();
    let retain = move || fleet::retain(&target, &FleetRetention::default());
    let removed = blocking(retain).await.unwrap();
    assert_eq!((removed.partitions, removed.rows), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_is_away_is_an_error_of_the_connection() {
    let Some(server) = support::own_postgres() else {
        return;
    };
    let database = server.database().await;
    server.stop_immediately();
    let error = init(database.target()).await.unwrap_err();
    assert_eq!(error.kind(), PostgresErrorKind::Connection);
}
