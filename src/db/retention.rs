//! Removes old rows and free pages from a file.
//!
//! The work is done in slices of a few milliseconds, each in its own transaction.
//! So another writer waits for at most one slice.

mod accounts;
mod events;
mod kinds;
mod requests;
mod sessions;

use std::cell::Cell;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Result};

use super::WriteError;
use super::bind;
use super::bucket_width::BucketWidth;
use super::busy::retry_while_busy;
use super::connection::Db;
use super::hold::{Hold, Unshipped};
use super::inherited::{self, Inherited};
use super::listing::history;
use super::pages::{self, Part, Space};
use super::rollup::{self, LonelyLegs};
use super::slice::{Slice, Span};

pub(crate) use kinds::PrunableTables;
use kinds::{KINDS, Kind, Removal};
#[cfg(test)]
pub(super) use requests::remove as remove_requests;

/// How many rows one statement deletes.
const BATCH: i64 = 64;

/// The number of its oldest rows that are removed from a file that is too large
/// before it is measured again.
const STEP: i64 = 256;

/// The size of a file, as it counts towards its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// The bytes that count: neither free pages nor the data for resumption.
    pub(crate) used: u64,
    /// The bytes of cells of statistics among them.
    pub(crate) cells: u64,
}

impl Db {
    /// Rolls requests up into the cells of the statistics.
    pub(crate) fn roll_up(
        &self,
        lonely: LonelyLegs,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        let mut names = self.name_counts.borrow_mut();
        let slice = self.slice(patience, |conn| {
            Part::Cells.counted(conn, || rollup::roll_up(conn, &mut names, lonely, until))
        });
        if slice.is_err() {
            // The counted names were not committed.
            names.clear();
        }
        slice
    }

    /// Deletes rows in the time of `span`.
    pub(crate) fn prune(
        &self,
        kinds: PrunableTables,
        unshipped: Unshipped,
        span: Span,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        let cursor = &self.session_cursor;
        let slice = self.slice(patience, |conn| {
            prune(conn, kinds, unshipped, span, cursor, until)
        });
        self.event_logs.invalidate();
        slice
    }

