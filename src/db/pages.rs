//! The size of a file, and the sizes of two parts that have limits of their own:
//! the cells of the statistics, and the data for resumption.
//!
//! The rows do not show their size, because pages are seldom full. So each change
//! of one of the parts counts the pages of the file before and after, in its
//! transaction.

use rusqlite::{Connection, Result};

use super::meta;

/// The key in `meta` of the number of pages of the cells of statistics.
const CELL_PAGES: &str = "rollup_pages";

/// The size of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) page_size: u64,
    pub(crate) pages: u64,
    /// Free pages, which are used before the file grows.
    pub(crate) free: u64,
}

impl Space {
    pub(crate) fn used_pages(&self) -> u64 {
        self.pages.saturating_sub(self.free)
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.used_pages() * self.page_size
    }

    /// Returns the length of the file once the WAL is checkpointed.
    pub(crate) fn bytes(&self) -> u64 {
        self.pages * self.page_size
    }
}

pub(super) fn space(conn: &Connection) -> Result<Space> {
    Ok(Space {
        page_size: pragma(conn, "PRAGMA page_size")?,
        pages: pragma(conn, "PRAGMA page_count")?,
        free: pragma(conn, "PRAGMA freelist_count")?,
    })
}

/// Returns the number of used pages, including changes of the open transaction.
pub(super) fn used_pages(conn: &Connection) -> Result<i64> {
    let pages = pragma(conn, "PRAGMA page_count")?;
    let free = pragma(conn, "PRAGMA freelist_count")?;
    Ok(i64::try_from(pages.saturating_sub(free)).unwrap_or(i64::MAX))
}

fn pragma(conn: &Connection, sql: &str) -> Result<u64> {
    let value: i64 = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// A part of the file whose pages are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `request_rollups`.
    Cells,
    /// `sse_logs`, `sse_events` and `sdk_sessions`.
    Resumption,
}

impl Part {
    /// Runs `work`, which changes only this part, and counts the pages that it takes or
    /// frees. The caller holds the transaction.
    pub(super) fn counted<T>(
        self,
        conn: &Connection,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let before = used_pages(conn)?;
        let done = work()?;
        self.grow(conn, used_pages(conn)?.saturating_sub(before))?;
        Ok(done)
    }

    /// Adds `more` pages to this part; a negative number subtracts.
    pub(super) fn grow(self, conn: &Connection, more: i64) -> Result<()> {
        match more {
            0 => Ok(()),
            _ => self.set(conn, self.pages(conn)?.saturating_add(more)),
        }
    }

    /// Returns the number of pages of this part.
    pub(super) fn pages(self, conn: &Connection) -> Result<i64> {
        let pages = match self {
            Self::Cells => meta::get(conn, CELL_PAGES)?.and_then(|pages| pages.parse().ok()),
            Self::Resumption => conn
                .prepare_cached("SELECT max(CAST(pages AS INTEGER)) FROM sse_totals")?
                .query_row([], |row| row.get(0))?,
        };
        Ok(pages.unwrap_or(0).max(0))
    }

    pub(super) fn set(self, conn: &Connection, pages: i64) -> Result<()> {
        let pages = pages.max(0);
        match self {
            Self::Cells => meta::set(conn, CELL_PAGES, &pages.to_string()),
            Self::Resumption => conn
                .prepare_cached("UPDATE sse_totals SET pages = ?1")?
                .execute([pages])
                .map(drop),
        }
    }
}
