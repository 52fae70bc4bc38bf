//! Evicts events if all logs together are too large, or if events are too old.

use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, Row, params};

use super::{EventBounds, EventTx, OVERHEAD, REMOVE, WriteError, count, unix_us};

/// SQL for the session id of the log `l`: its name, or the session's part of the
/// name that rmcp gives to the stream that lives as long as the session.
macro_rules! session_of_log {
    () => {
        "CASE WHEN l.kind = 'session' THEN l.name
              WHEN l.name GLOB '*:common' THEN substr(l.name, 1, length(l.name) - 7) END"
    };
}
pub(in super::super) use session_of_log;

/// The next events in the order of arrival. Also says whether each one is the
/// newest of its log, whether the log is a session's, and whether an SDK keeps its
/// session.
const OLDEST: &str = concat!(
    "SELECT e.n, e.log, e.id, length(CAST(e.data AS BLOB)),
        e.id = (SELECT max(o.id) FROM sse_events o WHERE o.log = e.log),
        EXISTS (SELECT 1 FROM sse_logs l WHERE l.log = e.log AND l.kind = 'session'),
        EXISTS (SELECT 1 FROM sse_logs l JOIN sdk_sessions s ON s.session_id = ",
    session_of_log!(),
    " WHERE l.log = e.log AND s.expires_at > ?2)
     FROM sse_events e WHERE e.n > ?1 ORDER BY e.n LIMIT ?3"
);
const REMOVE_EMPTY_LOG: &str = "DELETE FROM sse_logs WHERE log = ?1
     AND NOT EXISTS (SELECT 1 FROM sse_events WHERE log = ?1)";

/// The fewest of the oldest events that a transaction checks.
const SLICE: i64 = 64;

/// The time after which the oldest events that had to stay are checked again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl EventTx<'_> {
    /// Evicts some of the oldest events, if necessary. Returns whether it did.
    ///
    /// It starts where the last transaction stopped, and restarts at the beginning
    /// after it has reached the end: an event that had to stay as the newest of its log
    /// may no longer be the newest.
    pub(super) fn evict_oldest(
        &mut self,
        bounds: EventBounds,
        bytes: i64,
        now: i64,
    ) -> Result<bool, WriteError> {
        let slice = SLICE.max(self.changes.appended.saturating_mul(2));
        let born = unix_us(now.saturating_sub(bounds.age_ms));
        let mut surplus = bytes.saturating_sub(count(bounds.bytes));
        let mut oldest = self.conn.prepare_cached(OLDEST)?;
        let mut rows = oldest.query(params![self.logs.looked_at, now, slice])?;
        let mut gone = Vec::new();
        let mut left = slice;
        while let Some(row) = rows.next()? {
            let event = Oldest::read(row)?;
            let is_old = event.n < born;
            if !is_old && surplus <= 0 {
                break;
            }
            left -= 1;
            if event.stays(is_old) {
                self.logs.looked_at = event.n;
                continue;
            }
            surplus -= OVERHEAD + event.length;
            gone.push(event);
        }
        drop(rows);
        drop(oldest);
        for event in &gone {
            self.evict(event)?;
        }
        let looked_since = self.logs.looked_since.get_or_insert_with(Instant::now);
        if left > 0 && (surplus > 0 || looked_since.elapsed() > LOOK_AGAIN) {
            *looked_since = Instant::now();
            self.logs.looked_at = 0;
        }
        if !gone.is_empty() {
            self.logs.forget_rows();
        }
        Ok(!gone.is_empty())
    }

    /// Removes an event, and removes its log with the last event.
    fn evict(&mut self, event: &Oldest) -> Result<(), WriteError> {
        let mut remove = self.conn.prepare_cached(REMOVE)?;
        let removed = remove.query_row([event.log, event.id], |_| Ok(()));
        if removed.optional()?.is_none() {
            return Ok(());
        }
        let mut remove_log = self.conn.prepare_cached(REMOVE_EMPTY_LOG)?;
        if event.is_newest && remove_log.execute([event.log])? == 1 {
            self.changes.remove(event.length);
            self.changes.evicted.remove(&event.log);
        } else {
            self.changes.evict(event.log, event.id, event.length);
        }
        Ok(())
    }
}

/// One of the oldest events.
struct Oldest {
    n: i64,
    log: i64,
    id: i64,
    length: i64,
    is_newest: bool,
    /// The server assigned its id, and continues numbering from the newest one.
    is_of_session: bool,
    /// An SDK keeps the session.
    is_kept: bool,
}

impl Oldest {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            n: row.get(0)?,
            log: row.get(1)?,
            id: row.get(2)?,
            length: row.get(3)?,
            is_newest: row.get(4)?,
            is_of_session: row.get(5)?,
            is_kept: row.get(6)?,
        })
    }

    /// Returns whether it must not be evicted, because a session continues numbering
    /// from it, or because a listening client has to find its place. An event that
    /// answers one request has no such protection.
    fn stays(&self, is_old: bool) -> bool {
        self.is_newest && (self.is_kept || self.is_of_session && !is_old)
    }
}
