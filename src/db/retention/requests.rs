//! Pruning of requests, which the statistics outlive.

use rusqlite::{Connection, Result, params};

use super::super::losses;
use super::super::pruned::Pruned;
use super::super::rollup;
use super::{BATCH, Span, inherited};

/// Of the oldest rows those that may go, with their times: which those are, ids
/// tell, and what is in the way is passed over.
const DELETE: &str = "DELETE FROM requests WHERE id IN (
        SELECT id FROM (
            SELECT id FROM requests WHERE ts >= ?1 AND ts < ?2 ORDER BY ts LIMIT ?3)
        WHERE id <= ?4)
     RETURNING id, CAST(ts AS INTEGER)";

/// Deletes some of the oldest requests of the time of `span`; how many. Those
/// that are in no cell yet stay, unless `uncounted` is set: then `losses` tells
/// of them.
pub(super) fn remove(conn: &Connection, span: Span, uncounted: bool) -> Result<u64> {
    let folded_to = rollup::folded_to(conn)?;
    let to = if uncounted { i64::MAX } else { folded_to };
    let mut delete = conn.prepare_cached(DELETE)?;
    let mut rows = delete.query(params![span.from, span.before, BATCH, to])?;
    let (mut removed, mut inherited, mut latest) = (0, 0, i64::MIN);
    let end = match inherited::inherited(conn)? {
        Some(file) if span.from < file.before => file.before,
        _ => i64::MIN,
    };
    let mut missing: Option<(i64, i64, u64)> = None;
    while let Some(row) = rows.next()? {
        let (id, ts): (i64, i64) = (row.get(0)?, row.get(1)?);
        removed += 1;
        inherited += u64::from(ts < end);
        latest = latest.max(ts);
        if id > folded_to {
            let (from, to, count) = missing.unwrap_or((ts, ts, 0));
            missing = Some((from.min(ts), to.max(ts), count + 1));
        }
    }
    if removed > 0 {
        Pruned::Requests.raise(conn, latest.saturating_add(1))?;
    }
    inherited::shrink(conn, inherited)?;
    if let Some((from_ts, to_ts, count)) = missing {
        losses::not_counted(conn, from_ts, to_ts, count)?;
    }
    Ok(removed)
}
