//! The rows that a file held when an older version of its tables was migrated.

use rusqlite::{Connection, Result};

use super::{meta, pages};
use crate::clock;

/// Keys in `meta` of a file that an older version wrote: the moment after its
/// newest row, and its numbers of requests and bytes. The numbers decrease as these
/// requests are removed.
const MIGRATED_AT: &str = "migrated_at";
const MIGRATED_ROWS: &str = "migrated_rows";
const MIGRATED_BYTES: &str = "migrated_bytes";

/// The newest row from before ?1. Rows and not the clock determine what is
/// inherited: if the clock is ahead at the migration, later rows would be kept too.
const NEWEST: &str = "SELECT CAST(max(
    coalesce((SELECT max(ts) FROM requests WHERE ts <= ?1), 0),
    coalesce((SELECT max(started_at) FROM sessions WHERE started_at <= ?1), 0),
    coalesce((SELECT max(detected_at) FROM schema_changes WHERE detected_at <= ?1), 0)
) AS INTEGER)";

/// Rows that the default retention keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inherited {
    /// They are from before this time.
    pub(crate) before: i64,
    /// About how many bytes the remaining rows take.
    pub(crate) bytes: u64,
}

/// Stores the size of a file that is being migrated.
pub(super) fn inherit(conn: &Connection) -> Result<()> {
    let rows: i64 = conn.query_row("SELECT count(*) FROM requests", [], |row| row.get(0))?;
    set(conn, MIGRATED_AT, end(conn)?)?;
    set(conn, MIGRATED_ROWS, rows)?;
    set_bytes(conn, pages::space(conn)?.used_bytes())
}

/// Returns the remaining inherited rows; `None` for a file that was created with
/// this version.
pub(super) fn inherited(conn: &Connection) -> Result<Option<Inherited>> {
    let Some(before) = get::<i64>(conn, MIGRATED_AT)? else {
        return Ok(None);
    };
    // Another program may have removed them.
    let is_left = conn
        .prepare_cached("SELECT 1 FROM requests WHERE ts < ?1 LIMIT 1")?
        .exists([before])?;
    let bytes = match is_left {
        true => get(conn, MIGRATED_BYTES)?.unwrap_or(0),
        false => 0,
    };
    Ok(Some(Inherited { before, bytes }))
}

/// Determines the end of the inherited rows again, if it lies in the future because
/// the clock was ahead.
pub(super) fn correct(conn: &Connection) -> Result<()> {
    let before: Option<i64> = get(conn, MIGRATED_AT)?;
    match before.is_some_and(|before| before > clock::unix_ms().saturating_add(1)) {
        true => set(conn, MIGRATED_AT, end(conn)?),
        false => Ok(()),
    }
}

/// Subtracts `removed` requests.
pub(super) fn shrink(conn: &Connection, removed: u64) -> Result<()> {
    let rows: u64 = get(conn, MIGRATED_ROWS)?.unwrap_or(0);
    let bytes: u64 = get(conn, MIGRATED_BYTES)?.unwrap_or(0);
    if removed == 0 || rows == 0 {
        return Ok(());
    }
    let left = rows.saturating_sub(removed);
    let bytes = u128::from(bytes) * u128::from(left) / u128::from(rows);
    set(conn, MIGRATED_ROWS, left)?;
    set_bytes(conn, u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Subtracts the removed pages: the file had `before` and has `after`.
pub(super) fn shrink_bytes(conn: &Connection, before: i64, after: i64) -> Result<()> {
    let Some(bytes) = get::<u64>(conn, MIGRATED_BYTES)? else {
        return Ok(());
    };
    let bytes = i128::from(bytes) * i128::from(after) / i128::from(before);
    set_bytes(conn, u64::try_from(bytes).unwrap_or(u64::MAX))
}

fn end(conn: &Connection) -> Result<i64> {
    let newest: i64 = conn.query_row(NEWEST, [clock::unix_ms()], |row| row.get(0))?;
    Ok(newest.saturating_add(1))
}

fn get<T: std::str::FromStr>(conn: &Connection, key: &str) -> Result<Option<T>> {
    Ok(meta::get(conn, key)?.and_then(|text| text.parse().ok()))
}

fn set(conn: &Connection, key: &str, value: impl ToString) -> Result<()> {
    meta::set(conn, key, &value.to_string())
}

fn set_bytes(conn: &Connection, bytes: u64) -> Result<()> {
    set(conn, MIGRATED_BYTES, bytes)
}
