//! One transaction of a pull.

use rusqlite::{Connection, Result, Transaction, params};

use super::super::bucket_width::BucketWidth;
use super::super::keyed_hash;
use super::super::links::number_legs;
use super::super::outbox::OutboxTable;
use super::super::pruned::Pruned;
use super::super::pulled::{PULLED_AT, PULLED_SINCE};
use super::super::{meta, rollup};
use super::{Insert, PullCursor};

const SET_CURSOR: &str = "INSERT INTO pull_cursors (store_id, first_seen_at, id, request_id)
     VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (store_id) DO UPDATE SET id = excluded.id, request_id = excluded.request_id";

const PLACE: &str = "UPDATE requests
     SET operation_id = ?2, leg = ?3, operation_us = ?4, task_status = ?5
     WHERE request_id = ?1
         AND (operation_id, leg, operation_us, task_status) IS NOT (?2, ?3, ?4, ?5)";

/// Rows that are older than the window.
const REMOVE: [&str; 2] = [
    "DELETE FROM requests WHERE ts < ?1",
    "DELETE FROM sessions WHERE last_seen_at < ?1",
];

/// A task stays as long as its first request.
const REMOVE_TASKS: &str = "DELETE FROM tasks
     WHERE operation_id NOT IN (SELECT request_id FROM requests)";

/// The requests that a file has after a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Their number.
    pub requests: i64,
    /// When the oldest was received, in unix milliseconds.
    pub oldest_ts: Option<i64>,
    /// When the newest was received, in unix milliseconds.
    pub newest_ts: Option<i64>,
}

/// A transaction that is rolled back if it is dropped.
#[derive(Debug)]
pub(crate) struct Pulling<'c>(Transaction<'c>);

impl<'c> Pulling<'c> {
    pub(super) fn new(tx: Transaction<'c>) -> Self {
        Self(tx)
    }

    /// Makes all requests from `since` on be pulled again. Requests that are in the file stay
    /// as they are.
    pub(crate) fn restart(&self, since: i64) -> Result<()> {
        self.0
            .execute("UPDATE pull_cursors SET id = 0, request_id = ''", [])?;
        rollup::clear(&self.0)?;
        meta::set(&self.0, PULLED_SINCE, &since.to_string())
    }

    pub(crate) fn set_cursor(&self, cursor: &PullCursor) -> Result<()> {
        let mut set = self.0.prepare_cached(SET_CURSOR)?;
        let PullCursor {
            store_id,
            first_seen_at,
            id,
            request_id,
        } = cursor;
        set.execute(params![store_id, first_seen_at, id, request_id])
            .map(drop)
    }

    pub(crate) fn insert(&self, table: OutboxTable) -> Result<Insert<'_>> {
        Insert::new(&self.0, table)
    }

    pub(crate) fn has_request(&self, request_id: &str) -> Result<bool> {
        let sql = "SELECT 1 FROM requests WHERE request_id = ?1";
        self.0.prepare_cached(sql)?.exists([request_id])
    }

    /// Changes the place of a request in its operation.
    pub(crate) fn place(
        &self,
        request_id: &str,
        operation_id: Option<&str>,
        [leg, operation_us]: [Option<i64>; 2],
        task_status: Option<&str>,
    ) -> Result<()> {
        let values = params![request_id, operation_id, leg, operation_us, task_status];
        self.0.prepare_cached(PLACE)?.execute(values).map(drop)
    }

    /// Numbers the legs of an operation by time, and adds up their latencies.
    pub(crate) fn number_legs(&self, operation_id: &str) -> Result<()> {
        number_legs(&self.0, operation_id, 0)
    }

    /// Returns the hashes of the listings that the file has.
    pub(crate) fn payloads(&self) -> Result<Vec<String>> {
        let mut hashes = self
            .0
            .prepare("SELECT content_hash FROM listing_payloads")?;
        let hashes = hashes.query_map([], |row| row.get(0))?;
        hashes.collect()
    }

    pub(crate) fn set_key_fingerprints(&self, all: &[String]) -> Result<()> {
        keyed_hash::set_fingerprints(&self.0, all)
    }

    /// Ends a pull of the database as of `at`. Removes rows from before `since`. From then on,
    /// the requests from `requests_from` on are complete, and polls from `polls_from` on.
    pub(crate) fn finish(
        &self,
        at: i64,
        since: i64,
        [requests_from, polls_from]: [i64; 2],
    ) -> Result<Kept> {
        for sql in REMOVE {
            self.0.execute(sql, [since])?;
        }
        self.0.execute(REMOVE_TASKS, [])?;
        meta::set(&self.0, PULLED_SINCE, &since.to_string())?;
        meta::set(&self.0, PULLED_AT, &at.to_string())?;
        cover(&self.0, requests_from, polls_from)?;
        let sql = "SELECT count(*), min(ts), max(ts) FROM requests";
        self.0.query_row(sql, [], |row| {
            Ok(Kept {
                requests: row.get(0)?,
                oldest_ts: row.get(1)?,
                newest_ts: row.get(2)?,
            })
        })
    }

    pub(crate) fn commit(self) -> Result<()> {
        self.0.commit()
    }
}

/// Stores from which times on requests and polls are complete. There are no cells, so they
/// cover no time before that.
pub(super) fn cover(conn: &Connection, requests_from: i64, polls_from: i64) -> Result<()> {
    let cells_from = requests_from.max(polls_from);
    Pruned::Requests.set(conn, requests_from)?;
    Pruned::Polls.set(conn, polls_from)?;
    for width in BucketWidth::ALL {
        Pruned::Cells(width).set(conn, cells_from)?;
    }
    Ok(())
}
