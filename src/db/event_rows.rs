//! The events of SSE streams: `sse_logs`, `sse_events`, `sse_totals`.
//!
//! The state that an append needs of its log is remembered from one transaction to
//! the next, while no other connection writes to the file.

pub(super) mod eviction;

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, params};

use super::WriteError;
use super::bind::count;
use crate::clock;

const FIND_LOG: &str = "SELECT log, token, complete_after,
        (SELECT count(*) FROM sse_events e WHERE e.log = l.log),
        (SELECT max(id) FROM sse_events e WHERE e.log = l.log)
     FROM sse_logs l WHERE kind = ?1 AND name = ?2";
const ADD_LOG: &str =
    "INSERT INTO sse_logs (kind, name, token, complete_after) VALUES (?1, ?2, ?3, ?4)";
const RAISE_LOG: &str =
    "UPDATE sse_logs SET complete_after = max(complete_after, ?2) WHERE log = ?1";
const REMOVE_LOG: &str = "DELETE FROM sse_logs WHERE log = ?1";
const ADD: &str = "INSERT INTO sse_events (log, id, ts, retry_ms, data, n)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (log, id) DO NOTHING";
const LAST: &str = "SELECT coalesce(max(n), 0) FROM sse_events";
const REMOVE: &str = "DELETE FROM sse_events WHERE log = ?1 AND id = ?2
     RETURNING length(CAST(data AS BLOB))";
const REMOVE_LOWEST: &str = "DELETE FROM sse_events
     WHERE n = (SELECT n FROM sse_events WHERE log = ?1 ORDER BY id LIMIT 1)
     RETURNING id, length(CAST(data AS BLOB))";
const REMOVE_ALL: &str = "DELETE FROM sse_events WHERE log = ?1
     RETURNING length(CAST(data AS BLOB))";
const TOTAL: &str = "UPDATE sse_totals SET events = events + ?1, bytes = bytes + ?2,
        max_age_ms = coalesce(?3, max_age_ms)
     RETURNING bytes";

/// What an event counts in the totals in addition to its data, in bytes.
const OVERHEAD: i64 = 64;

/// The most logs that are remembered.
const REMEMBERED: usize = 4096;

/// The most events that one append evicts from its own log, after the log's limit
/// was lowered.
const EVICTED_AT_ONCE: u32 = 64;

/// The source of the ids of a log's events, and the meaning of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogKind {
    /// The server assigns the ids. The name is the session's id.
    Session,
    /// This file assigns the ids. The name is the stream's.
    #[cfg_attr(not(feature = "rmcp"), allow(dead_code))]
    Stream,
}

impl LogKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Stream => "stream",
        }
    }
}

/// The name of a stream for clients.
pub(crate) type StreamToken = [u8; 16];

/// An event as it is stored in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub(crate) ts: i64,
    pub(crate) retry_ms: Option<i64>,
    pub(crate) data: String,
}

/// Limits of the stored events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventBounds {
    /// The most events of one log; at least one is kept.
    pub(crate) per_log: u64,
    /// The most bytes of all logs.
    pub(crate) bytes: u64,
    /// The maximal age, in milliseconds.
    pub(crate) age_ms: i64,
}

/// The state of the logs that is remembered between transactions.
#[derive(Debug, Default)]
pub(crate) struct EventLogs {
    sessions: HashMap<Box<str>, Log>,
    streams: HashMap<Box<str>, Log>,
    /// The `n` of the youngest event, once it was read.
    last: Option<i64>,
    /// SQLite's counter of commits by other connections.
    data_version: i64,
    /// A transaction is open, which may still be rolled back, or other code has written
    /// on this connection.
    uncertain: Cell<bool>,
    /// Every event up to this one had to stay at the last check.
    looked_at: i64,
    looked_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Log {
    log: i64,
    #[cfg_attr(not(feature = "rmcp"), allow(dead_code))]
    token: Option<StreamToken>,
    events: u64,
    newest: Option<i64>,
}

/// The changes of a transaction so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Changes {
    appended: i64,
    events: i64,
    bytes: i64,
    /// The highest id that was evicted from each log.
    evicted: HashMap<i64, i64>,
    bounds: Option<EventBounds>,
}

