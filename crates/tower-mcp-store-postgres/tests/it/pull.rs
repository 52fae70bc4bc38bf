//! A pulled file has the rows of all files, and answers as the database does.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tower_mcp_store::event::{Leg, StateDigest, StateKind, TaskId, TaskStatus};
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{
    Percentiles, Reader, RequestFilter, SessionFilter, StatsFilter, Window,
};
use tower_mcp_store::{
    EndReason, OpenErrorKind, RequestEvent, RequestStatus, SchemaVersionEvent, Store, StoreEvent,
};
use tower_mcp_store_postgres::{
    FleetReader, PostgresError, PostgresErrorKind, Pulled, Target, pull,
};

use crate::both::{self, QUERIES, of_database};
use crate::read::{self, START, stats_filters};
use crate::support::{self, Cut, Database, LONG, Relay, Replica, blocking, init, request};

const HOUR: i64 = 3_600_000;

/// A place for a pulled file.
struct Place {
    path: PathBuf,
    _folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            path: folder.path().join("fleet.db"),
            _folder: folder,
        }
    }

    async fn pull(&self, target: Target, since: Option<i64>) -> Result<Pulled, PostgresError> {
        let path = self.path.clone();
        blocking(move || pull(&target, path, since, |_| ControlFlow::Continue(()))).await
    }

    fn conn(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    fn rows(&self, sql: &str) -> Vec<String> {
        both::of_file(&self.conn(), sql)
    }

    fn number(&self, sql: &str) -> i64 {
        self.conn().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    /// Returns the whole content, as text.
    fn dump(&self) -> Vec<String> {
        let tables = [
            "requests",
            "sessions",
            "tasks",
            "losses",
            "writers",
            "server_schema",
            "schema_changes",
            "listing_payloads",
            "listing_views",
        ];
        let rows = tables.map(|table| self.rows(&format!("SELECT * FROM {table} ORDER BY 1")));
        rows.concat()
    }
}

fn listing(replica: &Replica, number: usize) {
    let payload = format!(r#"{{"tools":[{{"name":"tool {number}"}}]}}"#);
    let mut event = SchemaVersionEvent::new("tools/list", payload, format!("{number:064x}"));
    event.ts = START + i64::try_from(number).unwrap();
    replica.store().record(StoreEvent::SchemaVersion(event));
    replica.store().flush(LONG).unwrap();
}

/// Returns a database with the rows of two files, of which one has lost some.
async fn fleet(server: &support::Postgres) -> (Database, [Replica; 2]) {
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = [Replica::new(), Replica::new()];
    for (number, replica) in replicas.iter().enumerate() {
        read::record(replica);
        replica.record(&format!("of {number}"), 2);
        listing(replica, 2 * number);
        listing(replica, 2 * number + 1);
    }
    let loss =
        "INSERT INTO losses (from_ts, to_ts, dropped, reason) VALUES (?1, ?1, 7, 'queue_full')";
    replicas[1].file().execute(loss, [START + HOUR]).unwrap();
    for replica in &replicas {
        replica.ship(database.target()).await.unwrap();
    }
    (database, replicas)
}

fn json_of(answer: &impl serde::Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

/// Returns the rows of a table of both files, without their numbers, in order.
fn of_both(replicas: &[Replica], sql: &str) -> Vec<String> {
    let each = replicas
        .iter()
        .map(|replica| both::of_file(&replica.file(), sql));
    let mut all = each.collect::<Vec<_>>().concat();
    all.sort();
    all
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn pulled_file_answers_as_the_database_does() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replicas) = fleet(&server).await;
    let place = Place::new();
    let pulled = place.pull(database.target(), None).await.unwrap();
    assert_eq!(
        (pulled.new, pulled.requests, pulled.stores),
        (136, Some(136), 2)
    );
    for sql in QUERIES {
        let expected = sorted(of_database(&database, sql).await);
        assert!(!expected.is_empty(), "{sql}");
        assert_eq!(sorted(place.rows(sql)), expected, "{sql}");
    }
    let (target, path) = (database.target(), place.path.clone());
    blocking(move || {
        let (file, mut fleet) = (
            Reader::open(path).unwrap(),
            FleetReader::open(&target).unwrap(),
        );
        for filter in stats_filters() {
            let expected = json_of(&fleet.stats(&filter).unwrap());
            assert_eq!(
                json_of(&file.stats(&filter).unwrap()),
                expected,
                "{filter:?}"
            );
        }
        let (info, of_fleet) = (file.info().unwrap(), fleet.info().unwrap());
        assert_eq!(info.sessions, of_fleet.sessions);
        assert_eq!((info.losses, info.dropped), (1, 7));
        assert_eq!(info.key_fingerprints.len(), 2);
        assert!(info.pulled_at >= info.created_at);
        let clients = file.sessions(&SessionFilter::new(), 100).unwrap();
        assert_eq!(clients.len(), 5);
    })
    .await;
    for columns in [
        "request_id, ts, session_id, method, tool, target, latency_us, status, error_code,
            error_msg, principal, hex(state_in), hex(state_out), task_id, operation_id, leg,
            operation_us, task_status FROM requests",
        "proxy, method, change_type, item_name, old_hash, new_hash, detected_at
            FROM schema_changes",
        "content_hash, payload FROM listing_payloads",
        "id, written, posts FROM writers",
        "from_ts, to_ts, dropped, reason FROM losses",
    ] {
        let sql = format!("SELECT {columns}");
        assert_eq!(
            sorted(place.rows(&sql)),
            of_both(&replicas, &sql),
            "{columns}"
        );
    }
    let newest = "SELECT schema_hash FROM server_schema";
    assert_eq!(place.rows(newest), [format!("{:064x}", 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_pull_changes_nothing() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, _replicas) = fleet(&server).await;
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    let before = place.dump();
    let pulled = place.pull(database.target(), None).await.unwrap();
    assert_eq!((pulled.new, pulled.requests), (0, Some(136)));
    assert_eq!(place.dump(), before);
    let mode = fs::metadata(&place.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn later_pull_adds_new_rows_and_applies_changes() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replicas) = fleet(&server).await;
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    replicas[0].record("of 0", 3);
    listing(&replicas[1], 9);
    let conn = replicas[0].file();
    // A leg that was written first is linked later, and a task is seen to fail.
    conn.execute_batch(
        "UPDATE requests SET operation_id = request_id, leg = 1, operation_us = latency_us,
             task_status = 'working' WHERE id = 3;
         UPDATE tasks SET outcome = 'error', status = 'failed', polls = 4;",
    )
    .unwrap();
    replicas[1].record("new", 1);
    for replica in &replicas {
        replica.ship(database.target()).await.unwrap();
    }
    let pulled = place.pull(database.target(), None).await.unwrap();
    assert_eq!((pulled.new, pulled.requests), (4, Some(140)));
    let request_id = both::of_file(&conn, "SELECT request_id FROM requests WHERE id = 3");
    let changed = format!(
        "SELECT operation_id = request_id, leg, operation_us, task_status FROM requests
         WHERE request_id = '{}'",
        request_id[0]
    );
    assert_eq!(place.rows(&changed), ["1 | 1 | 4300 | working"]);
    for sql in QUERIES {
        let expected = sorted(of_database(&database, sql).await);
        assert_eq!(sorted(place.rows(sql)), expected, "{sql}");
    }
    let tasks = "SELECT outcome, status, polls FROM tasks ORDER BY 1";
    assert_eq!(
        place.rows(tasks),
        ["error | failed | 4", "ok | completed | 0"]
    );
}

fn round(replica: &Replica, state_in: Option<u8>, state_out: Option<u8>, after: i64) {
    let state = |number: u8| StateDigest::new(StateKind::State, [number; 32]);
    let mut leg = Leg::default();
    (leg.state_in, leg.state_out) = (state_in.map(state), state_out.map(state));
    let mut event = request();
    event.ts = START + after;
    event.latency_us = 100;
    event.session_id = Some("s".into());
    event.end_reason = state_out.map(|_| EndReason::InputRequired);
    event.leg = Some(Box::new(leg));
    replica.store().record(StoreEvent::Request(event));
    replica.store().flush(LONG).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn call_whose_rounds_went_to_several_replicas_is_one_operation() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = [0; 3].map(|_| Replica::with_key([7; 32]));
    let place = Place::new();
    let rounds = [(None, Some(1)), (Some(1), Some(2)), (Some(2), None)];
    let operations = "SELECT kind, legs, server_us, wall_us, outcome FROM operations ORDER BY ts";
    let expected = [
        "multi_round | 1 | NULL | NULL | input_required",
        "multi_round | 2 | NULL | NULL | input_required",
        "multi_round | 3 | 300 | 2000100 | ok",
    ];
    for ((replica, (state_in, state_out)), number) in replicas.iter().zip(rounds).zip(0_u8..) {
        round(replica, state_in, state_out, 1_000 * i64::from(number));
        replica.ship(database.target()).await.unwrap();
        place.pull(database.target(), None).await.unwrap();
        assert_eq!(place.rows(operations), [expected[usize::from(number)]]);
    }
    let legs = "SELECT leg, operation_us FROM requests ORDER BY ts";
    assert_eq!(place.rows(legs), ["1 | NULL", "2 | NULL", "3 | 300"]);
    let before = place.dump();
    place.pull(database.target(), None).await.unwrap();
    assert_eq!(place.dump(), before);
    let path = place.path.clone();
    let stats = blocking(move || Reader::open(path).unwrap().stats(&StatsFilter::new()));
    assert_eq!(stats.await.unwrap().total.calls, 1);
    // The first round is not in the window, and the others stay as their files have them.
    let place = Place::new();
    place
        .pull(database.target(), Some(START + HOUR))
        .await
        .unwrap();
    assert_eq!(place.rows(operations), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_of_a_call_that_began_before_the_window_have_their_places_in_their_file() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    for (state_in, state_out, after) in [
        (None, Some(1), 0),
        (Some(1), Some(2), HOUR),
        (Some(2), None, HOUR + 1_000),
    ] {
        round(&replica, state_in, state_out, after);
    }
    replica.ship(database.target()).await.unwrap();
    let place = Place::new();
    place
        .pull(database.target(), Some(START + HOUR))
        .await
        .unwrap();
    let places = "SELECT leg, operation_us, operation_id <> request_id FROM requests ORDER BY ts";
    assert_eq!(place.rows(places), ["2 | NULL | 1", "3 | 300 | 1"]);
    assert_eq!(place.rows("SELECT * FROM operations"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn task_that_is_polled_at_another_replica_ends() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = [Replica::new(), Replica::new()];
    let record = |replica: &Replica, method: &'static str, after, status| {
        let mut leg = Leg::default();
        leg.task_id = Some(TaskId::new("task 1"));
        leg.task_status = Some(status);
        let mut event = RequestEvent::new(method, RequestStatus::Ok);
        event.ts = START + after;
        event.session_id = Some("s".into());
        event.end_reason = (method == "tools/call").then_some(EndReason::Task);
        event.leg = Some(Box::new(leg));
        replica.store().record(StoreEvent::Request(event));
        replica.store().flush(LONG).unwrap();
    };
    record(&replicas[0], "tools/call", 0, TaskStatus::Working);
    record(&replicas[1], "tasks/get", 20, TaskStatus::Working);
    record(&replicas[1], "tasks/get", 30, TaskStatus::Completed);
    for replica in &replicas {
        replica.ship(database.target()).await.unwrap();
    }
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    let operations = "SELECT outcome, wall_us, polls FROM operations WHERE kind = 'task'";
    assert_eq!(place.rows(operations), ["ok | 30000 | 2"]);
    let tasks = "SELECT status, rolled_up_as FROM tasks";
    assert_eq!(place.rows(tasks), ["completed | NULL"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn window_that_moves_removes_old_requests_and_says_so() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, _replicas) = fleet(&server).await;
    let place = Place::new();
    let since = START + 2 * HOUR;
    let of_window = |since: i64| format!("SELECT count(*) FROM requests WHERE ts >= {since}");
    place
        .pull(database.target(), Some(since + 5))
        .await
        .unwrap();
    let expected = database.number(&of_window(since)).await;
    assert_eq!(place.number("SELECT count(*) FROM requests"), expected);
    let path = place.path.clone();
    let all = blocking(move || Reader::open(path).unwrap().stats(&StatsFilter::new()));
    let all = all.await.unwrap();
    assert_eq!((all.window.since, all.window.until), (since, i64::MAX));
    assert_eq!((all.polls, all.total.calls), (all.window, expected));
    assert_eq!(all.percentiles, Percentiles::Exact);
    // The window grows, and then shrinks.
    place.pull(database.target(), Some(START)).await.unwrap();
    let expected = database.number(&of_window(START)).await;
    assert_eq!(place.number("SELECT count(*) FROM requests"), expected);
    let newest = START + 4 * HOUR;
    place.pull(database.target(), Some(newest)).await.unwrap();
    let expected = database.number(&of_window(newest)).await;
    assert_eq!(place.number("SELECT count(*) FROM requests"), expected);
    let first = format!("SELECT min(last_seen_at) >= {newest} FROM sessions");
    assert_eq!(place.number(&first), 1);
    let (path, target) = (place.path.clone(), database.target());
    blocking(move || {
        let filter = StatsFilter::new().window(Window::since(newest));
        let file = Reader::open(path).unwrap().stats(&filter).unwrap();
        let fleet = FleetReader::open(&target).unwrap().stats(&filter).unwrap();
        assert_eq!(json_of(&file), json_of(&fleet));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_a_file_had_removed_before_it_was_shipped_are_not_covered() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    read::record(&replica);
    let path = replica.path().to_owned();
    blocking(move || {
        Maintenance::open(path)
            .unwrap()
            .prune(START + HOUR + 7, |_| ControlFlow::Continue(()))
            .unwrap();
    })
    .await;
    replica.ship(database.target()).await.unwrap();
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    let path = place.path.clone();
    let stats = blocking(move || Reader::open(path).unwrap().stats(&StatsFilter::new()));
    assert_eq!(stats.await.unwrap().window.since, START + 2 * HOUR);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_were_pruned_from_the_pulled_file_come_back() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, _replicas) = fleet(&server).await;
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    let (path, before) = (place.path.clone(), START + 2 * HOUR);
    blocking(move || {
        let maintenance = Maintenance::open(path).unwrap();
        maintenance
            .prune(before, |_| ControlFlow::Continue(()))
            .unwrap();
    })
    .await;
    assert!(place.number("SELECT count(*) FROM requests") < 136);
    assert!(place.number("SELECT count(*) FROM rollup_totals") > 0);
    place.pull(database.target(), None).await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM requests"), 136);
    for cells in ["request_rollups", "rollup_totals"] {
        assert_eq!(place.number(&format!("SELECT count(*) FROM {cells}")), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_restored_file_are_pulled_under_numbers_that_others_had() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    replica.record("s", 10);
    replica.ship(database.target()).await.unwrap();
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    // As if the file were restored from a copy with five requests, and shipped again.
    replica
        .file()
        .execute_batch(
            "DELETE FROM requests WHERE id > 5;
             UPDATE sqlite_sequence SET seq = 5 WHERE name = 'requests'",
        )
        .unwrap();
    tower_mcp_store::outbox::Outbox::open(replica.path())
        .unwrap()
        .rewind()
        .unwrap();
    for (more, count) in [(2, 12), (6, 18)] {
        replica.record("t", more);
        replica.ship(database.target()).await.unwrap();
        assert_eq!(
            database.number("SELECT count(*) FROM requests").await,
            count
        );
        let pulled = place.pull(database.target(), None).await.unwrap();
        assert_eq!(pulled.requests, Some(count));
    }
}

/// Returns all request ids of the files.
fn request_ids(replicas: &[Replica]) -> BTreeSet<String> {
    replicas.iter().flat_map(Replica::request_ids).collect()
}

fn pulled_ids(place: &Place) -> BTreeSet<String> {
    place
        .rows("SELECT request_id FROM requests")
        .into_iter()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_that_is_killed_or_cut_is_completed_by_the_next_one() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replicas) = fleet(&server).await;
    for replica in &replicas {
        for part in 0..3 {
            replica.record(&format!("part {part}"), 2_500);
        }
        replica.ship(database.target()).await.unwrap();
    }
    let place = Place::new();
    let relay = Relay::start(server.port()).await;
    for step in [
        &b"FROM sources"[..],
        b"store_id = $1::uuid AND id >",
        b"mcp_store_place",
        b"FROM schema_changes",
    ] {
        relay.set(Cut::Before(step));
        let error = place.pull(database.target_at(relay.port()), None).await;
        assert_eq!(error.unwrap_err().kind(), PostgresErrorKind::Connection);
    }
    let counted = "SELECT count(*) FROM requests";
    assert_eq!(place.number(counted), 15_136, "only the rest is missing");
    let path = place.path.clone();
    let stats = blocking(move || Reader::open(path).unwrap().stats(&StatsFilter::new()));
    let stats = stats.await.unwrap();
    assert!(
        stats.window.since > START + 5 * HOUR,
        "no time is covered yet"
    );

    let place = Place::new();
    for round in 0..8 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--ignored", "pull::child_that_pulls"])
            .env(FILE, &place.path)
            .env(FROM, database.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Some are killed while they connect, and others between two transactions.
        tokio::time::sleep(Duration::from_millis(60 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let pulled = place.pull(database.target(), None).await.unwrap();
    assert_eq!(pulled.requests, Some(15_136));
    assert_eq!(pulled_ids(&place), request_ids(&replicas));
    for sql in QUERIES {
        let expected = sorted(of_database(&database, sql).await);
        assert_eq!(sorted(place.rows(sql)), expected, "{sql}");
    }
}

/// The file into which the child pulls, and the database.
const FILE: &str = "MCP_STORE_TEST_PULL_FILE";
const FROM: &str = "MCP_STORE_TEST_PULL_FROM";

/// Not a test: the process that the test kills.
#[test]
#[ignore = "the child of another test"]
fn child_that_pulls() {
    let target: Target = env::var(FROM).unwrap().parse().unwrap();
    let file = env::var_os(FILE).unwrap();
    pull(&target, file, None, |_| ControlFlow::Continue(())).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_that_is_stopped_is_continued() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replicas) = fleet(&server).await;
    replicas[0].record("more", 6_000);
    replicas[0].ship(database.target()).await.unwrap();
    let place = Place::new();
    let (target, path) = (database.target(), place.path.clone());
    let stopped = blocking(move || pull(&target, path, None, |_| ControlFlow::Break(())));
    let stopped = stopped.await.unwrap();
    assert_eq!((stopped.new, stopped.requests), (4_000, None));
    let rest = place.pull(database.target(), None).await.unwrap();
    assert_eq!((rest.new, rest.requests), (2_136, Some(6_136)));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_a_server_recorded_is_refused_and_left_as_it_is() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, _replicas) = fleet(&server).await;
    let place = Place::new();
    let store = Store::open(&place.path).unwrap();
    let (path, names) = (place.path.clone(), || {
        let names = fs::read_dir(place.path.parent().unwrap()).unwrap();
        names
            .map(|name| name.unwrap().file_name())
            .collect::<BTreeSet<_>>()
    });
    let before = (names(), place.dump());
    let refused = place.pull(database.target(), None).await.unwrap_err();
    assert_eq!(refused.kind(), PostgresErrorKind::File);
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("give the path of a new file"), "{cause}");
    assert_eq!((names(), place.dump()), before);
    store.shutdown(LONG).unwrap();
    place.pull(database.target(), None).await.unwrap_err();
    fs::write(&path, "no database").unwrap();
    place.pull(database.target(), None).await.unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), b"no database");
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_another_database_is_refused() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replicas) = fleet(&server).await;
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    let before = place.dump();
    let other = server.database().await;
    init(other.target()).await.unwrap();
    let refused = place.pull(other.target(), None).await.unwrap_err();
    assert!(
        refused.to_string().contains("another database"),
        "{refused}"
    );
    // It has the same files, but not from the same time on.
    for replica in &replicas {
        let outbox = tower_mcp_store::outbox::Outbox::open(replica.path()).unwrap();
        outbox.rewind().unwrap();
        drop(outbox);
        replica.ship(other.target()).await.unwrap();
    }
    place.pull(other.target(), None).await.unwrap_err();
    assert_eq!(place.dump(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn pulled_file_is_neither_shipped_nor_recorded_to() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, _replicas) = fleet(&server).await;
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    let before = place.dump();
    let (path, target) = (place.path.clone(), database.target());
    let config = tower_mcp_store_postgres::ShipConfig::new(target);
    let shipped = blocking(move || tower_mcp_store_postgres::ship_once(path, config)).await;
    assert_eq!(shipped.unwrap_err().kind(), PostgresErrorKind::File);
    let opened = Store::open(&place.path).unwrap_err();
    assert_eq!(opened.kind(), OpenErrorKind::Pulled, "{opened}");
    assert_eq!(place.dump(), before);
    assert_eq!(database.number("SELECT count(*) FROM sources").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn second_pull_at_the_same_time_is_refused() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, _replicas) = fleet(&server).await;
    let place = Place::new();
    let (target, path, again) = (database.target(), place.path.clone(), database.target());
    let kind = blocking(move || {
        let mut kind = None;
        let second = |_| {
            let refused = pull(&again, &path, None, |_| ControlFlow::Continue(()));
            kind = refused.err().map(|error| error.kind());
            ControlFlow::Continue(())
        };
        pull(&target, &path, None, second).unwrap();
        kind
    });
    assert_eq!(kind.await, Some(PostgresErrorKind::Busy));
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_works_behind_a_pooler_with_the_rights_of_a_reader() {
    let Some(server) = support::postgres() else {
        return;
    };
    let Some(pooler) = support::pgbouncer(&server, 1) else {
        return;
    };
    let (database, _replicas) = fleet(&server).await;
    let place = Place::new();
    for new in [136, 0] {
        let pulled = place.pull(database.target_at(pooler.port()), None).await;
        assert_eq!(pulled.unwrap().new, new);
    }
    let role = format!("reads_{}", database.name());
    database.run(&format!("CREATE ROLE {role} LOGIN")).await;
    let roles = tower_mcp_store_postgres::fleet::Roles::new().reader(&role);
    let owner = database.target();
    blocking(move || tower_mcp_store_postgres::fleet::init(&owner, &roles))
        .await
        .unwrap();
    let url = format!(
        "postgres://{role}@127.0.0.1:{}/{}",
        server.port(),
        database.name()
    );
    let place = Place::new();
    let pulled = place.pull(url.parse().unwrap(), None).await.unwrap();
    assert_eq!(pulled.new, 136);
}

#[tokio::test(flavor = "multi_thread")]
async fn follower_of_the_pulled_file_gets_the_new_requests() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replicas) = fleet(&server).await;
    let place = Place::new();
    place.pull(database.target(), None).await.unwrap();
    let reader = open(&place.path);
    let mut follower = reader.follow(RequestFilter::new()).unwrap();
    replicas[1].record("later", 3);
    replicas[1].ship(database.target()).await.unwrap();
    place.pull(database.target(), None).await.unwrap();
    let found = follower.poll().unwrap();
    assert_eq!(found.len(), 3);
    assert!(
        found
            .iter()
            .all(|request| request.session_id.as_deref() == Some("later"))
    );
}

fn open(path: &Path) -> Reader {
    Reader::open(path).unwrap()
}
