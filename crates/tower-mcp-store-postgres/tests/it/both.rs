//! Queries in the common subset of both engines give the same answers on a file and on the
//! database that it was shipped to.

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use tower_mcp_store::{EndReason, RequestStatus, StoreEvent};

use crate::support::{self, Database, LONG, Replica, init, request};

/// Queries for dashboards, in SQL that both engines understand. They say where NULL goes,
/// which the engines sort differently, and what type a sum has.
pub(crate) const QUERIES: [&str; 20] = [
    "SELECT count(*) FROM calls",
    "SELECT request_id, ts, time, proxy, mcp_method_name FROM calls ORDER BY ts, request_id",
    "SELECT gen_ai_tool_name, count(*) FROM calls GROUP BY gen_ai_tool_name ORDER BY 1 NULLS FIRST",
    "SELECT outcome, count(*) FROM calls GROUP BY outcome ORDER BY outcome",
    "SELECT error_type, count(*) FROM calls WHERE error_type IS NOT NULL
        GROUP BY error_type ORDER BY error_type",
    "SELECT mcp_session_id, client_name, client_version, client_platform FROM calls
        WHERE mcp_session_id IS NOT NULL ORDER BY request_id",
    "SELECT gen_ai_prompt_name, mcp_resource_uri FROM calls ORDER BY request_id",
    "SELECT max(mcp_server_operation_duration), min(mcp_server_operation_duration) FROM calls",
    "SELECT enduser_id, CAST(sum(http_request_body_size) AS BIGINT) FROM calls
        WHERE enduser_id IS NOT NULL GROUP BY enduser_id ORDER BY enduser_id",
    "SELECT rpc_response_status_code, error_message, end_reason FROM calls
        WHERE outcome <> 'ok' ORDER BY request_id",
    "SELECT operation_id, kind, wall_us, server_us, client_us, legs, polls, outcome
        FROM operations ORDER BY operation_id",
    "SELECT gen_ai_tool_name, count(*), count(error_type) FROM operations
        WHERE ts >= 0 GROUP BY gen_ai_tool_name ORDER BY 1 NULLS FIRST",
    "SELECT mcp_protocol_version, count(*) FROM operations
        WHERE mcp_protocol_version IS NOT NULL GROUP BY mcp_protocol_version ORDER BY 1",
    "SELECT gen_ai_tool_name, calls, errors, timeouts, tool_errors, caller_errors, gone, open
        FROM tool_stats ORDER BY gen_ai_tool_name",
    "SELECT gen_ai_tool_name, p50_duration, p95_duration, p99_duration, max_duration
        FROM tool_stats ORDER BY gen_ai_tool_name",
    "SELECT wall_p50_duration, wall_p95_duration, wall_max_duration, first_call, last_call
        FROM tool_stats ORDER BY gen_ai_tool_name",
    "SELECT client_name, client_platform, versions, sessions, active_sessions, calls, requests,
        request_errors, first_seen, last_seen FROM client_stats ORDER BY client_name",
    "SELECT time, ts, mcp_method_name, gen_ai_tool_name, calls, ended, errors, tool_errors
        FROM hourly_stats ORDER BY ts, mcp_method_name, gen_ai_tool_name NULLS FIRST",
    "SELECT ts, CAST(sum(calls) AS BIGINT), CAST(sum(errors) AS BIGINT), max(max_duration)
        FROM hourly_stats
        GROUP BY ts ORDER BY ts",
    "SELECT session_id, started_at, last_seen_at, ended_at, total_calls, operations
        FROM sessions ORDER BY session_id",
];

fn record(replica: &Replica) {
    replica.record("first", 25);
    replica.record("second", 3);
    let mut events = Vec::new();
    for number in 0..40_u16 {
        let mut event = request();
        event.tool = (number % 3 > 0).then(|| format!("tool {}", number % 3).into());
        event.latency_us = 900 + 1_700 * u64::from(number);
        event.principal = (number % 4 == 0).then(|| "ann".into());
        event.bytes_in = Some(10);
        event.tool_error = number % 7 == 0;
        event.protocol_version = (number % 5 == 0).then(|| "2025-06-18".into());
        events.push(event);
    }
    for (code, http_status, end_reason) in [
        (Some("-32602"), Some(200), None),
        (Some("-32603"), Some(500), None),
        (None, Some(404), None),
        (None, None, Some(EndReason::ClientGone)),
        (None, None, Some(EndReason::Panic)),
    ] {
        let mut event = request();
        event.status = RequestStatus::Error;
        event.error_code = code.map(Into::into);
        event.error_msg = Some("why".into());
        event.http_status = http_status;
        event.end_reason = end_reason;
        events.push(event);
    }
    for (method, target) in [("prompts/get", "summary"), ("resources/read", "file:///a")] {
        let mut event = tower_mcp_store::RequestEvent::new(method, RequestStatus::Ok);
        event.target = Some(target.into());
        events.push(event);
    }
    for event in events {
        replica.store().record(StoreEvent::Request(event));
    }
    replica.store().flush(LONG).unwrap();
}

/// Returns the rows of a query on the file, each as text.
pub(crate) fn of_file(conn: &Connection, sql: &str) -> Vec<String> {
    let mut select = conn.prepare(sql).unwrap();
    let columns = select.column_count();
    let rows = select.query_map([], |row| {
        let values = (0..columns).map(|index| {
            Ok(match row.get_ref(index)? {
                ValueRef::Null => "NULL".to_owned(),
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => format!("{value:.9}"),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                ValueRef::Blob(_) => "a blob".to_owned(),
            })
        });
        Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join(" | "))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Returns the same of the database.
pub(crate) async fn of_database(database: &Database, sql: &str) -> Vec<String> {
    use tokio_postgres::types::Type;
    let rows = database.rows(sql).await;
    let text = |row: &tokio_postgres::Row, index: usize| match *row.columns()[index].type_() {
        Type::INT8 => row
            .get::<_, Option<i64>>(index)
            .map(|value| value.to_string()),
        Type::FLOAT8 => {
            let value = row.get::<_, Option<f64>>(index);
            value.map(|value| format!("{value:.9}"))
        }
        _ => row.get::<_, Option<String>>(index),
    };
    let line = |row: &tokio_postgres::Row| {
        let values = (0..row.len()).map(|index| text(row, index).unwrap_or("NULL".to_owned()));
        values.collect::<Vec<_>>().join(" | ")
    };
    rows.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_in_the_common_subset_give_the_same_rows_on_both_engines() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    record(&replica);
    replica.ship(database.target()).await.unwrap();
    for sql in QUERIES {
        let expected = of_file(&replica.file(), sql);
        assert!(!expected.is_empty(), "{sql}");
        assert_eq!(of_database(&database, sql).await, expected, "{sql}");
    }
}
