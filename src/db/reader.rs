//! Reads committed rows without blocking the writer.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row, params};

#[cfg(feature = "rmcp")]
use super::event_rows::StreamToken;
use super::event_rows::{EventRow, LogKind};
use super::files::{Files, OpenFiles};
use super::read_only::{self, Access};
use super::side_files;

/// How long SQLite may wait while another connection recovers the WAL, in
/// milliseconds. A reader waits for nothing else.
const BUSY_TIMEOUT_MS: i64 = 5_000;

const COMPLETE_AFTER: &str = "SELECT complete_after FROM sse_logs WHERE kind = ?1 AND name = ?2";
const EVENTS: &str = "SELECT e.id, e.ts, e.retry_ms, e.data
     FROM sse_logs l JOIN sse_events e ON e.log = l.log
     WHERE l.kind = ?1 AND l.name = ?2 AND e.id > ?3 ORDER BY e.id";
#[cfg(feature = "rmcp")]
const STREAM: &str = "SELECT complete_after,
        coalesce((SELECT max(id) FROM sse_events e WHERE e.log = l.log), 0)
     FROM sse_logs l WHERE token = ?1";
#[cfg(feature = "rmcp")]
const STREAM_EVENTS: &str = "SELECT e.id, e.ts, e.retry_ms, e.data
     FROM sse_logs l JOIN sse_events e ON e.log = l.log
     WHERE l.token = ?1 AND e.id > ?2 ORDER BY e.id";
const SESSION: &str = "SELECT data, expires_at FROM sdk_sessions
     WHERE session_id = ?1 AND sdk = ?2 AND expires_at > ?3";

/// A read-only connection.
#[derive(Debug)]
pub(crate) struct Reader {
    conn: Connection,
    files: OpenFiles,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let real = fs::canonicalize(path).map_err(|error| error.to_string())?;
        let files = |real: &Path| Files::at(real).map_err(|error| error.to_string());
        let replaced = || String::from("the file was replaced, and its writer has not noticed yet");
        let before = files(&real)?;
        if side_files::are_foreign(&real) || before.open_otherwise() {
            return Err(replaced());
        }
        let connect = || {
            let conn = read_only::open(&real, Access::Shared)?;
            conn.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
            // This statement opens the side files.
            conn.pragma_query_value(None, "schema_version", |_| Ok(()))?;
            Ok(conn)
        };
        let conn = connect().map_err(|error: rusqlite::Error| error.to_string())?;
        let after = files(&real)?;
        if !before.are_in(after) || !after.are_whole() {
            return Err(replaced());
        }
        let files = OpenFiles::new(path, &real, after);
        Ok(Self { conn, files })
    }

    /// Returns whether the names no longer lead to the open files.
    pub(crate) fn is_replaced(&self) -> bool {
        !self.files.are_here()
    }

    /// Returns the highest id that was evicted from a log, if there is one.
    pub(crate) fn complete_after(
        &self,
        kind: LogKind,
        name: &str,
    ) -> rusqlite::Result<Option<i64>> {
        let mut find = self.conn.prepare_cached(COMPLETE_AFTER)?;
        find.query_row([kind.as_str(), name], |row| row.get(0))
            .optional()
    }

    /// Returns the events of a log after one, with their ids.
    pub(crate) fn events(
        &self,
        kind: LogKind,
        name: &str,
        after: i64,
    ) -> rusqlite::Result<Vec<(i64, EventRow)>> {
        let mut events = self.conn.prepare_cached(EVENTS)?;
        let rows = events.query_map(params![kind.as_str(), name, after], event)?;
        rows.collect()
    }

    /// Returns the events of a stream after one. `None` if there never was such an
    /// event.
    #[cfg(feature = "rmcp")]
    pub(crate) fn stream(
        &self,
        token: StreamToken,
        after: i64,
    ) -> rusqlite::Result<Option<Replay>> {
        let snapshot = self.conn.unchecked_transaction()?;
        let mut stream = snapshot.prepare_cached(STREAM)?;
        let found = stream
            .query_row([token], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((complete_after, newest)): Option<(i64, i64)> = found else {
            return Ok(None);
        };
        if after > newest {
            return Ok(None);
        }
        let mut events = snapshot.prepare_cached(STREAM_EVENTS)?;
        let rows = events.query_map(params![token, after], event)?;
        Ok(Some(Replay {
            events: rows.collect::<Result<_, _>>()?,
            is_complete: after >= complete_after,
        }))
    }

    /// Returns the data and the expiry of a session that has not expired.
    pub(crate) fn session(
        &self,
        sdk: &str,
        session_id: &str,
        now: i64,
    ) -> rusqlite::Result<Option<(String, i64)>> {
        let mut session = self.conn.prepare_cached(SESSION)?;
        session
            .query_row(params![session_id, sdk, now], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
    }
}

/// Events of a stream.
#[cfg(feature = "rmcp")]
#[derive(Debug)]
pub(crate) struct Replay {
    /// With their ids, in order.
    pub(crate) events: Vec<(i64, EventRow)>,
    /// Whether no event between was evicted.
    pub(crate) is_complete: bool,
}

fn event(row: &Row<'_>) -> rusqlite::Result<(i64, EventRow)> {
    let event = EventRow {
        ts: row.get(1)?,
        retry_ms: row.get(2)?,
        data: row.get(3)?,
    };
    Ok((row.get(0)?, event))
}
