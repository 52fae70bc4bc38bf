//! The views show other programs what this crate reads from the tables.

use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{ClientFilter, Reader};
use tower_mcp_store::{EndReason, RequestStatus, Retention, Store, StoreEvent};

use crate::support::{self, LONG, connect, fixture, record_requests, rows, value};

#[test]
fn calls_have_their_tools_outcomes_and_clients() {
    let (_dir, path) = fixture(4);
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    let mut failed = support::request();
    failed.tool_error = true;
    let mut lost = support::request();
    (lost.status, lost.end_reason) = (RequestStatus::Error, Some(EndReason::ClientGone));
    let mut read = support::request();
    (read.method, read.tool) = ("resources/read".into(), None);
    read.target = Some("file:///a".into());
    (read.ts, read.latency_us) = (1_795_000_000_123, 1_500_000);
    for event in [failed, lost, read] {
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM calls"), 43);
    let types = "SELECT group_concat(error_type) FROM
        (SELECT DISTINCT error_type FROM calls WHERE error_type IS NOT NULL ORDER BY 1)";
    assert_eq!(
        value::<String>(&conn, types),
        "client_gone,timeout,tool_error",
        "an unknown method is a fault of the caller"
    );
    let read = "SELECT time || ' ' || mcp_resource_uri || ' ' || mcp_server_operation_duration
        FROM calls ORDER BY id DESC LIMIT 1";
    assert_eq!(
        value::<String>(&conn, read),
        "2026-11-18T11:06:40.123Z file:///a 1.5"
    );
    let client = "SELECT DISTINCT client_name FROM calls WHERE mcp_session_id = 's0'";
    assert_eq!(value::<String>(&conn, client), "claude-ai");
}

#[test]
fn statistics_of_tools_and_clients_equal_those_of_the_reader() {
    let (_dir, path) = fixture(4);
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    let tools = "SELECT gen_ai_tool_name || ' ' || sum(calls) || ' ' || sum(errors)
        FROM tool_stats GROUP BY gen_ai_tool_name";
    assert_eq!(rows(&conn, tools).len(), 2);
    assert_eq!(value::<String>(&conn, tools), "create_order 7 1");
    let clients = Reader::open(&path)
        .unwrap()
        .clients(&ClientFilter::new())
        .unwrap();
    let sums = "SELECT count(*) || ' ' || sum(sessions) || ' ' || sum(calls) FROM client_stats";
    let calls: i64 = clients.iter().map(|client| client.calls).sum();
    let expected = format!("{} 4 {calls}", clients.len());
    assert_eq!(value::<String>(&conn, sums), expected);
}

#[test]
fn hours_count_each_request_once() {
    const CALLS: &str = "SELECT sum(calls) FROM hourly_stats";
    const CELLS: &str = "SELECT count(*) FROM request_rollups";
    let (_dir, path) = support::fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 100);
    store.shutdown(LONG).unwrap();
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, CALLS), 100);
    // The writer rolls up when it opens the file.
    let store = Store::open(&path).unwrap();
    let start = std::time::Instant::now();
    while value::<i64>(&conn, CELLS) == 0 {
        assert!(start.elapsed() < LONG);
        std::thread::yield_now();
    }
    record_requests(&store, 10);
    store.shutdown(LONG).unwrap();
    assert_eq!(value::<i64>(&conn, CALLS), 110);
}

#[test]
fn hours_are_readable_after_odd_numbers_and_times_of_other_programs() {
    let (_dir, path) = support::fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    for (ts, bytes) in [(0, i64::MAX), (1, i64::MAX), (-1, 3)] {
        conn.execute(
            "INSERT INTO requests (request_id, ts, proxy, method, latency_us, status, bytes_out)
             VALUES (hex(randomblob(8)), ?1, 'default', 'ping', 1, 'ok', ?2)",
            (ts, bytes),
        )
        .unwrap();
    }
    let hours = "SELECT time || ' ' || ts || ' ' || calls || ' ' || http_response_body_size
        FROM hourly_stats ORDER BY ts";
    let expected = [
        "1969-12-31T23:00:00Z -3600000 1 3".to_owned(),
        format!("1970-01-01T00:00:00Z 0 2 {}", i64::MAX),
    ];
    let statistics = || {
        let mut statement = conn.prepare(hours).unwrap();
        let hours = statement.query_map([], |row| row.get(0)).unwrap();
        hours.collect::<Result<Vec<String>, _>>().unwrap()
    };
    assert_eq!(statistics(), expected);
    // The writer rolls up.
    let maintenance = Maintenance::open(&path).unwrap();
    let on = |_| std::ops::ControlFlow::Continue(());
    assert_eq!(maintenance.prune(2, on).unwrap().rows, 3);
    assert_eq!(statistics(), expected);
}

#[test]
fn view_of_the_user_is_kept() {
    let (_dir, path) = fixture(4);
    connect(&path)
        .execute_batch("CREATE VIEW calls AS SELECT 'mine' AS whose; CREATE TABLE tool_stats (x);")
        .unwrap();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    assert_eq!(value::<String>(&conn, "SELECT whose FROM calls"), "mine");
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM tool_stats"), 0);
}

#[test]
fn conditions_on_time_tool_and_id_reach_an_index_through_the_view_of_operations() {
    let (_dir, path) = support::fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    for (condition, index) in [
        ("ts > 5", "idx_requests_ts (ts>?)"),
        ("ts > 5 ORDER BY ts DESC LIMIT 9", "idx_requests_ts (ts>?)"),
        (
            "gen_ai_tool_name = 'search' AND ts > 5",
            "idx_requests_tool (tool=? AND ts>?)",
        ),
        (
            "operation_id = 'a'",
            "sqlite_autoindex_requests_1 (request_id=?)",
        ),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM operations WHERE {condition}");
        let mut statement = conn.prepare(&sql).unwrap();
        let plan = statement.query_map([], |row| row.get(3)).unwrap();
        let plan: Vec<String> = plan.map(Result::unwrap).collect();
        assert_eq!(plan[0], format!("SEARCH requests USING INDEX {index}"));
        // Its other requests, its task and its client are looked up.
        assert!(
            plan.iter().all(|step| !step.starts_with("SCAN")),
            "{plan:?}"
        );
    }
}

#[test]
fn columns_of_views_have_types() {
    // An older SQLite gives expressions none.
    if rusqlite::version_number() < 3_041_000 {
        return;
    }
    let (_dir, path) = support::fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let untyped =
        "SELECT v.name || '.' || c.name FROM sqlite_schema AS v, pragma_table_info(v.name) AS c
        WHERE v.type = 'view' AND c.type NOT IN ('TEXT', 'INTEGER', 'INT', 'REAL')";
    assert_eq!(
        rows(&connect(&path), untyped),
        [] as [Vec<rusqlite::types::Value>; 0]
    );
}