impl Changes {
    fn add(&mut self, length: i64) {
        self.events += 1;
        self.bytes += OVERHEAD + length;
    }

    fn remove(&mut self, length: i64) {
        self.events -= 1;
        self.bytes -= OVERHEAD + length;
    }

    fn evict(&mut self, log: i64, id: i64, length: i64) {
        self.remove(length);
        let highest = self.evicted.entry(log).or_default();
        *highest = id.max(*highest);
    }
}

impl EventLogs {
    pub(super) fn forget_if_others_wrote(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let mut version = conn.prepare_cached("PRAGMA data_version")?;
        let version: i64 = version.query_row([], |row| row.get(0))?;
        if self.uncertain.get() || version != self.data_version {
            self.forget();
            self.data_version = version;
        }
        self.uncertain.set(true);
        Ok(())
    }

    /// Keeps the remembered state, which is committed now.
    pub(super) fn keep(&mut self) {
        self.uncertain.set(false);
        if self.sessions.len() + self.streams.len() > REMEMBERED {
            self.forget_rows();
        }
    }

    /// Drops the remembered rows, which are then read again from the tables.
    pub(super) fn forget_rows(&mut self) {
        self.sessions.clear();
        self.streams.clear();
    }

    /// Notes that the tables were changed outside of a command transaction.
    pub(super) fn invalidate(&self) {
        self.uncertain.set(true);
    }

    fn forget(&mut self) {
        *self = Self::default();
    }

    fn get(&self, kind: LogKind, name: &str) -> Option<&Log> {
        match kind {
            LogKind::Session => self.sessions.get(name),
            LogKind::Stream => self.streams.get(name),
        }
    }

    fn of(&mut self, kind: LogKind) -> &mut HashMap<Box<str>, Log> {
        match kind {
            LogKind::Session => &mut self.sessions,
            LogKind::Stream => &mut self.streams,
        }
    }
}

/// The events in one transaction, with the state of their logs.
pub(super) struct EventTx<'t> {
    pub(super) conn: &'t Connection,
    pub(super) logs: &'t mut EventLogs,
    pub(super) changes: &'t mut Changes,
}

