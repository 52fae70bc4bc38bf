//! Statistics that outlive the requests: the cells in `request_rollups`, and their
//! [totals].
//!
//! A request belongs to the hour and to the day of its `ts`, however late its row
//! was written, and is rolled up into both cells in the order of its row.
//! `meta.requests_rolled_up_to` is the id up to which that is done, so a row that
//! another program inserts is rolled up like any other. A statistic over a window
//! is therefore the sum of
//!
//! - the whole cells inside the window,
//! - the rows at its edges, where no whole cell fits, and
//! - the rows above that id inside the whole cells.
//!
//! An operation of several requests begins in the cell of its first request and
//! ends in that of its last. A leg that another recorder may still link to an
//! operation is not rolled up before it is a minute old. The end of a task is
//! rolled up from `tasks`, and `tasks.rolled_up_as` holds the outcome that was
//! counted; the first request of a task stays until then.
//!
//! `meta` also holds the times up to which requests and cells were
//! [pruned](super::pruned).

mod cell;
mod names;
mod tasks;
mod totals;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;
use std::time::Instant;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use sha2::{Digest, Sha256};

use super::bucket_width::BucketWidth;
use super::contribution::Contribution;
use super::meta;
use super::pruned::Pruned;
use super::row::number;
use super::slice::{Slice, Span};
use crate::clock;
use cell::{Cell, Key};
pub(crate) use names::NameCounts;
use names::Names;
pub(crate) use tasks::not_rolled_up as tasks_not_rolled_up;
#[cfg(test)]
pub(crate) use totals::tests::assert_sums_of_cells;

/// The key in `meta` of the last request that is in its cells.
const ROLLED_UP_TO: &str = "requests_rolled_up_to";

/// Replaces a tool or method that has no cells of its own. Calls of a tool with
/// this very name are counted with these.
pub(crate) const OTHER: &str = "(other)";

/// The most rows in one slice, and the most cells.
const SLICE_ROWS: i64 = 4096;
const SLICE_CELLS: usize = 128;

/// The most bytes of a name in its cells. A longer name is cut, and ends in a
/// mark and its hash.
pub(crate) const NAME_BYTES: usize = 128;
const HASH_DIGITS: usize = 32;
const CUT: char = '~';

/// The requests after the last one that is in its cells. A leg that may still be
/// linked sent a state back, and no leg before it is known.
static ROWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT id, ts, proxy, method, tool, bytes_in, bytes_out,
            state_in IS NOT NULL AND coalesce(leg, 1) = 1, latency_us, {}
         FROM requests WHERE id > ?1 ORDER BY id LIMIT ?2",
        Contribution::COLUMNS
    )
});

/// How long a leg waits for the leg before it, in milliseconds. Another recorder
/// may commit that one later.
const WAIT_MS: i64 = 60_000;

/// How to treat a leg that may still be linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LonelyLegs {
    /// It waits for a minute, and so do all rows after it.
    Wait,
    /// It counts as an operation by itself.
    RollUp,
}

const OLDEST: &str = "SELECT start, CAST(start AS INTEGER) FROM request_rollups
     WHERE width = ?1 AND start >= ?2 AND start < ?3 ORDER BY start LIMIT 1";
const DELETE: &str = "DELETE FROM request_rollups
     WHERE (width, start, proxy, method, tool, outcome) IN (
        SELECT width, start, proxy, method, tool, outcome FROM request_rollups
        WHERE width = ?1 AND start = ?2 LIMIT ?3)";

/// How many cells one statement deletes.
const BATCH: i64 = 64;

/// Returns the id of the last request that is in its cells; 0 if there is none.
pub(crate) fn rolled_up_to(conn: &Connection) -> Result<i64> {
    let id = meta::get(conn, ROLLED_UP_TO)?;
    Ok(id.and_then(|id| id.parse().ok()).unwrap_or(0))
}

/// Removes all cells, so that all requests count from their rows.
#[cfg(feature = "outbox")]
pub(super) fn clear(conn: &Connection) -> Result<()> {
    conn.execute_batch("DELETE FROM request_rollups; DELETE FROM rollup_totals;")?;
    meta::remove(conn, ROLLED_UP_TO)
}

/// Returns the name of a tool or method in its cells.
pub(crate) fn cell_name(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let room = NAME_BYTES - HASH_DIGITS - CUT.len_utf8();
    let end = (0..=room).rev().find(|end| name.is_char_boundary(*end));
    let mut cut = name.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
    cut.push(CUT);
    for byte in Sha256::digest(name).iter().take(HASH_DIGITS / 2) {
        // Writing to a text cannot fail.
        let _ = write!(cut, "{byte:02x}");
    }
    Cow::Owned(cut)
}

