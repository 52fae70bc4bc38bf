//! Prunes sessions by the time they were last seen, because many are never closed.

use std::cell::Cell;

use rusqlite::{Connection, Result};

use super::{BATCH, Span};
use crate::clock;

/// A `last_seen_at` from a clock that was ahead is ignored.
const DELETE: &str = "DELETE FROM sessions WHERE rowid IN (
        SELECT rowid FROM sessions
        WHERE started_at >= ?1 AND started_at < ?2 AND (last_seen_at < ?2 OR last_seen_at > ?4)
        ORDER BY started_at LIMIT ?3)";

/// Some sessions in the order of their starts, and whether they may be deleted.
const NEXT: &str = "SELECT rowid, CAST(started_at AS INTEGER),
        last_seen_at < ?2 OR last_seen_at > ?5
     FROM sessions
     WHERE started_at >= max(?1, ?3) AND started_at < ?2 ORDER BY started_at LIMIT ?4";
const DELETE_ONE: &str = "DELETE FROM sessions WHERE rowid = ?1";

/// The most sessions that one slice checks in a file that is too large.
const LOOKED_AT: i64 = 256;

/// Deletes some of the oldest sessions in the time of `span`. Returns their number.
pub(super) fn remove(conn: &Connection, span: Span) -> Result<u64> {
    let mut delete = conn.prepare_cached(DELETE)?;
    Ok(delete.execute([span.from, span.before, BATCH, clock::latest_ms()])? as u64)
}

/// Deletes the sessions that are due among the next few. Returns their number.
///
/// Requests may be pruned that are seconds old, while thousands of older sessions
/// continue. Checking all of them each time would take longer than deleting the
/// requests. So this starts at `cursor`, where it last stopped.
pub(super) fn remove_next(conn: &Connection, span: Span, cursor: &Cell<i64>) -> Result<u64> {
    let (from, latest) = (cursor.get(), clock::latest_ms());
    let values = [span.from, span.before, from, LOOKED_AT, latest];
    let next: Vec<(i64, i64, bool)> = conn
        .prepare_cached(NEXT)?
        .query_map(values, |row| row.try_into())?
        .collect::<Result<_>>()?;
    cursor.set(match next.last() {
        Some((_, started_at, _)) if next.len() as i64 == LOOKED_AT => {
            // It skips sessions that started in the same millisecond, if necessary.
            (*started_at).max(cursor.get().saturating_add(1))
        }
        _ => i64::MIN,
    });
    let mut delete = conn.prepare_cached(DELETE_ONE)?;
    let mut count = 0;
    for (rowid, _, is_due) in next {
        if is_due {
            count += delete.execute([rowid])? as u64;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    #[test]
    fn continuing_sessions_are_checked_only_occasionally() {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        // Ten in each millisecond, and then more in one than a slice checks.
        conn.execute_batch(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < 3000)
             INSERT INTO sessions (session_id, proxy, started_at, last_seen_at)
             SELECT i, 'p', min(i / 10, 270), iif(i % 3 = 0, 5000, 500) FROM n",
        )
        .unwrap();
        let span = Span {
            from: i64::MIN,
            before: 1000,
        };
        let cursor = Cell::new(i64::MIN);
        let left = |sql: &str| -> i64 { conn.query_row(sql, [], |row| row.get(0)).unwrap() };
        let due = "SELECT count(*) FROM sessions WHERE last_seen_at < 1000";
        let looks = (1..100).find(|_| {
            remove_next(&conn, span, &cursor).unwrap();
            left(due) == 0
        });
        // One pass, and another one for those of the millisecond that it skipped.
        assert!(looks.unwrap() <= 3 * 3000 / LOOKED_AT, "{looks:?}");
        assert_eq!(left("SELECT count(*) FROM sessions"), 1000);
        // It restarts, and finds nothing.
        for _ in 0..20 {
            assert_eq!(remove_next(&conn, span, &cursor).unwrap(), 0);
        }
    }
}
