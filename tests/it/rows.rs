//! The rows that each event leaves in the file.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;
use tower_mcp_store::event::SpanId;
use tower_mcp_store::{
    EndReason, RequestEvent, RequestStatus, Retention, RpcId, SchemaVersionEvent, SessionEvent,
    SessionSource, Stats, Store, StoreEvent, TraceId,
};

use crate::support::{self, LONG, connect, fresh, request, rows, value};

/// Writes `groups`, each in a transaction of its own, and opens the result.
fn write(groups: impl IntoIterator<Item = Vec<StoreEvent>>) -> (TempDir, Connection, Stats) {
    let (dir, path) = fresh();
    let store = Store::builder(path)
        .flush_interval(LONG)
        .retention(Retention::unlimited())
        .open()
        .unwrap();
    for group in groups {
        for event in group {
            store.record(event);
        }
        store.flush(LONG).unwrap();
    }
    let stats = store.shutdown(LONG).unwrap();
    let conn = connect(store.path());
    (dir, conn, stats)
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

// ===== requests =====

#[test]
fn every_field_of_a_request_has_its_column() {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Timeout);
    event.request_id = "0195E000-0000-7000-8000-0000000000AB".parse().unwrap();
    event.ts = 1_775_000_000_000;
    event.proxy = "api".into();
    event.session_id = Some("s".into());
    event.tool = Some("search".into());
    event.target = Some("file:///a".into());
    event.latency_us = 1;
    event.error_code = Some("-32601".into());
    event.error_msg = Some("méthode inconnue ✗".into());
    event.bytes_in = Some(2);
    event.bytes_out = Some(u64::MAX);
    event.http_status = Some(504);
    event.tool_error = true;
    event.end_reason = Some(EndReason::NoResponse);
    event.ttfb_us = Some(3);
    event.protocol_version = Some("2025-11-25".into());
    event.principal = Some("ann".into());
    let traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    event.trace_id = TraceId::from_traceparent(traceparent);
    event.parent_span_id = SpanId::from_traceparent(traceparent);
    event.rpc_id = Some(RpcId::integer(-10));
    let (_dir, conn, _) = write([vec![StoreEvent::Request(event)]]);
    assert_eq!(
        rows(
            &conn,
            "SELECT request_id, ts, proxy, session_id, method, tool, target, latency_us, status,
                error_code, error_msg, bytes_in, bytes_out, http_status, tool_error, end_reason,
                ttfb_us, protocol_version, principal, trace_id, parent_span_id, rpc_id
             FROM requests"
        ),
        [[
            text("0195e000-0000-7000-8000-0000000000ab"),
            Value::Integer(1_775_000_000_000),
            text("api"),
            text("s"),
            text("tools/call"),
            text("search"),
            text("file:///a"),
            Value::Integer(1),
            text("timeout"),
            text("-32601"),
            text("méthode inconnue ✗"),
            Value::Integer(2),
            Value::Integer(i64::MAX),
            Value::Integer(504),
            Value::Integer(1),
            text("no_response"),
            Value::Integer(3),
            text("2025-11-25"),
            text("ann"),
            text("0af7651916cd43dd8448eb211c80319c"),
            text("b7ad6b7169203331"),
            text("-10"),
        ]]
    );
}

#[test]
fn unknown_fields_of_a_request_are_null() {
    let event = RequestEvent::new("ping", RequestStatus::Ok);
    let (_dir, conn, _) = write([vec![StoreEvent::Request(event)]]);
    assert_eq!(
        rows(
            &conn,
            "SELECT proxy, tool_error, coalesce(session_id, tool, target, error_code, error_msg,
                bytes_in, bytes_out, http_status, end_reason, ttfb_us, protocol_version, principal,
                trace_id, parent_span_id, rpc_id, operation_id, leg, state_in, state_out, task_id,
                task_status, operation_us)
             FROM requests"
        ),
        [[text("default"), Value::Integer(0), Value::Null]]
    );
}

#[test]
fn error_text_is_cut_to_512_characters() {
    let mut event = RequestEvent::new("ping", RequestStatus::Error);
    event.error_msg = Some("é".repeat(600).into());
    let (_dir, conn, _) = write([vec![StoreEvent::Request(event)]]);
    assert_eq!(
        value::<String>(&conn, "SELECT error_msg FROM requests"),
        "é".repeat(512)
    );
}

