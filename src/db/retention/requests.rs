//! Prunes requests, which the statistics outlive.
//!
//! Polls have a maximal age of their own: a client may request the status of a task
//! dozens of times, and these requests must not displace the others.

use rusqlite::{Connection, Params, Result, params};

use super::super::hold::{Hold, Unshipped};
use super::super::inherited;
use super::super::losses::{self, LossSpan};
use super::super::pruned::{POLLS, Pruned};
use super::super::rollup;
use super::{BATCH, Span};
use crate::clock;

/// The oldest rows that may be deleted, chosen by id. Rows that must stay are
/// skipped. The first request of a task whose end is in no cell yet is skipped
/// too, unless ?5 is set.
const DELETE: &str = "DELETE FROM requests WHERE id IN (
        SELECT id FROM (
            SELECT id, leg, request_id FROM requests WHERE ts >= ?1 AND ts < ?2
            ORDER BY ts LIMIT ?3)
        WHERE id <= ?4 AND (?5 OR leg IS NULL OR NOT EXISTS (
            SELECT 1 FROM tasks WHERE operation_id = request_id
                AND ended_ts IS NOT NULL AND rolled_up_as IS NOT outcome)))
     RETURNING id, CAST(ts AS INTEGER), iif(leg = 1, request_id, NULL)";
const DELETE_TASK: &str = "DELETE FROM tasks WHERE operation_id = ?1";
/// The last of them.
const NEWEST: &str = "SELECT max(id) FROM (
        SELECT id FROM requests WHERE ts >= ?1 AND ts < ?2 ORDER BY ts LIMIT ?3)
     WHERE id <= ?4";

/// Rows whose clock was ahead, and those of them that were written before the row
/// ?2.
const ANY_AHEAD: &str = "SELECT 1 FROM requests WHERE ts > ?1 LIMIT 1";
const DELETE_AHEAD: &str = "DELETE FROM requests WHERE id IN (
        SELECT id FROM requests WHERE ts > ?1 AND id < ?2 ORDER BY ts LIMIT ?3)
     RETURNING id, CAST(ts AS INTEGER), iif(leg = 1, request_id, NULL)";

/// The oldest polls of one method that may be deleted.
const DELETE_POLLS: &str = "DELETE FROM requests WHERE id IN (
        SELECT id FROM (
            SELECT id FROM requests WHERE method = ?5 AND tool IS NULL AND ts >= ?1 AND ts < ?2
            ORDER BY ts LIMIT ?3)
        WHERE id <= ?4)
     RETURNING id, CAST(ts AS INTEGER), NULL";

const ANY_POLL: &str =
    "SELECT 1 FROM requests WHERE method = ?1 AND tool IS NULL AND ts >= ?2 LIMIT 1";

/// Returns whether there are polls of the time from `from` on.
pub(super) fn has_polls(conn: &Connection, from: i64) -> Result<bool> {
    let mut any = conn.prepare_cached(ANY_POLL)?;
    for method in POLLS {
        if any.exists(params![method, from])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes some of the oldest polls in the time of `span` that are in their
/// cells and were shipped. Returns their number.
pub(super) fn remove_polls(conn: &Connection, span: Span) -> Result<u64> {
    let mut removed = Removed::new(conn)?;
    let to = removed.rolled_up_to.min(removed.shipped_to);
    for method in POLLS {
        let oldest = params![span.from, span.before, BATCH, to, method];
        removed.delete(conn, DELETE_POLLS, oldest)?;
    }
    if removed.count > 0 {
        Pruned::Polls.raise(conn, removed.latest.saturating_add(1))?;
    }
    inherited::shrink(conn, removed.inherited)?;
    Ok(removed.count)
}

/// Deletes some of the oldest requests in the time of `span`. Returns their number.
/// Requests that are in no cell yet stay, unless `uncounted` is set, and so do those that
/// were not shipped, unless `unshipped` says otherwise: then `losses` reports them.
///
/// Requests whose clock was ahead are deleted before requests that were written
/// later: by their own time they would never be deleted.
pub(in super::super) fn remove(
    conn: &Connection,
    span: Span,
    uncounted: bool,
    unshipped: Unshipped,
) -> Result<u64> {
    let mut removed = Removed::new(conn)?;
    let counted_to = if uncounted {
        i64::MAX
    } else {
        removed.rolled_up_to
    };
    let to = match unshipped {
        Unshipped::Keep => counted_to.min(removed.shipped_to),
        Unshipped::Remove => counted_to,
    };
    let latest = clock::latest_ms();
    if conn.prepare_cached(ANY_AHEAD)?.exists([latest])? {
        let newest: Option<i64> = conn
            .prepare_cached(NEWEST)?
            .query_row([span.from, span.before, BATCH, to], |row| row.get(0))?;
        let ahead = params![latest, newest, BATCH];
        removed.delete(conn, DELETE_AHEAD, ahead)?;
    }
    if removed.count < BATCH as u64 {
        let oldest = params![span.from, span.before, BATCH, to, uncounted];
        removed.delete(conn, DELETE, oldest)?;
    }
    if removed.count > 0 {
        Pruned::Requests.raise(conn, removed.latest.saturating_add(1))?;
    }
    inherited::shrink(conn, removed.inherited)?;
    if let Some(stretch) = removed.uncounted {
        losses::removed(conn, losses::Removal::NotCounted, stretch)?;
    }
    if let Some(stretch) = removed.unshipped {
        losses::removed(conn, losses::Removal::Unshipped, stretch)?;
    }
    Ok(removed.count)
}

/// Rows that were deleted.
#[derive(Debug)]
struct Removed {
    /// Requests with a higher id are in no cell.
    rolled_up_to: i64,
    /// Requests with a higher id were not shipped.
    shipped_to: i64,
    count: u64,
    /// Those that an older version wrote.
    inherited: u64,
    /// The latest time of all.
    latest: i64,
    /// Those that are in no cell.
    uncounted: Option<LossSpan>,
    /// Those that were not shipped.
    unshipped: Option<LossSpan>,
}

impl Removed {
    fn new(conn: &Connection) -> Result<Self> {
        Ok(Self {
            rolled_up_to: rollup::rolled_up_to(conn)?,
            shipped_to: Hold::read(conn)?.requests_after,
            count: 0,
            inherited: 0,
            latest: i64::MIN,
            uncounted: None,
            unshipped: None,
        })
    }

    fn delete(&mut self, conn: &Connection, sql: &str, values: impl Params) -> Result<()> {
        let inherited = inherited::inherited(conn)?;
        let end = inherited.map_or(i64::MIN, |file| file.before);
        let mut tasks = conn.prepare_cached(DELETE_TASK)?;
        let mut delete = conn.prepare_cached(sql)?;
        let mut rows = delete.query(values)?;
        while let Some(row) = rows.next()? {
            let (id, ts): (i64, i64) = (row.get(0)?, row.get(1)?);
            if let Some(operation) = row.get::<_, Option<String>>(2)? {
                tasks.execute([operation])?;
            }
            self.latest = self.latest.max(ts);
            self.count += 1;
            self.inherited += u64::from(ts < end);
            let one = LossSpan {
                from_ts: ts,
                to_ts: ts,
                dropped: 1,
            };
            if id > self.rolled_up_to {
                LossSpan::extend(&mut self.uncounted, one);
            }
            if id > self.shipped_to {
                LossSpan::extend(&mut self.unshipped, one);
            }
        }
        Ok(())
    }
}
