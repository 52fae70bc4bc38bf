//! The reader of a fleet answers as the reader of the file does.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tower_mcp_store::event::{Leg, StateDigest, StateKind, TaskId, TaskStatus};
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{GroupBy, Lookup, Reader, RequestFilter, StatsFilter, Window};
use tower_mcp_store::{
    EndReason, Outcome, RequestEvent, RequestStatus, Retention, SessionEvent, StoreEvent,
};
use tower_mcp_store_postgres::{FleetReader, Target};

use crate::both::{of_database, of_file};
use crate::support::{self, Database, LONG, Replica, blocking, init, request};

/// The beginning of an hour.
pub(crate) const START: i64 = 1_795_046_400_000;
pub(crate) const HOUR: i64 = 3_600_000;

/// Records requests of five hours: of several clients, failures, values that are missing, two of
/// each moment, a call of two rounds and a task.
pub(crate) fn record(replica: &Replica) {
    for (session, client) in [
        ("s1", Some("Claude")),
        ("s2", Some("claude-ai")),
        ("s3", None),
    ] {
        let mut event = SessionEvent::new(session);
        event.client_name = client.map(Into::into);
        replica.store().record(StoreEvent::Session(event));
    }
    let mut events = Vec::new();
    for number in 0..60_u16 {
        let mut event = request();
        event.ts = START + i64::from(number / 2) * HOUR / 6;
        event.session_id = match number % 4 {
            0 => None,
            session => Some(format!("s{session}").into()),
        };
        event.tool =
            Some(["search", "search_all", "a.b", "book[1]"][usize::from(number % 4)].into());
        event.latency_us = 900 + 1_700 * u64::from(number);
        event.principal = (number % 3 == 0).then(|| "ann".into());
        event.bytes_in = (number % 2 == 0).then_some(10);
        event.tool_error = number % 7 == 0;
        event.protocol_version = (number % 5 == 0).then(|| "2025-06-18".into());
        if number % 11 == 1 {
            event.status = RequestStatus::Error;
            event.error_code = Some(["-32602", "-32603"][usize::from(number % 2)].into());
            event.error_msg = Some("why".into());
        }
        if number % 13 == 1 {
            event.status = RequestStatus::Timeout;
        }
        if number % 17 == 1 {
            event.end_reason = Some(EndReason::ClientGone);
        }
        events.push(event);
    }
    for (method, target) in [
        ("prompts/get", "summary"),
        ("resources/read", "file:///a"),
        ("ping", ""),
    ] {
        let mut event = RequestEvent::new(method, RequestStatus::Ok);
        event.ts = START + 90_000;
        event.target = (!target.is_empty()).then(|| target.into());
        event.latency_us = 70;
        events.push(event);
    }
    events.extend(call_of_two_rounds());
    events.push(task());
    for event in events {
        replica.store().record(StoreEvent::Request(event));
    }
    replica.store().flush(LONG).unwrap();
    let sql = "UPDATE tasks SET status = 'completed', outcome = 'ok', ended_ts = updated_ts + 5";
    assert_eq!(replica.file().execute(sql, []).unwrap(), 1);
}

fn call_of_two_rounds() -> [RequestEvent; 2] {
    let state = Some(StateDigest::new(StateKind::State, [1; 32]));
    [
        (None, state, Some(EndReason::InputRequired), 0),
        (state, None, None, 4_000),
    ]
    .map(|(state_in, state_out, end_reason, later)| {
        let mut event = request();
        event.ts = START + HOUR + later;
        event.session_id = Some("s1".into());
        event.end_reason = end_reason;
        let mut leg = Leg::default();
        (leg.state_in, leg.state_out) = (state_in, state_out);
        event.leg = Some(Box::new(leg));
        event
    })
}

