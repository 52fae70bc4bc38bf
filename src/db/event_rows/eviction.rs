//! What goes when all logs together are too large, or events too old.

use std::time::{Duration, Instant};

use rusqlite::{OptionalExtension, Row, params};

use super::{Durable, EventBounds, OVERHEAD, REMOVE, WriteError, count, unix_us};

/// The next events in the order of arrival; whether each is the newest of its
/// log, and whether a session that is kept has the name of the log.
pub(super) const OLDEST: &str = "SELECT e.n, e.log, e.id, length(CAST(e.data AS BLOB)),
        e.id = (SELECT max(o.id) FROM sse_events o WHERE o.log = e.log),
        EXISTS (SELECT 1 FROM sdk_sessions s JOIN sse_logs l ON l.name = s.session_id
            WHERE l.log = e.log AND l.kind = 'session' AND s.expires_at > ?2)
     FROM sse_events e WHERE e.n > ?1 ORDER BY e.n LIMIT ?3";

/// How many of the oldest events a transaction looks at, at least.
const SLICE: i64 = 64;

/// After how long the oldest events are looked at again that had to stay.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

impl Durable<'_> {
    /// Evicts some of the oldest events, if any have to go. Gives whether it did.
    pub(super) fn evict_oldest(
        &mut self,
        bounds: EventBounds,
        bytes: i64,
        now: i64,
    ) -> Result<bool, WriteError> {
        let looked_since = self.logs.looked_since.get_or_insert_with(Instant::now);
        if looked_since.elapsed() > LOOK_AGAIN {
            *looked_since = Instant::now();
            self.logs.looked_at = 0;
        }
        let slice = SLICE.max(self.changes.appended.saturating_mul(2));
        let born = unix_us(now.saturating_sub(bounds.age_ms));
        let mut surplus = bytes.saturating_sub(count(bounds.bytes));
        let mut oldest = self.tx.prepare_cached(OLDEST)?;
        let mut rows = oldest.query(params![self.logs.looked_at, now, slice])?;
        let mut gone = Vec::new();
        while let Some(row) = rows.next()? {
            let event = Oldest::read(row)?;
            let is_old = event.n < born;
            if !is_old && surplus <= 0 {
                break;
            }
            if event.is_newest && (!is_old || event.is_kept) {
                self.logs.looked_at = event.n;
                continue;
            }
            surplus -= OVERHEAD + event.length;
            gone.push(event);
        }
        drop(rows);
        drop(oldest);
        for event in &gone {
            if event.is_newest {
                // Nobody has spoken there for so long.
                self.remove_log(event.log)?;
                continue;
            }
            let mut remove = self.tx.prepare_cached(REMOVE)?;
            let removed = remove.query_row([event.log, event.id], |_| Ok(()));
            if removed.optional()?.is_some() {
                self.changes.evict(event.log, event.id, event.length);
            }
        }
        if !gone.is_empty() {
            self.logs.forget_rows();
        }
        Ok(!gone.is_empty())
    }
}

/// One of the oldest events.
struct Oldest {
    n: i64,
    log: i64,
    id: i64,
    length: i64,
    is_newest: bool,
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
            is_kept: row.get(5)?,
        })
    }
}