    /// Deletes polls in the time of `span` that are in their cells and were shipped.
    pub(crate) fn prune_polls(
        &self,
        span: Span,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| {
            let mut count = 0;
            loop {
                let removed = requests::remove_polls(conn, span)?;
                count += removed;
                let is_last = removed == 0;
                if is_last || Instant::now() >= until {
                    return Ok(Slice { count, is_last });
                }
            }
        })
    }

    /// Returns whether there are polls of the time from `from` on.
    pub(crate) fn has_polls(&self, from: i64) -> Result<bool, WriteError> {
        requests::has_polls(&self.conn, from).map_err(WriteError::Store)
    }

    /// Deletes the oldest history of listings from `from` on, until it takes
    /// `max_bytes`.
    pub(crate) fn shorten_history(
        &self,
        from: i64,
        max_bytes: u64,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        let max_bytes = bind::count(max_bytes);
        self.slice(patience, |conn| {
            history::shorten(conn, from, max_bytes, until)
        })
    }

    /// Deletes the oldest losses and runs of writers beyond the newest thousand.
    pub(crate) fn shorten_accounts(
        &self,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| accounts::shorten(conn, until))
    }

    /// Returns the size of the file, as it counts towards its limit.
    pub(crate) fn size(&self) -> Result<Size, WriteError> {
        let size = || {
            let space = pages::space(&self.conn)?;
            let bytes = |pages: i64| pages.unsigned_abs().saturating_mul(space.page_size);
            let resumption = bytes(Part::Resumption.pages(&self.conn)?);
            Ok(Size {
                used: space.used_bytes().saturating_sub(resumption),
                cells: bytes(Part::Cells.pages(&self.conn)?),
            })
        };
        size().map_err(WriteError::Store)
    }

    /// Deletes the cells of one width that began in the time of `span`, except those
    /// whose requests may still exist.
    pub(crate) fn prune_cells(
        &self,
        width: BucketWidth,
        Span { from, before }: Span,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| {
            let oldest: Option<i64> = conn
                .prepare_cached("SELECT CAST(min(ts) AS INTEGER) FROM requests WHERE ts >= ?1")?
                .query_row([from], |row| row.get(0))?;
            let before = oldest.map_or(before, |oldest| before.min(width.start(oldest)));
            let from = width.next_start(from);
            let span = Span { from, before };
            Part::Cells.counted(conn, || rollup::prune(conn, width, span, until))
        })
    }

    /// Deletes the oldest cells of hours, and then of days, until they take
    /// `max_bytes`. Their requests may still exist.
    pub(crate) fn shorten_cells(
        &self,
        max_bytes: u64,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| {
            self.name_counts.borrow_mut().clear();
            let max_pages = max_bytes / pages::space(conn)?.page_size.max(1);
            let mut count = 0;
            for width in BucketWidth::ALL {
                while Part::Cells.pages(conn)?.unsigned_abs() > max_pages {
                    let remove = || rollup::remove_oldest(conn, width, Span::ALL);
                    let removed = Part::Cells.counted(conn, remove)?;
                    if removed == 0 {
                        break;
                    }
                    count += removed;
                    if Instant::now() >= until {
                        let is_last = false;
                        return Ok(Slice { count, is_last });
                    }
                }
            }
            let is_last = true;
            Ok(Slice { count, is_last })
        })
    }

    /// Returns free pages to the file system until `keep` of them are left. A file
    /// without auto-vacuum has no pages to return.
    pub(crate) fn incremental_vacuum(
        &self,
        keep: u64,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| incremental_vacuum(conn, keep, until))
    }

    fn slice(
        &self,
        patience: Duration,
        work: impl FnOnce(&Connection) -> Result<Slice>,
    ) -> Result<Slice, WriteError> {
        let tx = self.begin(patience)?;
        let done = work(&tx);
        done.and_then(|slice| tx.commit().map(|()| slice))
            .map_err(WriteError::Store)
    }

    /// Returns the time before which to prune next, so that the file shrinks by a small
    /// step. Rows from before `from` are not considered; `None` if there are no others.
    pub(crate) fn next_cutoff(&self, from: i64) -> Result<Option<i64>, WriteError> {
        next_cutoff(&self.conn, from).map_err(WriteError::Store)
    }

    pub(crate) fn space(&self) -> Result<Space, WriteError> {
        pages::space(&self.conn).map_err(WriteError::Store)
    }

    /// Returns how many requests and ends of tasks may not be in a cell yet, at most.
    pub(crate) fn roll_up_lag(&self) -> Result<u64, WriteError> {
        let newest: Option<i64> = self
            .conn
            .prepare_cached("SELECT max(id) FROM requests")?
            .query_row([], |row| row.get(0))?;
        let rolled_up_to = rollup::rolled_up_to(&self.conn)?;
        let lag = newest.unwrap_or(0).saturating_sub(rolled_up_to).max(0);
        let lag = lag.saturating_add(rollup::tasks_not_rolled_up(&self.conn)?);
        Ok(u64::try_from(lag).unwrap_or(0))
    }

    /// Returns the inherited rows; `None` for a file that was created with this
    /// version.
    pub(crate) fn inherited(&self) -> Result<Option<Inherited>, WriteError> {
        inherited::inherited(&self.conn).map_err(WriteError::Store)
    }

    /// Corrects the time of inherited rows, if the clock was ahead when it was stored.
    pub(crate) fn correct_inherited(&self, patience: Duration) -> Result<(), WriteError> {
        let correct = |conn: &Connection| {
            inherited::correct(conn)?;
            let (count, is_last) = (0, true);
            Ok(Slice { count, is_last })
        };
        self.slice(patience, correct).map(drop)
    }

    /// Returns how many requests and ends of tasks are in no cell yet.
    pub(crate) fn not_rolled_up(&self) -> Result<u64, WriteError> {
        let rows = || {
            let id = rollup::rolled_up_to(&self.conn)?;
            let sql = "SELECT count(*) FROM requests WHERE id > ?1";
            let tasks = rollup::tasks_not_rolled_up(&self.conn)?;
            Ok(count(&self.conn, sql, id)? + u64::try_from(tasks).unwrap_or(0))
        };
        rows().map_err(WriteError::Store)
    }

    /// Returns how many requests from before `before` were not shipped.
    pub(crate) fn unshipped_before(&self, before: i64) -> Result<u64, WriteError> {
        unshipped_before(&self.conn, before).map_err(WriteError::Store)
    }

    /// Returns how many rows of each table are from before `before`.
    pub(crate) fn rows_before(&self, before: i64) -> Result<Vec<(&'static str, u64)>, WriteError> {
        rows_before(&self.conn, before).map_err(WriteError::Store)
    }

    /// Returns whether the file has auto-vacuum, without which it returns no pages.
    pub(crate) fn tracks_pages(&self) -> Result<bool, WriteError> {
        self.conn
            .pragma_query_value(None, "auto_vacuum", |row| row.get(0))
            .map(|mode: i64| mode != 0)
            .map_err(WriteError::Store)
    }

    /// Rewrites the whole file, which then has auto-vacuum. No other connection can
    /// write during that time.
    ///
    /// SQLite takes the write lock itself, so the files are compared before and after.
    /// Then nothing of it is copied into another file.
    pub(crate) fn rewrite(&self, patience: Duration) -> Result<(), WriteError> {
        let before = pages::used_pages(&self.conn).map_err(WriteError::Store)?;
        let rewrite = || {
            drop(self.begin(Duration::ZERO)?);
            self.conn.pragma_update(None, "wal_autocheckpoint", 0)?;
            self.conn
                .pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            self.conn.execute_batch("VACUUM").map_err(WriteError::Store)
        };
        retry_while_busy(patience, WriteError::is_busy, rewrite)?;
        let tx = self.begin(patience)?;
        recount(&tx, before)
            .and_then(|()| tx.commit())
            .map_err(WriteError::Store)
    }

    /// Checkpoints the WAL, and cuts the WAL and the file to the used size, as far as
    /// readers allow.
    pub(crate) fn checkpoint(&self) -> Result<(), WriteError> {
        self.stop_checkpoints();
        if !self.files.are_here() {
            return Err(WriteError::Replaced);
        }
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(WriteError::Store)
    }
}