/// Rolls up the next requests into their cells. The caller holds the transaction.
/// `known` holds the results of earlier calls for the same file.
pub(crate) fn roll_up(
    conn: &Connection,
    known: &mut NameCounts,
    lonely: LonelyLegs,
    until: Instant,
) -> Result<Slice> {
    let mut rolled_up_to = rolled_up_to(conn)?;
    let now = clock::unix_ms();
    let waits = |row: &Row<'_>| -> Result<bool> {
        if lonely == LonelyLegs::RollUp || number(row, 7)? == 0 {
            return Ok(false);
        }
        let written = number(row, 1)?.saturating_add(number(row, 8)? / 1000);
        // A leg whose clock was ahead does not wait: its time does not show its age.
        Ok((now - WAIT_MS..=now + clock::TOLERANCE_MS).contains(&written))
    };
    let mut select = conn.prepare_cached(&ROWS)?;
    let mut rows = select.query([rolled_up_to, SLICE_ROWS])?;
    let mut names = Names::new(known);
    // They are grouped by cell name: most names that do not exist share one.
    let mut cells: HashMap<Key, Cell> = HashMap::new();
    let mut count = 0;
    let ran_out = loop {
        let mut batch: HashMap<Key, Cell> = HashMap::new();
        let mut is_last = false;
        while batch.len() < SLICE_CELLS {
            let Some(row) = rows.next()? else {
                is_last = true;
                break;
            };
            if waits(row)? {
                is_last = true;
                break;
            }
            rolled_up_to = row.get(0)?;
            let contribution = Contribution::read(row, 9)?;
            let key = Key::read(row, 2, number(row, 1)?, contribution.outcome)?;
            let cell = batch.entry(key).or_default();
            cell.add(contribution);
            cell.add_bytes(row, 5)?;
            count += 1;
            // The clock is read only every few rows, because a read costs as much as a row.
            if count % 32 == 0 && Instant::now() >= until {
                break;
            }
        }
        let mut batch: Vec<_> = batch.into_iter().collect();
        // Calls that give a name its cells precede calls that need them.
        batch.sort_by_key(|(key, cell)| !cell.has_success(key));
        for (key, cell) in batch {
            let key = names.admit(conn, key, &cell)?;
            cells.entry(key).or_default().merge(cell);
        }
        if is_last || cells.len() >= SLICE_CELLS || Instant::now() >= until {
            break is_last;
        }
    };
    for (key, cell) in &cells {
        for width in BucketWidth::ALL {
            cell.write(conn, width, key)?;
        }
    }
    totals::add(conn, &cells)?;
    if count > 0 {
        meta::set(conn, ROLLED_UP_TO, &rolled_up_to.to_string())?;
    }
    let mut is_last = ran_out && count < SLICE_ROWS as u64;
    if is_last {
        let (ends, are_all) = tasks::roll_up(conn, &mut names)?;
        count += ends;
        is_last = are_all;
    }
    Ok(Slice { count, is_last })
}

/// Deletes the cells of one width that began in the time of `span`.
pub(super) fn prune(
    conn: &Connection,
    width: BucketWidth,
    span: Span,
    until: Instant,
) -> Result<Slice> {
    let mut count = 0;
    loop {
        let removed = remove_oldest(conn, width, span)?;
        count += removed;
        let is_last = removed == 0;
        if is_last || Instant::now() >= until {
            return Ok(Slice { count, is_last });
        }
    }
}

/// Deletes some of the oldest cells of that time. Returns their number.
pub(super) fn remove_oldest(conn: &Connection, width: BucketWidth, span: Span) -> Result<u64> {
    let oldest: Option<(Value, i64)> = conn
        .prepare_cached(OLDEST)?
        .query_row([width.ms(), span.from, span.before], |row| row.try_into())
        .optional()?;
    let Some((start, time)) = oldest else {
        return Ok(0);
    };
    Pruned::Cells(width).raise(conn, time.saturating_add(width.ms()))?;
    totals::remove(conn, width, span.from, time)?;
    let mut delete = conn.prepare_cached(DELETE)?;
    Ok(delete.execute(params![width.ms(), start, BATCH])? as u64)
}

#[cfg(test)]
mod tests;