fn task() -> RequestEvent {
    let mut event = request();
    event.ts = START + 2 * HOUR;
    event.session_id = Some("s1".into());
    event.end_reason = Some(EndReason::Task);
    let mut leg = Leg::default();
    leg.task_id = Some(TaskId::new("task 1"));
    leg.task_status = Some(TaskStatus::Working);
    event.leg = Some(Box::new(leg));
    event
}

pub(crate) fn filters() -> Vec<RequestFilter> {
    let new = RequestFilter::new;
    vec![
        new(),
        new().window(Window::since(START + HOUR).until(START + 2 * HOUR)),
        new().tool("search"),
        new().tool("search*"),
        new().tool("?.?"),
        new().tool("book[1]"),
        new().tool("book[[]1[]]"),
        new().tool("[^a-r]*"),
        new().tool("[s"),
        new().method("tools/call"),
        new().method("ping"),
        new().method("*/[gc]*"),
        new().target("file:*"),
        new().server_name("default"),
        new().server_name("none"),
        new().client("claude"),
        new().client("CLAUDE-"),
        new().client("c*i"),
        new().client("100%"),
        new().principal("ann"),
        new().session("s2"),
        new().protocol("2025-06-18"),
        new().outcomes(Outcome::FAILURES),
        new().outcomes([Outcome::Timeout, Outcome::Working]),
        new().status(RequestStatus::Error),
        new().tool_error(),
        new().error_code("-32602"),
        new().end_reason(EndReason::ClientGone),
        new().min_latency(Duration::from_millis(50)),
        new().session("s1").tool("search_all").client("Claude"),
    ]
}

pub(crate) fn json_of(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap()
}

pub(crate) fn open(target: &Target) -> FleetReader {
    FleetReader::open(target).unwrap()
}

/// Returns a file that was shipped to a database of its own.
pub(crate) async fn shipped(server: &support::Postgres) -> (Database, Replica) {
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::with(Retention::unlimited());
    record(&replica);
    replica.ship(database.target()).await.unwrap();
    (database, replica)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_each_filter_are_those_of_the_file() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        let mut found = 0;
        for filter in filters() {
            for limit in [5, 1_000] {
                let expected = file.requests(&filter, limit, None).unwrap();
                let answer = fleet.requests(&filter, limit).unwrap();
                let answer: Vec<_> = answer.into_iter().map(|found| found.request).collect();
                assert_eq!(json_of(&answer), json_of(&expected), "{filter:?}");
                found += expected.len();
            }
        }
        assert!(found > 500, "{found} rows");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_is_found_by_its_store_and_row_and_by_its_id() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        let expected = file.request(7).unwrap().unwrap();
        let store_id = file.info().unwrap().store_id.unwrap();
        let handles = fleet.handles().unwrap();
        assert_eq!(
            handles.find_store(&store_id[..4]),
            Lookup::One(store_id.clone())
        );
        let found = fleet.request(&store_id, 7).unwrap().unwrap();
        assert_eq!((&found.request, &found.store_id), (&expected, &store_id));
        assert_eq!(handles.of(&found), format!("{}:7", &store_id[..4]));
        assert_eq!(fleet.request(&store_id, 700).unwrap(), None);
        let id = expected.request_id.to_uppercase();
        assert_eq!(fleet.find_request(&id).unwrap(), Lookup::One(found));
        let Lookup::Several(ids) = fleet.find_request("0").unwrap() else {
            panic!("all ids begin with 0");
        };
        assert_eq!(ids.len(), 5);
        assert_eq!(fleet.find_request("none").unwrap(), Lookup::Nothing);
        assert_eq!(
            fleet.find_session_id("s3").unwrap(),
            Lookup::One("s3".to_owned())
        );
    })
    .await;
}

