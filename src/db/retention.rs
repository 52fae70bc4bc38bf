//! What is taken out of a file again: rows that are old, and pages that are free.
//!
//! Everything is done in slices of a few milliseconds, each in a transaction of
//! its own, so that whoever else writes waits for no more than one of them.

mod kinds;

use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, Result};

use super::group;
use super::listing::history;
use super::open::patiently;
use super::rollup::{self, Width};
use super::{Db, WriteError, meta};
use crate::clock;

use kinds::KINDS;
pub(crate) use kinds::Kinds;

/// Rows that are looked up at once, and by which a file that is too large is
/// made smaller before it is measured again.
const BATCH: i64 = 256;

/// Keys in `meta` of a file that an older version wrote to: when it was
/// migrated, and how large it was then.
const MIGRATED_AT: &str = "migrated_at";
const MIGRATED_BYTES: &str = "migrated_bytes";

/// A stretch of time, in unix milliseconds, that is to be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) before: i64,
}

/// What one slice did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Rows that were folded or deleted, or pages that were given back.
    pub(crate) count: u64,
    /// There was nothing more to do.
    pub(crate) is_last: bool,
}

/// How large a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) page_size: u64,
    pub(crate) pages: u64,
    /// Pages that hold nothing and are used before the file grows.
    pub(crate) free: u64,
}

impl Space {
    pub(crate) fn used_bytes(&self) -> u64 {
        self.pages.saturating_sub(self.free) * self.page_size
    }

    /// The length of the file when the WAL has been brought home.
    pub(crate) fn bytes(&self) -> u64 {
        self.pages * self.page_size
    }
}

/// What a file held when an older version of its tables was migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inherited {
    /// Its rows are from before this time.
    pub(crate) before: i64,
    pub(crate) bytes: u64,
}

