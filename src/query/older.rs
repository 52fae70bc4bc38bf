//! Files of an older version, as if they were of the current one.
//!
//! Temporary views take the place of tables that changed. SQLite merges such a
//! view into the statement that names it, so the indexes of its table are used.

use rusqlite::Connection;

use crate::db::columns::{Column, REQUESTS, SESSIONS};

/// The tables that version 5 added, without rows.
const EMPTY_TABLES: &str = "
    CREATE TEMP VIEW losses AS
    SELECT 0 AS id, 0 AS from_ts, 0 AS to_ts, 0 AS dropped, '' AS reason WHERE false;
    CREATE TEMP VIEW request_rollups AS
    SELECT 0 AS width, 0 AS start, '' AS proxy, '' AS method, '' AS tool, '' AS outcome,
        0 AS calls, 0 AS ended, 0 AS bytes_in, 0 AS bytes_out, 0 AS max_latency_us,
        x'' AS latencies, 0 AS max_wall_us, x'' AS wall_latencies WHERE false;
    CREATE TEMP VIEW rollup_totals AS
    SELECT 0 AS width, 0 AS start, '' AS proxy, '' AS outcome, 0 AS calls, 0 AS ended,
        0 AS max_latency_us, x'' AS latencies WHERE false;
    CREATE TEMP VIEW writers AS
    SELECT '' AS id, 0 AS started_at, '' AS instance WHERE false;
    CREATE TEMP VIEW tasks AS
    SELECT '' AS operation_id, '' AS task_id, '' AS caller, '' AS status, 0 AS updated_ts,
        0 AS ended_ts, '' AS outcome, '' AS error_code, '' AS error_msg, 0 AS polls,
        '' AS rolled_up_as
    WHERE false;
    CREATE TEMP VIEW listing_views AS
    SELECT 0 AS id, '' AS proxy, '' AS upstream_url, '' AS method, '' AS protocol_version,
        '' AS principal, '' AS content_hash, '' AS meta_hash, 0 AS seen_at WHERE false;";

/// Adds temporary views to a connection to a file of version 4, so that the
/// queries of version 5 can read it.
pub(super) fn add_views(conn: &Connection, version: i64) -> rusqlite::Result<()> {
    let [requests, sessions] = [("requests", REQUESTS), ("sessions", SESSIONS)]
        .map(|(table, columns)| view(table, columns, version));
    conn.execute_batch(&format!(
        "BEGIN; {requests} {sessions} {EMPTY_TABLES} COMMIT"
    ))
}

/// A view with all columns of a table. It names each, so that a column which a
/// user added cannot collide with one of ours.
fn view(table: &str, columns: &[Column], version: i64) -> String {
    let select = columns.iter().map(|column| match column.since <= version {
        true => column.name.to_owned(),
        false => format!("{} AS {}", column.default, column.name),
    });
    let select = Vec::from_iter(select).join(", ");
    format!("CREATE TEMP VIEW {table} AS SELECT {select} FROM main.{table};")
}