/// Returns how many rows of each table are from before `before`. A table that
/// the file does not have yet has none.
pub(crate) fn rows_before(conn: &Connection, before: i64) -> Result<Vec<(&'static str, u64)>> {
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)";
    let rows = |kind: &kinds::Kind| match conn.query_row(exists, [kind.table], |row| row.get(0))? {
        true => count(conn, kind.count, before),
        false => Ok(0),
    };
    KINDS
        .iter()
        .map(|kind| Ok((kind.table, rows(kind)?)))
        .collect()
}

/// Returns how many requests from before `before` were not shipped; 0 if the file is not
/// shipped.
pub(crate) fn unshipped_before(conn: &Connection, before: i64) -> Result<u64> {
    let sql = "SELECT count(*) FROM requests WHERE ts < ?1 AND id > ?2";
    let after = Hold::read(conn)?.requests_after;
    let count: i64 = conn.query_row(sql, [before, after], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Reduces the counted sizes of the parts of the file in proportion to the whole,
/// which had `before` pages in use.
fn recount(conn: &Connection, before: i64) -> Result<()> {
    let (before, after) = (before.max(1), pages::used_pages(conn)?);
    for part in [Part::Cells, Part::Resumption] {
        let pages = i128::from(part.pages(conn)?);
        let pages = pages * i128::from(after) / i128::from(before);
        part.set(conn, i64::try_from(pages).unwrap_or(i64::MAX))?;
    }
    inherited::shrink_bytes(conn, before, after)
}

/// Returns a number of rows.
fn count(conn: &Connection, sql: &str, value: i64) -> Result<u64> {
    let count: i64 = conn.query_row(sql, [value], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn prune(
    conn: &Connection,
    kinds: PrunableTables,
    unshipped: Unshipped,
    span: Span,
    cursor: &Cell<i64>,
    until: Instant,
) -> Result<Slice> {
    let mut count = 0;
    let before = span.before.min(Hold::read(conn)?.others_from);
    let shipped = Span { before, ..span };
    let span_of = |kind: &Kind| match kind.stays_until_shipped(unshipped) {
        true => shipped,
        false => span,
    };
    let remove = |kind: &Kind| remove(conn, kind, kinds, unshipped, span_of(kind));
    for kind in KINDS.iter().filter(|kind| kinds.has(kind)) {
        if matches!(kind.removal, Removal::Sessions) && kinds != PrunableTables::All && count > 0 {
            // Another slice follows.
            count += sessions::remove_next(conn, span_of(kind), cursor)?;
            continue;
        }
        loop {
            let batch = match kind.is_for_resumption() {
                true => Part::Resumption.counted(conn, || remove(kind)),
                false => remove(kind),
            }?;
            count += batch.count;
            if batch.is_last {
                break;
            }
            if Instant::now() >= until {
                let is_last = false;
                return Ok(Slice { count, is_last });
            }
        }
    }
    let is_last = true;
    Ok(Slice { count, is_last })
}

/// Removes some rows of a kind.
fn remove(
    conn: &Connection,
    kind: &Kind,
    kinds: PrunableTables,
    unshipped: Unshipped,
    span: Span,
) -> Result<Slice> {
    let (count, is_last) = match kind.removal {
        Removal::Requests => {
            let is_uncounted = kinds == PrunableTables::Uncounted;
            let count = requests::remove(conn, span, is_uncounted, unshipped)?;
            // Some of the oldest rows may have had to stay.
            (count, count == 0)
        }
        Removal::Sessions => {
            let count = sessions::remove(conn, span)?;
            (count, count < BATCH as u64)
        }
        Removal::Batch(sql) => {
            let mut delete = conn.prepare_cached(sql)?;
            let count = delete.execute([span.from, span.before, BATCH])? as u64;
            (count, count < BATCH as u64)
        }
        Removal::Events => match events::redate(conn)? {
            0 => {
                let count = events::remove(conn, span)?;
                (count, count < BATCH as u64)
            }
            _ => (0, false),
        },
    };
    Ok(Slice { count, is_last })
}

fn next_cutoff(conn: &Connection, from: i64) -> Result<Option<i64>> {
    let mut horizon: Option<i64> = None;
    for sql in KINDS.iter().filter_map(|kind| kind.oldest) {
        let latest: Option<i64> = conn
            .prepare_cached(sql)?
            .query_row([from, STEP], |row| row.get(0))?;
        let before = latest.map(|latest| latest.saturating_add(1));
        horizon = horizon.into_iter().chain(before).min();
    }
    Ok(horizon)
}

fn incremental_vacuum(conn: &Connection, keep: u64, until: Instant) -> Result<Slice> {
    let before = pages::space(conn)?;
    let excess = before.free.saturating_sub(keep);
    if excess == 0 {
        return Ok(Slice {
            count: 0,
            is_last: true,
        });
    }
    // Each step returns one page.
    let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({excess})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() && Instant::now() < until {}
    drop(steps);
    let count = before.pages.saturating_sub(pages::space(conn)?.pages);
    Ok(Slice {
        count,
        is_last: count == 0 || count >= excess,
    })
}