impl EventTx<'_> {
    /// Adds an event to a session. Replaces an event with the same id.
    pub(super) fn append_to_session(
        &mut self,
        session_id: &str,
        id: i64,
        event: &EventRow,
        bounds: EventBounds,
    ) -> Result<(), WriteError> {
        // All of its earlier events may have been evicted, together with their log.
        let complete_after = id.saturating_sub(1).max(0);
        let log = self.log(LogKind::Session, session_id, None, complete_after)?;
        self.append(LogKind::Session, session_id, log, id, event, bounds)
    }

    /// Adds an event to a stream, which gets `token` if it is new. Returns the stream's
    /// token and the event's id.
    #[cfg(feature = "rmcp")]
    pub(super) fn append_to_stream(
        &mut self,
        stream_id: &str,
        token: StreamToken,
        event: &EventRow,
        bounds: EventBounds,
    ) -> Result<(StreamToken, i64), WriteError> {
        let log = self.log(LogKind::Stream, stream_id, Some(token), 0)?;
        let id = log.newest.unwrap_or(0).saturating_add(1);
        self.append(LogKind::Stream, stream_id, log, id, event, bounds)?;
        Ok((log.token.unwrap_or(token), id))
    }

    /// Removes a log and its events.
    pub(super) fn purge(&mut self, kind: LogKind, name: &str) -> Result<(), WriteError> {
        let Some(log) = self.find(kind, name)? else {
            return Ok(());
        };
        self.logs.of(kind).remove(name);
        self.remove_log(log.log)
    }

    fn remove_log(&mut self, log: i64) -> Result<(), WriteError> {
        let mut remove = self.conn.prepare_cached(REMOVE_ALL)?;
        for length in remove.query_map([log], |row| row.get(0))? {
            self.changes.remove(length?);
        }
        self.conn.prepare_cached(REMOVE_LOG)?.execute([log])?;
        self.changes.evicted.remove(&log);
        Ok(())
    }

    fn append(
        &mut self,
        kind: LogKind,
        name: &str,
        mut log: Log,
        id: i64,
        event: &EventRow,
        bounds: EventBounds,
    ) -> Result<(), WriteError> {
        let n = self.next()?;
        let row = params![log.log, id, event.ts, event.retry_ms, event.data, n];
        let mut add = self.conn.prepare_cached(ADD)?;
        if add.execute(row)? == 0 {
            // The event is deleted and inserted again, so that it gets a new arrival number.
            let mut remove = self.conn.prepare_cached(REMOVE)?;
            self.changes
                .remove(remove.query_row([log.log, id], |row| row.get(0))?);
            log.events -= 1;
            add.execute(row)?;
        }
        self.changes.add(count(event.data.len() as u64));
        self.changes.appended += 1;
        self.changes.bounds = Some(bounds);
        log.events += 1;
        log.newest = log.newest.max(Some(id));

        for _ in 0..EVICTED_AT_ONCE {
            if log.events <= bounds.per_log.max(1) {
                break;
            }
            let mut lowest = self.conn.prepare_cached(REMOVE_LOWEST)?;
            let (id, length) = lowest.query_row([log.log], |row| Ok((row.get(0)?, row.get(1)?)))?;
            self.changes.evict(log.log, id, length);
            log.events -= 1;
        }
        match self.logs.of(kind).get_mut(name) {
            Some(known) => *known = log,
            None => drop(self.logs.of(kind).insert(name.into(), log)),
        }
        Ok(())
    }

    /// Returns the arrival number of another event.
    fn next(&mut self) -> Result<i64, WriteError> {
        let last = match self.logs.last {
            Some(last) => last,
            None => self
                .conn
                .prepare_cached(LAST)?
                .query_row([], |row| row.get(0))?,
        };
        let next = last.saturating_add(1).max(unix_us(clock::unix_ms()));
        self.logs.last = Some(next);
        Ok(next)
    }

    /// Returns the log of that name. A new one gets `token`, and nothing is known of
    /// its events up to `complete_after`.
    fn log(
        &self,
        kind: LogKind,
        name: &str,
        token: Option<StreamToken>,
        complete_after: i64,
    ) -> Result<Log, WriteError> {
        if let Some(log) = self.find(kind, name)? {
            return Ok(log);
        }
        let mut add = self.conn.prepare_cached(ADD_LOG)?;
        Ok(Log {
            log: add.insert(params![kind.as_str(), name, token, complete_after])?,
            token,
            events: 0,
            newest: None,
        })
    }

    fn find(&self, kind: LogKind, name: &str) -> Result<Option<Log>, WriteError> {
        if let Some(log) = self.logs.get(kind, name) {
            return Ok(Some(*log));
        }
        let mut find = self.conn.prepare_cached(FIND_LOG)?;
        let found = find.query_row(params![kind.as_str(), name], |row| {
            Ok(Log {
                log: row.get(0)?,
                token: row.get(1)?,
                events: row.get::<_, i64>(3)?.try_into().unwrap_or(0),
                newest: row.get(4)?,
            })
        });
        Ok(found.optional()?)
    }

    /// Updates the totals. Evicts a slice of the oldest events, which is larger than
    /// the number of new ones.
    pub(super) fn settle(&mut self) -> Result<(), WriteError> {
        let mut evicted_any = false;
        if let Some(bounds) = self.changes.bounds {
            let now = clock::unix_ms();
            let bytes = self.write_totals()?;
            evicted_any = self.evict_oldest(bounds, bytes, now)?;
        }
        if self.changes.events != 0 || self.changes.bytes != 0 || evicted_any {
            self.write_totals()?;
        }
        let mut raise = self.conn.prepare_cached(RAISE_LOG)?;
        for (log, id) in self.changes.evicted.drain() {
            raise.execute([log, id])?;
        }
        Ok(())
    }

    fn write_totals(&mut self) -> Result<i64, WriteError> {
        let events = std::mem::take(&mut self.changes.events);
        let bytes = std::mem::take(&mut self.changes.bytes);
        let mut total = self.conn.prepare_cached(TOTAL)?;
        let max_age_ms = self.changes.bounds.map(|bounds| bounds.age_ms);
        Ok(total.query_row(params![events, bytes, max_age_ms], |row| row.get(0))?)
    }
}

fn unix_us(ms: i64) -> i64 {
    ms.saturating_mul(1000)
}
