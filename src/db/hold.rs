//! The rows that stay in a file until its shipper has copied them.
//!
//! A file is shipped from the moment at which a shipper registers in it, until the
//! registration is removed. `meta` holds the last request that the shipper has copied, and
//! the table `outbox_changes` lists copied rows that have changed since.

use rusqlite::{Connection, OptionalExtension as _, Result};

use super::meta;

/// The key in `meta` of the id of the last request that was shipped. A file without it is
/// not shipped.
pub(crate) const SHIPPED_TO: &str = "shipped_to";

/// The key in `meta` of the time, in unix milliseconds, at which the shipper had last copied
/// everything. It is missing before the first time.
pub(crate) const SHIPPED_AT: &str = "shipped_at";

/// The oldest request that was shipped and has changed since.
const CHANGED: &str = "SELECT min(key) FROM outbox_changes WHERE kind = 'requests'";

/// What to do with rows that were not shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unshipped {
    /// They stay.
    Keep,
    /// They are removed like other rows, and `losses` reports the requests among them.
    Remove,
}

/// The rows of a file that were not shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Requests with a higher id were not shipped.
    pub(super) requests_after: i64,
    /// Other rows from this time on, in unix milliseconds, may not have been shipped.
    pub(super) others_from: i64,
}

impl Hold {
    const NOTHING: Self = Self {
        requests_after: i64::MAX,
        others_from: i64::MAX,
    };

    /// Reads which rows were not shipped: none if no shipper is registered.
    pub(super) fn read(conn: &Connection) -> Result<Self> {
        let Some(shipped_to) = meta::get(conn, SHIPPED_TO)? else {
            return Ok(Self::NOTHING);
        };
        let shipped_to = shipped_to.parse().unwrap_or(0);
        let changed: Option<Option<i64>> = conn
            .prepare_cached(CHANGED)?
            .query_row([], |row| row.get(0))
            .optional()?;
        let before_changed = changed
            .flatten()
            .map_or(i64::MAX, |id| id.saturating_sub(1));
        let shipped_at = meta::get(conn, SHIPPED_AT)?;
        Ok(Self {
            requests_after: before_changed.min(shipped_to),
            others_from: shipped_at
                .and_then(|at| at.parse().ok())
                .unwrap_or(i64::MIN),
        })
    }
}
