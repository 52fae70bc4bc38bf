//! The limit that SQLite sets: a loop that runs the writer's statements, with
//! nothing between the events and the file.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tower_mcp_store::{RequestEvent, RequestStatus, Store};

use crate::case::Case;
use crate::events::Shared;
use crate::{load, process};

/// Those of the store's connection.
const SETTINGS: &str = "PRAGMA synchronous = NORMAL;
    PRAGMA cache_size = -16384;
    PRAGMA wal_autocheckpoint = 4096;
    PRAGMA ignore_check_constraints = ON;";

pub(crate) fn write(path: &Path, case: &Case) {
    let shared = Shared::new(case.sessions);
    let store = Store::open(path).expect("the store opens");
    shared.sessions().for_each(|event| store.record(event));
    store
        .shutdown(Duration::from_secs(60))
        .expect("an orderly end");

    let conn = Connection::open(path).expect("the file opens");
    conn.execute_batch(SETTINGS).expect("settings");
    conn.execute_batch(&case.sql).expect("valid SQL");
    let mut requests = load::calls(case.sessions).map(|call| shared.request(call));
    let mut write = |rows: usize| {
        let mut wall = Duration::ZERO;
        for start in (0..rows).step_by(case.group) {
            let count = case.group.min(rows - start);
            let group: Vec<_> = requests.by_ref().take(count).collect();
            let start = Instant::now();
            write_group(&conn, &group).expect("the rows are written");
            wall += start.elapsed();
        }
        wall
    };
    write(case.fill);
    let cpu = process::cpu();
    let wall = write(case.rows);
    let cpu = process::cpu() - cpu;
    conn.close().expect("an orderly end");
    case.tell_rows(wall, cpu, path);
}

fn write_group(conn: &Connection, group: &[RequestEvent]) -> rusqlite::Result<()> {
    conn.execute_batch("BEGIN IMMEDIATE")?;
    let mut insert = conn.prepare_cached(
        "INSERT INTO requests (
            request_id, ts, proxy, session_id, method, tool, latency_us, status, error_code,
            error_msg, bytes_in, bytes_out, target, http_status, tool_error, end_reason, ttfb_us,
            protocol_version, principal, trace_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
            ?19, ?20)",
    )?;
    let mut tallies: HashMap<&str, (i64, i64, i64)> = HashMap::new();
    for event in group {
        insert.execute(params![
            event.request_id.to_string(),
            event.ts,
            event.proxy,
            event.session_id,
            event.method,
            event.tool,
            event.latency_us as i64,
            event.status.as_str(),
            event.error_code,
            event.error_msg,
            event.bytes_in.map(|bytes| bytes as i64),
            event.bytes_out.map(|bytes| bytes as i64),
            event.target,
            event.http_status,
            event.tool_error,
            event.end_reason.map(|reason| reason.as_str()),
            event.ttfb_us.map(|us| us as i64),
            event.protocol_version,
            event.principal,
            event.trace_id.map(|id| id.to_string()),
        ])?;
        if let Some(session) = &event.session_id {
            let (calls, errors, last) = tallies.entry(session).or_default();
            *calls += 1;
            *errors += i64::from(event.status != RequestStatus::Ok);
            *last = (*last).max(event.ts);
        }
    }
    let mut tally = conn.prepare_cached(
        "UPDATE sessions SET
            total_calls = total_calls + ?2,
            total_errors = total_errors + ?3,
            last_seen_at = max(last_seen_at, ?4)
         WHERE session_id = ?1",
    )?;
    for (session, (calls, errors, last)) in tallies {
        tally.execute(params![session, calls, errors, last])?;
    }
    conn.execute_batch("COMMIT")
}
