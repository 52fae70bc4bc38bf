//! The time up to which a file was pruned, from `meta`. The remaining rows do not
//! show it: some older ones may have been kept, and some may have been written
//! later.

use rusqlite::{Connection, Result};

use super::bucket_width::BucketWidth;
use super::meta;

/// The methods whose requests are pruned before others.
pub(crate) const POLLS: [&str; 3] = ["ping", "tasks/get", "tasks/list"];

/// The kind of rows that were pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pruned {
    Requests,
    /// Only requests of [`POLLS`](super::POLLS).
    Polls,
    Cells(BucketWidth),
}

impl Pruned {
    fn key(self) -> &'static str {
        match self {
            Self::Requests => "requests_pruned_to",
            Self::Polls => "polls_pruned_to",
            Self::Cells(BucketWidth::Hour) => "hours_pruned_to",
            Self::Cells(BucketWidth::Day) => "days_pruned_to",
        }
    }

    /// Returns the moment, in unix milliseconds, from which on nothing was pruned.
    pub(crate) fn to(self, conn: &Connection) -> Result<i64> {
        let to = meta::get(conn, self.key())?;
        Ok(to.and_then(|to| to.parse().ok()).unwrap_or(i64::MIN))
    }

    /// Sets that moment. The caller holds the transaction.
    #[cfg(feature = "outbox")]
    pub(super) fn set(self, conn: &Connection, to: i64) -> Result<()> {
        meta::set(conn, self.key(), &to.to_string())
    }

    /// Notes that rows from before `to` are pruned. The caller holds the transaction
    /// that prunes them.
    pub(super) fn raise(self, conn: &Connection, to: i64) -> Result<()> {
        if to > self.to(conn)? {
            meta::set(conn, self.key(), &to.to_string())?;
        }
        Ok(())
    }
}