#[test]
fn second_request_with_the_same_id_fails_alone_and_changes_no_counter() {
    let mut first = request();
    first.session_id = Some("s".into());
    let mut second = first.clone();
    second.status = RequestStatus::Error;
    let session = StoreEvent::Session(SessionEvent::new("s"));
    let (_dir, conn, stats) = write([vec![
        session,
        StoreEvent::Request(first),
        StoreEvent::Request(second),
        StoreEvent::Request(request()),
    ]]);
    assert_eq!((stats.written, stats.failed), (3, 1));
    assert_eq!(
        rows(
            &conn,
            "SELECT status, count(*) FROM requests GROUP BY status"
        ),
        [[text("ok"), Value::Integer(2)]]
    );
    assert_eq!(
        rows(
            &conn,
            "SELECT total_calls, total_errors, operations FROM sessions"
        ),
        [[Value::Integer(1), Value::Integer(0), Value::Integer(1)]]
    );
    assert_eq!(
        rows(&conn, "SELECT reason, dropped FROM losses"),
        [[text("write_failed"), Value::Integer(1)]]
    );
}

// ===== sessions =====

fn of_session(ts: i64, status: RequestStatus) -> StoreEvent {
    let mut event = RequestEvent::new("ping", status);
    event.ts = ts;
    event.session_id = Some("s".into());
    StoreEvent::Request(event)
}

fn session(started_at: i64) -> StoreEvent {
    let mut event = SessionEvent::new("s");
    event.started_at = started_at;
    StoreEvent::Session(event)
}

fn closed(ended_at: i64) -> StoreEvent {
    let session_id = "s".into();
    StoreEvent::SessionClosed {
        session_id,
        ended_at,
    }
}

/// `started_at, last_seen_at, ended_at, total_calls, total_errors`
const COUNTERS: &str =
    "SELECT started_at, last_seen_at, ended_at, total_calls, total_errors FROM sessions";

#[test]
fn every_field_of_a_session_has_its_column() {
    let mut event = SessionEvent::new("s");
    event.proxy = "api".into();
    event.started_at = 7;
    event.client_name = Some("Claude-AI (via mcp-remote 0.1)".into());
    event.client_version = Some("1".into());
    event.source = SessionSource::Derived;
    event.protocol_version = Some("2026-07-28".into());
    event.server_name = Some("server".into());
    event.server_version = Some("2".into());
    let (_dir, conn, _) = write([vec![StoreEvent::Session(event)]]);
    assert_eq!(
        rows(
            &conn,
            "SELECT session_id, proxy, started_at, last_seen_at, ended_at, client_name,
                client_version, client_platform, total_calls, total_errors, source,
                protocol_version, server_name, server_version
             FROM sessions"
        ),
        [[
            text("s"),
            text("api"),
            Value::Integer(7),
            Value::Integer(7),
            Value::Null,
            text("Claude-AI (via mcp-remote 0.1)"),
            text("1"),
            text("claude"),
            Value::Integer(0),
            Value::Integer(0),
            text("derived"),
            text("2026-07-28"),
            text("server"),
            text("2"),
        ]]
    );
}

#[test]
fn given_platform_is_stored() {
    let mut event = SessionEvent::new("s");
    event.client_name = Some("claude-ai".into());
    event.client_platform = Some("mine".into());
    let (_dir, conn, _) = write([vec![StoreEvent::Session(event)]]);
    assert_eq!(
        value::<String>(&conn, "SELECT client_platform FROM sessions"),
        "mine"
    );
}

/// Writes the events in one transaction, and then each in a transaction of its own.
fn in_any_batches(events: Vec<StoreEvent>, check: impl Fn(&Connection)) {
    let (_dir, conn, _) = write([events.clone()]);
    check(&conn);
    let (_dir, conn, _) = write(events.into_iter().map(|event| vec![event]));
    check(&conn);
}

#[test]
fn counters_count_every_request_of_the_session_in_any_batches() {
    use RequestStatus::{Error, Ok, Timeout};
    let events = vec![
        session(100),
        of_session(300, Ok),
        of_session(200, Error),
        of_session(250, Timeout),
    ];
    in_any_batches(events, |conn| {
        assert_eq!(rows(conn, COUNTERS), [[100, 300, -1, 3, 2].map(integer)]);
    });
}

/// Returns a value; -1 stands for NULL.
fn integer(value: i64) -> Value {
    if value == -1 {
        Value::Null
    } else {
        Value::Integer(value)
    }
}

#[test]
fn request_before_its_session_is_not_counted_in_any_batches() {
    let events = vec![of_session(900, RequestStatus::Error), session(100)];
    in_any_batches(events, |conn| {
        assert_eq!(rows(conn, COUNTERS), [[100, 100, -1, 0, 0].map(integer)]);
        assert_eq!(
            value::<String>(conn, "SELECT session_id FROM requests"),
            "s"
        );
    });
}

#[test]
fn requests_after_the_end_are_counted_and_do_not_reopen_the_session() {
    let events = vec![
        session(100),
        closed(200),
        of_session(300, RequestStatus::Ok),
        closed(400),
    ];
    in_any_batches(events, |conn| {
        assert_eq!(rows(conn, COUNTERS), [[100, 300, 200, 1, 0].map(integer)]);
    });
}