fn groupings() -> Vec<Vec<GroupBy>> {
    use GroupBy::*;
    vec![
        vec![Method, Tool],
        vec![Server],
        vec![Client, Outcome],
        vec![Principal],
        vec![Protocol],
        vec![Reason],
        vec![Outcome],
        vec![Time((0..4).map(|hour| START + hour * HOUR).collect()), Tool],
        vec![],
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_by_each_name_are_those_of_the_file() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        let mut groups = 0;
        for by in groupings() {
            for filter in filters() {
                let expected = file.breakdown(&filter, &by).unwrap();
                let answer = fleet.breakdown(&filter, &by).unwrap();
                assert_eq!(answer, expected, "{by:?} of {filter:?}");
                groups += expected.len();
            }
        }
        assert!(groups > 700, "{groups} groups");
    })
    .await;
}

pub(crate) fn stats_filters() -> Vec<StatsFilter> {
    let new = StatsFilter::new;
    let mut all = vec![
        new(),
        new().tool("search"),
        new().tool("none"),
        new().method("tools/call"),
        new().method("ping"),
        new().method("prompts/get"),
        new().server_name("default"),
        new().server_name("none"),
    ];
    for (since, until) in [(0, 2), (1, 3), (3, 9)] {
        let window = Window::since(START + since * HOUR + 1).until(START + until * HOUR + 7);
        all.push(new().window(window));
        all.push(new().window(window).tool("a.b"));
    }
    all
}

/// Compares the statistics of both, and returns how many were estimated.
fn compare_stats(file: &Reader, fleet: &mut FleetReader) -> usize {
    let mut estimated = 0;
    for filter in stats_filters() {
        let expected = json_of(&file.stats(&filter).unwrap());
        assert_eq!(
            json_of(&fleet.stats(&filter).unwrap()),
            expected,
            "{filter:?}"
        );
        estimated += usize::from(expected["percentiles"] != "exact");
    }
    estimated
}

