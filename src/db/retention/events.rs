//! Prunes the events of streams.

use rusqlite::{Connection, Params, Result};

use super::kinds::{DUE_EVENTS, REMOVE_EVENT};
use super::{BATCH, Span};
use crate::clock;

/// Events that are dated later than ?1, at most ?2.
const AHEAD: &str = "SELECT n FROM sse_events WHERE n > ?1 ORDER BY n LIMIT ?2";
const NEWEST: &str = "SELECT coalesce(max(n), 0) FROM sse_events WHERE n <= ?1";
const REDATE: &str = "UPDATE sse_events SET n = ?2 WHERE n = ?1";

/// Sets the time of events to now if a clock was ahead: otherwise neither they nor
/// the events after them would ever be old enough to prune. Returns the number of
/// these events.
pub(super) fn redate(conn: &Connection) -> Result<u64> {
    let now = clock::unix_ms().saturating_mul(1000);
    let latest = clock::latest_ms().saturating_mul(1000);
    let ahead = keys(conn, AHEAD, [latest, BATCH])?;
    if ahead.is_empty() {
        return Ok(0);
    }
    let newest: i64 = conn
        .prepare_cached(NEWEST)?
        .query_row([latest], |row| row.get(0))?;
    let first = newest.saturating_add(1).max(now);
    let mut redate = conn.prepare_cached(REDATE)?;
    let mut count = 0;
    for (next, n) in (first..).zip(ahead) {
        // Relative to the events before it, it is no longer ahead.
        if n <= next {
            break;
        }
        count += redate.execute([n, next])? as u64;
    }
    Ok(count)
}

/// Deletes some of the oldest events in the time of `span`. Returns their number.
pub(super) fn remove(conn: &Connection, span: Span) -> Result<u64> {
    let due = keys(conn, DUE_EVENTS, [span.from, span.before, BATCH])?;
    let mut count = 0;
    for n in due {
        let mut rows = 0;
        for sql in REMOVE_EVENT {
            rows = conn.prepare_cached(sql)?.execute([n])?;
        }
        count += rows as u64;
    }
    Ok(count)
}

fn keys(conn: &Connection, sql: &str, values: impl Params) -> Result<Vec<i64>> {
    conn.prepare_cached(sql)?
        .query_map(values, |row| row.get(0))?
        .collect()
}
