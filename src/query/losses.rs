//! Requests that are missing.

use rusqlite::params;

use super::Reader;
use super::error::QueryError;
use super::reader::Source;
use super::record::record;
use super::recorded::{LossReason, Recorded};
use super::window::Window;

record! {
    /// One span of time in which requests were lost: one row of `losses`.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct Loss {
        /// The row's number.
        pub id: i64,
        /// When the first request was lost, in unix milliseconds.
        pub from_ts: i64,
        /// When the last request was lost, in unix milliseconds.
        pub to_ts: i64,
        /// The number of lost requests; `None` if it is unknown, as after a kill.
        pub dropped: Option<i64>,
        /// Why they are missing.
        pub reason: Recorded<LossReason>,
    }
}

impl Reader {
    /// Returns the losses that overlap a window, oldest first.
    pub fn losses(&self, window: Window) -> Result<Vec<Loss>, QueryError> {
        self.read(|source| losses(source, window))
    }
}

pub(super) fn losses(source: &Source<'_>, window: Window) -> rusqlite::Result<Vec<Loss>> {
    source
        .conn
        .prepare_cached(&format!(
            "SELECT {} FROM losses
             WHERE to_ts >= ?1 AND from_ts < ?2 ORDER BY from_ts, id",
            Loss::COLUMNS
        ))?
        .query_map(params![window.since, window.until], Loss::from_row)?
        .collect()
}