/// Removes the older requests from the file, and ships it with some new ones.
async fn prune_and_ship(database: &Database, replica: &Replica) {
    let path = replica.path().to_owned();
    blocking(move || {
        Maintenance::open(path)
            .unwrap()
            .prune(START + 2 * HOUR + HOUR / 2, |_| ControlFlow::Continue(()))
            .unwrap();
    })
    .await;
    replica.record("s4", 3);
    replica.ship(database.target()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hourly_counts_are_those_of_the_file_also_after_its_requests_were_removed() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    prune_and_ship(&database, &replica).await;
    let sql = "SELECT ts, mcp_method_name, gen_ai_tool_name, calls, ended, errors
        FROM hourly_stats ORDER BY ts, mcp_method_name, gen_ai_tool_name NULLS FIRST";
    let expected = of_file(&replica.file(), sql);
    assert!(!expected.is_empty());
    assert_eq!(of_database(&database, sql).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_those_of_the_file_also_after_its_requests_were_removed() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(&path).unwrap(), open(&target));
        assert_eq!(compare_stats(&file, &mut fleet), 0);
    })
    .await;
    prune_and_ship(&database, &replica).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let estimated = compare_stats(&Reader::open(path).unwrap(), &mut open(&target));
        assert!(estimated > 5, "{estimated} from cells");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_three_files_are_their_sums() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = [Replica::new(), Replica::new(), Replica::new()];
    for (number, replica) in (1..).zip(&replicas) {
        record(replica);
        replica.record("shared", number);
        replica.ship(database.target()).await.unwrap();
    }
    let target = database.target();
    let paths = replicas.each_ref().map(|replica| replica.path().to_owned());
    blocking(move || {
        let mut fleet = open(&target);
        let files = paths.map(|path| Reader::open(path).unwrap());
        for filter in stats_filters() {
            let total = fleet.stats(&filter).unwrap().total;
            let each = files
                .each_ref()
                .map(|file| file.stats(&filter).unwrap().total);
            let sum = |part: fn(&tower_mcp_store::query::CallStats) -> i64| {
                each.iter().map(part).sum::<i64>()
            };
            assert_eq!(
                [
                    total.calls,
                    total.errors,
                    total.tool_errors,
                    total.open,
                    total.bytes_in
                ],
                [
                    sum(|of| of.calls),
                    sum(|of| of.errors),
                    sum(|of| of.tool_errors),
                    sum(|of| of.open),
                    sum(|of| of.bytes_in),
                ],
                "{filter:?}"
            );
            assert_eq!(total.max_us, each.iter().filter_map(|of| of.max_us).max());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn info_counts_the_rows_of_all_files_and_names_them() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = [Replica::with_key([1; 32]), Replica::with_key([1; 32])];
    let other = Replica::with_key([2; 32]);
    for replica in &replicas {
        replica.record("shared", 2);
        replica.ship(database.target()).await.unwrap();
    }
    let target = database.target();
    let info = blocking(move || open(&target).info()).await.unwrap();
    let facts = json_of(&info);
    assert_eq!(facts["requests"], 4);
    assert_eq!(facts["sessions"], 1);
    assert_eq!(facts["losses"], 0);
    let shipped_to: Vec<i64> = info.stores.iter().map(|store| store.shipped_to).collect();
    assert_eq!(shipped_to, [2, 2]);
    assert!(info.has_one_key());
    other.record("other", 1);
    other.ship(database.target()).await.unwrap();
    let target = database.target();
    let info = blocking(move || open(&target).info()).await.unwrap();
    assert_eq!(info.stores.len(), 3);
    assert!(!info.has_one_key());
}

#[tokio::test(flavor = "multi_thread")]
async fn six_readers_share_a_pool_of_one_connection() {
    let Some(server) = support::postgres() else {
        return;
    };
    let Some(pooler) = support::pgbouncer(&server, 1) else {
        return;
    };
    let (database, _replica) = shipped(&server).await;
    let reading: Vec<_> = (0..6)
        .map(|_| {
            let target = database.target_at(pooler.port());
            tokio::task::spawn_blocking(move || {
                let mut fleet = open(&target);
                let calls = || fleet.stats(&StatsFilter::new()).unwrap().total.calls;
                let calls: Vec<i64> = std::iter::repeat_with(calls).take(5).collect();
                let newest = fleet
                    .requests(&RequestFilter::new().client("claude"), 3)
                    .unwrap();
                (calls, newest.len())
            })
        })
        .collect();
    for answer in reading {
        assert_eq!(answer.await.unwrap(), (vec![65; 5], 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_leaves_no_transaction_open_after_an_answer() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let target = database.target();
    let reader = blocking(move || {
        let mut reader = open(&target);
        reader.info().unwrap();
        reader
    })
    .await;
    let open = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    support::eventually("the transaction ends", async || {
        database.number(open).await == 0
    })
    .await;
    blocking(move || drop(reader)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reader_that_ends_leaves_no_line_in_the_log_of_the_server() {
    let Some(server) = support::own_postgres_with(&[("log_disconnections", "on")], &[]) else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let before = server.log().len();
    let target = database.target();
    let reader = blocking(move || {
        let mut reader = open(&target);
        reader.info().unwrap();
        reader
    })
    .await;
    let ended = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND pid <> pg_backend_pid() AND state = 'idle' AND query LIKE 'ROLLBACK%'";
    support::eventually("the answer waits in the socket", async || {
        database.number(ended).await == 1
    })
    .await;
    blocking(move || drop(reader)).await;
    let log = || server.log()[before..].to_owned();
    support::eventually("the connection ends", async || {
        log().contains("disconnection: ")
    })
    .await;
    for complaint in ["reset by peer", "unexpected EOF", "Broken pipe"] {
        assert!(!log().contains(complaint), "{}", log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_without_the_tables_is_refused() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    let target = database.target();
    let error = blocking(move || FleetReader::open(&target).err())
        .await
        .unwrap();
    assert_eq!(
        error.kind(),
        tower_mcp_store_postgres::PostgresErrorKind::NoSchema
    );
}
