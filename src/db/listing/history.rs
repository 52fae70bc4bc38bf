//! Limits the size of the history of listings.
//!
//! It is not pruned by age: a content of last year is worth as much as one of last
//! week, and the history is seldom large. If it is large, as with a server that
//! shows each caller a different list, the oldest part is removed.

use std::time::Instant;

use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::super::slice::Slice;

/// The size of a row of `schema_changes` or `listing_views`, in bytes.
const ROW: i64 = 256;

/// The number of bytes from the time ?1 on. Here and below, another program may
/// have written a value that is not a whole number.
const SIZE: &str = "SELECT CAST((SELECT coalesce(sum(bytes), 0) FROM listing_payloads) AS INTEGER)
     + ?2 * ((SELECT count(*) FROM listing_views)
         + (SELECT count(*) FROM schema_changes WHERE detected_at >= ?1))";
const OLDEST_VIEW: &str =
    "SELECT CAST(seen_at AS INTEGER), id FROM listing_views ORDER BY id LIMIT 1";
const OLDEST_CHANGE: &str = "SELECT CAST(detected_at AS INTEGER), id FROM schema_changes
     WHERE detected_at >= ?1 ORDER BY detected_at, id LIMIT 1";
const REMOVE_VIEW: &str = "DELETE FROM listing_views WHERE id = ?1
     RETURNING CAST(content_hash AS TEXT)";
const REMOVE_CHANGE: &str = "DELETE FROM schema_changes WHERE id = ?1";
/// A payload is kept if a class of callers saw it since, or if it is the current
/// content.
const REMOVE_PAYLOAD: &str = "DELETE FROM listing_payloads WHERE content_hash = ?1
     AND NOT EXISTS (SELECT 1 FROM listing_views WHERE content_hash = ?1)
     AND NOT EXISTS (SELECT 1 FROM server_schema WHERE schema_hash = ?1)
     RETURNING CAST(bytes AS INTEGER)";

/// Removes the oldest changes, and contents that no caller has seen since, until
/// the history takes `max_bytes` or it is `until`. Changes from before `from` stay
/// and do not count.
pub(in super::super) fn shorten(
    conn: &Connection,
    from: i64,
    max_bytes: i64,
    until: Instant,
) -> Result<Slice> {
    let mut bytes: i64 = conn
        .prepare_cached(SIZE)?
        .query_row([from, ROW], |row| row.get(0))?;
    let mut slice = Slice {
        count: 0,
        is_last: true,
    };
    while bytes > max_bytes {
        let Some(removed) = remove_oldest(conn, from)? else {
            break;
        };
        bytes -= removed;
        slice.count += 1;
        if Instant::now() >= until {
            slice.is_last = false;
            break;
        }
    }
    Ok(slice)
}

/// Returns the removed bytes; `None` if there is nothing to remove.
fn remove_oldest(conn: &Connection, from: i64) -> Result<Option<i64>> {
    type Found = (i64, i64);
    let found = |row: &Row<'_>| Found::try_from(row);
    let view = conn
        .prepare_cached(OLDEST_VIEW)?
        .query_row([], found)
        .optional()?;
    let change = conn
        .prepare_cached(OLDEST_CHANGE)?
        .query_row([from], found)
        .optional()?;
    if let Some((detected_at, id)) = change
        && view.is_none_or(|(seen_at, _)| detected_at <= seen_at)
    {
        conn.prepare_cached(REMOVE_CHANGE)?.execute([id])?;
        return Ok(Some(ROW));
    }
    let Some((_, id)) = view else {
        return Ok(None);
    };
    let hash: String = conn
        .prepare_cached(REMOVE_VIEW)?
        .query_row([id], |row| row.get(0))?;
    let bytes: Option<i64> = conn
        .prepare_cached(REMOVE_PAYLOAD)?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    Ok(Some(ROW + bytes.unwrap_or(0)))
}
