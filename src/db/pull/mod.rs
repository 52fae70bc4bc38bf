//! The SQL of pulls: writes the rows of a fleet's database to a file.
//!
//! The database has the rows of many files, so a pulled file gives them row numbers of its own.
//! `pull_cursors` holds how far the requests of each of these files were pulled. It changes in
//! the transaction that writes the requests, so a pull that was killed is continued.
//!
//! A pulled file has no cells of statistics. They would count calls that a later pull changes.
//! So its statistics are counted from its requests, and cover the time of these only.

mod insert;
mod transaction;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, Result};

use super::connection::Db;
use super::create::create;
use super::file_mode::FileMode;
use super::pulled::{PULLED_SINCE, is_pulled};
use super::{WriteError, meta, rollup};
use crate::clock;
use crate::error::OpenError;
pub(crate) use insert::Insert;
pub use transaction::Kept;
pub(crate) use transaction::Pulling;

/// How long to wait for a lock that another program holds.
const PATIENCE: Duration = Duration::from_secs(10);

const CURSORS: &str = "CREATE TABLE IF NOT EXISTS pull_cursors (
        store_id      TEXT    PRIMARY KEY,
        first_seen_at INTEGER NOT NULL,
        id            INTEGER NOT NULL,
        request_id    TEXT    NOT NULL
    ) WITHOUT ROWID";

/// Whether nothing was ever recorded to the file.
const IS_BLANK: &str = "SELECT NOT EXISTS (SELECT 1 FROM requests)
    AND NOT EXISTS (SELECT 1 FROM sessions) AND NOT EXISTS (SELECT 1 FROM writers)";

/// How far a file was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullState {
    /// The cursors hold for requests from this time on, in unix milliseconds.
    pub since: i64,
    /// Requests of the file are in cells, because it was pruned. So some may be missing.
    pub was_pruned: bool,
    /// One for each file of the database.
    pub cursors: Vec<PullCursor>,
}

/// How far the requests of one file of the database were pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullCursor {
    /// The id of the file.
    pub store_id: String,
    /// When the database first had it, in unix milliseconds. So another database that has the
    /// same file is told apart.
    pub first_seen_at: i64,
    /// The id there of the last request; 0 if there is none.
    pub id: i64,
    /// The request id of that request.
    pub request_id: String,
}

/// Returns whether a pull may write to the file: an earlier pull has made it, or nothing was
/// recorded to it.
pub(crate) fn is_for_pulls(conn: &Connection) -> Result<bool> {
    Ok(is_pulled(conn)? || conn.query_row(IS_BLANK, [], |row| row.get(0))?)
}

/// Creates a file that only its owner may read, unless there is one.
pub(crate) fn create_for_pulls(path: &Path) -> Result<(), OpenError> {
    create(path, FileMode::Owner).map(drop)
}

impl Db {
    /// Marks the file as pulled. Returns whether it is.
    pub(crate) fn mark_as_pulled(&self) -> Result<bool, WriteError> {
        let tx = self.begin(PATIENCE)?;
        let mark = || {
            if !is_for_pulls(&tx)? || is_pulled(&tx)? {
                return is_pulled(&tx);
            }
            tx.execute_batch(CURSORS)?;
            meta::set(&tx, PULLED_SINCE, &i64::MAX.to_string())?;
            // Until a pull is complete, it covers no time before now.
            transaction::cover(&tx, clock::unix_ms(), clock::unix_ms())?;
            Ok(true)
        };
        let is_marked = mark().map_err(WriteError::Store)?;
        tx.commit().map_err(WriteError::Store)?;
        Ok(is_marked)
    }

    pub(crate) fn pull_state(&self) -> Result<PullState> {
        let conn = &self.conn;
        let since = meta::get(conn, PULLED_SINCE)?;
        let mut cursors =
            conn.prepare("SELECT store_id, first_seen_at, id, request_id FROM pull_cursors")?;
        let cursors = cursors.query_map([], |row| {
            Ok(PullCursor {
                store_id: row.get(0)?,
                first_seen_at: row.get(1)?,
                id: row.get(2)?,
                request_id: row.get(3)?,
            })
        })?;
        Ok(PullState {
            since: since.and_then(|at| at.parse().ok()).unwrap_or(i64::MAX),
            was_pruned: rollup::rolled_up_to(conn)? > 0,
            cursors: cursors.collect::<Result<_>>()?,
        })
    }

    /// Begins a transaction of a pull.
    pub(crate) fn begin_pulling(&self) -> Result<Pulling<'_>, WriteError> {
        Ok(Pulling::new(self.begin(PATIENCE)?))
    }
}