#[test]
fn repeated_session_changes_nothing() {
    let mut again = SessionEvent::new("s");
    again.client_name = Some("other".into());
    let events = vec![
        session(100),
        of_session(150, RequestStatus::Ok),
        closed(200),
        StoreEvent::Session(again),
    ];
    in_any_batches(events, |conn| {
        assert_eq!(rows(conn, COUNTERS), [[100, 150, 200, 1, 0].map(integer)]);
        assert_eq!(
            value::<Option<String>>(conn, "SELECT client_name FROM sessions"),
            None
        );
    });
}

#[test]
fn requests_and_closes_of_an_unknown_session_create_no_session() {
    let (_dir, conn, stats) = write([vec![of_session(1, RequestStatus::Ok), closed(2)]]);
    assert_eq!(stats.written, 2);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM sessions"), 0);
}

// ===== listings =====

fn listing(ts: i64, payload: &str, hash: &str) -> StoreEvent {
    let mut event = SchemaVersionEvent::new("tools/list", payload, hash);
    event.ts = ts;
    StoreEvent::SchemaVersion(event)
}

fn stale(ts: i64) -> StoreEvent {
    StoreEvent::SchemaStale {
        ts,
        proxy: "default".into(),
        upstream_url: "".into(),
        method: "tools/list".into(),
    }
}

const CHANGES: &str = "SELECT change_type || ' ' || coalesce(item_name, '-') || ' '
        || coalesce(old_hash, '-') || ' ' || coalesce(new_hash, '-') || ' ' || detected_at
     FROM schema_changes ORDER BY id";

fn changes(conn: &Connection) -> Vec<String> {
    let mut statement = conn.prepare(CHANGES).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

const A: &str = r#"{"tools":[{"name":"a"}]}"#;
const B: &str = r#"{"tools":[{"name":"b"}]}"#;

#[test]
fn listing_is_stored_with_the_history_of_its_changes() {
    let events = vec![
        listing(1, A, "h1"),
        listing(2, B, "h2"),
        listing(3, B, "h2"),
        listing(4, r#"{"tools":[{"name":"b"}],"more":1}"#, "h4"),
    ];
    in_any_batches(events, |conn| {
        assert_eq!(
            changes(conn),
            [
                "initial - - h1 1",
                "tool_added b h1 h2 2",
                "tool_removed a h1 h2 2",
                "updated - h2 h4 4",
            ]
        );
        assert_eq!(
            rows(
                conn,
                "SELECT id, captured_at, schema_hash FROM server_schema"
            ),
            [[Value::Integer(1), Value::Integer(4), text("h4")]]
        );
    });
}

#[test]
fn listing_is_marked_stale_once_until_the_next_read() {
    let events = vec![
        stale(1),
        stale(2),
        listing(3, A, "h1"),
        stale(4),
        stale(5),
        listing(6, B, "h2"),
        stale(7),
    ];
    in_any_batches(events, |conn| {
        assert_eq!(
            changes(conn),
            [
                "stale - - - 1",
                "initial - - h1 3",
                "stale - h1 - 4",
                "tool_added b h1 h2 6",
                "tool_removed a h1 h2 6",
                "stale - h2 - 7",
            ]
        );
    });
}

#[test]
fn unparsable_listing_is_updated_and_removes_no_item() {
    let deep = format!(
        r#"{{"tools":[{{"name":"a","inputSchema":{}{}}}]}}"#,
        "[".repeat(1000),
        "]".repeat(1000)
    );
    let events = vec![
        listing(1, A, "h1"),
        listing(2, &deep, "h2"),
        listing(3, A, "h3"),
    ];
    in_any_batches(events, |conn| {
        assert_eq!(
            changes(conn),
            ["initial - - h1 1", "updated - h1 h2 2", "updated - h2 h3 3"]
        );
    });
}

#[test]
fn listings_of_different_servers_are_separate() {
    let mut other = SchemaVersionEvent::new("tools/list", A, "h1");
    other.proxy = "other".into();
    let (_dir, conn, _) = write([vec![
        listing(1, A, "h1"),
        StoreEvent::SchemaVersion(other),
        stale(2),
    ]]);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM server_schema"), 2);
    assert_eq!(
        rows(
            &conn,
            "SELECT proxy, change_type FROM schema_changes ORDER BY id"
        ),
        [
            [text("default"), text("initial")],
            [text("other"), text("initial")],
            [text("default"), text("stale")],
        ]
    );
}

#[test]
fn two_stores_can_write_to_one_file_concurrently() {
    let (_dir, path) = fresh();
    let stores: [Store; 2] = [(); 2].map(|()| {
        Store::builder(PathBuf::from(&path))
            .flush_interval(Duration::from_millis(1))
            .open()
            .unwrap()
    });
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                for _ in 0..20 {
                    support::record_requests(store, 50);
                    store.flush(LONG).unwrap();
                }
            });
        }
    });
    for store in stores {
        assert_eq!(store.shutdown(LONG).unwrap().written, 1000);
    }
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), 2000);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM losses"), 0);
}