impl Db {
    /// Folds requests into the cells of the statistics.
    pub(crate) fn fold(&self, patience: Duration, until: Instant) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| rollup::fold(conn, until))
    }

    /// Deletes rows of the time of `span`.
    pub(crate) fn prune(
        &self,
        kinds: Kinds,
        span: Span,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        let slice = self.slice(patience, |conn| prune(conn, kinds, span, until));
        self.event_logs.mistrust();
        slice
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
        let max_bytes = group::count(max_bytes);
        self.slice(patience, |conn| {
            history::shorten(conn, from, max_bytes, until)
        })
    }

    /// How many bytes are kept of the events of streams, which have bounds of
    /// their own.
    pub(crate) fn event_bytes(&self) -> Result<u64, WriteError> {
        count(&self.conn, "SELECT bytes FROM sse_totals LIMIT ?1", 1).map_err(WriteError::Store)
    }

    /// Deletes the cells of one width that began before `before`, but none
    /// whose requests may still be there.
    pub(crate) fn prune_cells(
        &self,
        width: Width,
        before: i64,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| {
            let oldest: Option<i64> = conn
                .prepare_cached("SELECT min(ts) FROM requests")?
                .query_row([], |row| row.get(0))?;
            let before = oldest.map_or(before, |oldest| before.min(width.start(oldest)));
            rollup::prune(conn, width, before, until)
        })
    }

    /// Gives free pages back to the file system until `keep` of them are left.
    /// A file that does not keep track of its pages has none to give.
    pub(crate) fn give_back(
        &self,
        keep: u64,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        self.slice(patience, |conn| give_back(conn, keep, until))
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

    /// Before when to prune next so that the file gets smaller by a little.
    /// Rows from before `from` are not considered; `None` where there are no others.
    pub(crate) fn next_horizon(&self, from: i64) -> Result<Option<i64>, WriteError> {
        next_horizon(&self.conn, from).map_err(WriteError::Store)
    }

    pub(crate) fn space(&self) -> Result<Space, WriteError> {
        space(&self.conn).map_err(WriteError::Store)
    }

    /// `None` for a file that was made with these tables.
    pub(crate) fn inherited(&self) -> Result<Option<Inherited>, WriteError> {
        inherited(&self.conn).map_err(WriteError::Store)
    }

    /// How many requests are in no cell yet.
    pub(crate) fn unfolded(&self) -> Result<u64, WriteError> {
        rollup::folded_to(&self.conn)
            .and_then(|id| {
                count(
                    &self.conn,
                    "SELECT count(*) FROM requests WHERE id > ?1",
                    id,
                )
            })
            .map_err(WriteError::Store)
    }

    /// How many rows of each table are from before `before`.
    pub(crate) fn rows_before(&self, before: i64) -> Result<Vec<(&'static str, u64)>, WriteError> {
        rows_before(&self.conn, before).map_err(WriteError::Store)
    }

    /// Whether the file keeps track of its pages, without which it gives none
    /// back.
    pub(crate) fn tracks_pages(&self) -> Result<bool, WriteError> {
        self.conn
            .pragma_query_value(None, "auto_vacuum", |row| row.get(0))
            .map(|mode: i64| mode != 0)
            .map_err(WriteError::Store)
    }

    /// Writes the whole file anew, which then keeps track of its pages. Nobody
    /// else can write until that is done.
    ///
    /// SQLite takes the write lock itself for this, so the files are compared
    /// before and, so that nothing of it is copied into another file, after.
    pub(crate) fn rewrite(&self, patience: Duration) -> Result<(), WriteError> {
        let rewrite = || {
            drop(self.begin(Duration::ZERO)?);
            self.conn.pragma_update(None, "wal_autocheckpoint", 0)?;
            self.conn
                .pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            self.conn.execute_batch("VACUUM").map_err(WriteError::Store)
        };
        patiently(patience, WriteError::is_busy, rewrite)?;
        self.begin(patience).map(drop)
    }

    /// Brings the WAL home and cuts it and the file to what is in use, as far
    /// as readers allow.
    pub(crate) fn checkpoint(&self) -> Result<(), WriteError> {
        self.stop_checkpoints();
        if !self.files.are_here() {
            return Err(WriteError::Displaced);
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

/// A number of rows.
fn count(conn: &Connection, sql: &str, value: i64) -> Result<u64> {
    let count: i64 = conn.query_row(sql, [value], |row| row.get(0))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn prune(conn: &Connection, kinds: Kinds, span: Span, until: Instant) -> Result<Slice> {
    let mut count = 0;
    for kind in KINDS.iter().filter(|kind| kinds.has(kind)) {
        let mut due = conn.prepare_cached(kind.due)?;
        let mut delete = Vec::with_capacity(kind.delete.len());
        for sql in kind.delete {
            delete.push(conn.prepare_cached(sql)?);
        }
        loop {
            let keys: Vec<Value> = due
                .query_map([span.from, span.before, BATCH], |row| row.get(0))?
                .collect::<Result<_>>()?;
            // The last of them is the latest. Where time runs out before it, it
            // goes with the next slice.
            if let (Some((pruned, time)), Some(last)) = (kind.told, keys.last()) {
                let ts: i64 = conn
                    .prepare_cached(time)?
                    .query_row([last], |row| row.get(0))?;
                pruned.raise(conn, ts.saturating_add(1))?;
            }
            let before = count;
            for key in &keys {
                let mut rows = 0;
                for statement in &mut delete {
                    rows = statement.execute([key])?;
                }
                count += rows as u64;
                if Instant::now() >= until {
                    return Ok(Slice {
                        count,
                        is_last: false,
                    });
                }
            }
            if keys.len() < BATCH as usize || count == before {
                break;
            }
        }
    }
    Ok(Slice {
        count,
        is_last: true,
    })
}

fn next_horizon(conn: &Connection, from: i64) -> Result<Option<i64>> {
    let mut horizon: Option<i64> = None;
    for sql in KINDS.iter().filter_map(|kind| kind.oldest) {
        let latest: Option<i64> = conn
            .prepare_cached(sql)?
            .query_row([from, BATCH], |row| row.get(0))?;
        let before = latest.map(|latest| latest.saturating_add(1));
        horizon = horizon.into_iter().chain(before).min();
    }
    Ok(horizon)
}

fn give_back(conn: &Connection, keep: u64, until: Instant) -> Result<Slice> {
    let before = space(conn)?;
    let excess = before.free.saturating_sub(keep);
    if excess == 0 {
        return Ok(Slice {
            count: 0,
            is_last: true,
        });
    }
    // Each step gives back one page.
    let mut vacuum = conn.prepare(&format!("PRAGMA incremental_vacuum({excess})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() && Instant::now() < until {}
    drop(steps);
    let count = before.pages.saturating_sub(space(conn)?.pages);
    Ok(Slice {
        count,
        is_last: count == 0 || count >= excess,
    })
}

pub(super) fn space(conn: &Connection) -> Result<Space> {
    let pragma = |name| {
        conn.pragma_query_value(None, name, |row| row.get(0))
            .map(|value: i64| u64::try_from(value).unwrap_or(0))
    };
    Ok(Space {
        page_size: pragma("page_size")?,
        pages: pragma("page_count")?,
        free: pragma("freelist_count")?,
    })
}

/// Notes what a file holds that is being migrated.
pub(super) fn inherit(conn: &Connection) -> Result<()> {
    meta::set(conn, MIGRATED_AT, &clock::unix_ms().to_string())?;
    let bytes = space(conn)?.used_bytes();
    meta::set(conn, MIGRATED_BYTES, &bytes.to_string())
}

fn inherited(conn: &Connection) -> Result<Option<Inherited>> {
    let before = meta::get(conn, MIGRATED_AT)?.and_then(|at| at.parse().ok());
    let bytes = meta::get(conn, MIGRATED_BYTES)?.and_then(|bytes| bytes.parse().ok());
    Ok(before.map(|before| Inherited {
        before,
        bytes: bytes.unwrap_or(0),
    }))
}
