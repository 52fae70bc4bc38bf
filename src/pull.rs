//! A file that is pulled from the database of a fleet.
//!
//! It is for `tower-mcp-store-postgres`, and not part of the API.

use std::path::{Path, PathBuf};

use crate::db::{
    Db, Insert, OutboxTable, Pulling, SideLock, WriteError, create_for_pulls, is_for_pulls,
};
pub use crate::db::{Kept, PullCursor, PullState};
use crate::error::{OpenError, OpenErrorKind};
use crate::maintenance::MaintenanceError;
use crate::query::{Reader, Value};

/// A file that is open for a pull. Only one pull can have it open.
#[derive(Debug)]
pub struct PulledFile {
    path: PathBuf,
    db: Db,
    _lock: SideLock,
}

impl PulledFile {
    /// Opens the file at `path`, or creates it with mode 0600.
    ///
    /// # Errors
    ///
    /// If a process has recorded to the file. Then it is unchanged. The kind is
    /// [`Locked`](OpenErrorKind::Locked) if another pull has it open.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let recorded = || {
            let detail = "a server or proxy recorded to it, and `mcp-store pull` writes only to \
                          files that it made; give the path of a new file";
            OpenError::new(OpenErrorKind::Other, path, detail)
        };
        let unwritable = |error: WriteError| {
            let detail = "it cannot be written";
            OpenError::new(OpenErrorKind::Unwritable, path, detail).with_source(error)
        };
        if path.exists() {
            let reader = Reader::of_version(path, 1)?;
            // A file that cannot be read now is inspected once more below.
            if matches!(reader.read(|source| is_for_pulls(source.conn)), Ok(false)) {
                return Err(recorded());
            }
        }
        create_for_pulls(path)?;
        let lock = SideLock::of_pull(path)?;
        let db = Db::open_to_maintain(path)?;
        if !db.mark_as_pulled().map_err(unwritable)? {
            return Err(recorded());
        }
        Ok(Self {
            path: path.to_owned(),
            db,
            _lock: lock,
        })
    }

    /// Returns how far the file was pulled.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn state(&self) -> Result<PullState, MaintenanceError> {
        self.db
            .pull_state()
            .map_err(|error| MaintenanceError::unreadable(&self.path, error))
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to, or was moved or replaced. The same is true of the
    /// functions of the transaction.
    pub fn begin(&self) -> Result<PullTransaction<'_>, MaintenanceError> {
        let begun = self.db.begin_pulling();
        let tx = begun.map_err(|error| MaintenanceError::unwritable(&self.path, error))?;
        Ok(PullTransaction {
            path: &self.path,
            tx,
        })
    }
}

/// A transaction. It is rolled back if it is dropped.
#[derive(Debug)]
pub struct PullTransaction<'f> {
    path: &'f Path,
    tx: Pulling<'f>,
}

type Done<T> = Result<T, MaintenanceError>;

impl PullTransaction<'_> {
    /// Makes all requests from `since` on, in unix milliseconds, be pulled again.
    pub fn restart(&self, since: i64) -> Done<()> {
        self.done(self.tx.restart(since))
    }

    /// Stores how far the requests of one file were pulled.
    pub fn set_cursor(&self, cursor: &PullCursor) -> Done<()> {
        self.done(self.tx.set_cursor(cursor))
    }

    /// Begins to insert rows of a table. A request or listing that the file has stays, a session
    /// or task is replaced, and the rows of all other tables are removed.
    pub fn insert(&self, table: OutboxTable) -> Done<PullInsert<'_>> {
        let insert = self.done(self.tx.insert(table))?;
        Ok(PullInsert {
            path: self.path,
            insert,
        })
    }

    /// Returns whether the file has a request.
    pub fn has_request(&self, request_id: &str) -> Done<bool> {
        self.done(self.tx.has_request(request_id))
    }

    /// Changes the place of a request in its operation: its leg, and the sum of all latencies in
    /// microseconds if it ends the operation.
    pub fn place(
        &self,
        request_id: &str,
        operation_id: Option<&str>,
        numbers: [Option<i64>; 2],
        task_status: Option<&str>,
    ) -> Done<()> {
        let placed = self
            .tx
            .place(request_id, operation_id, numbers, task_status);
        self.done(placed)
    }

    /// Numbers the legs of an operation by time, and adds up their latencies.
    pub fn number_legs(&self, operation_id: &str) -> Done<()> {
        self.done(self.tx.number_legs(operation_id))
    }

    /// Returns the hashes of the listings that the file has.
    pub fn payloads(&self) -> Done<Vec<String>> {
        self.done(self.tx.payloads())
    }

    /// Stores the fingerprints of the keys of keyed hashes, the newest last.
    pub fn set_key_fingerprints(&self, all: &[String]) -> Done<()> {
        self.done(self.tx.set_key_fingerprints(all))
    }

    /// Ends a pull of the database as of `at`, and removes rows from before `since`. `complete`
    /// has the times from which on the requests are complete, and the polls. All times are unix
    /// milliseconds.
    pub fn finish(&self, at: i64, since: i64, complete: [i64; 2]) -> Done<Kept> {
        self.done(self.tx.finish(at, since, complete))
    }

    /// Commits.
    pub fn commit(self) -> Done<()> {
        let path = self.path;
        let committed = self.tx.commit().map_err(WriteError::Store);
        committed.map_err(|error| MaintenanceError::unwritable(path, error))
    }

    fn done<T>(&self, done: rusqlite::Result<T>) -> Done<T> {
        done.map_err(|error| MaintenanceError::unwritable(self.path, WriteError::Store(error)))
    }
}

/// Inserts rows of one table.
#[derive(Debug)]
pub struct PullInsert<'t> {
    path: &'t Path,
    insert: Insert<'t>,
}

impl PullInsert<'_> {
    /// Inserts a row with the values of all columns. Returns whether the file changed.
    pub fn put(&mut self, values: &[Value]) -> Done<bool> {
        let put = self.insert.put(values.iter().map(Value::as_ref));
        put.map_err(|error| MaintenanceError::unwritable(self.path, WriteError::Store(error)))
    }
}

/// Returns the columns of a table, whose names are the same in the database.
pub fn columns(table: OutboxTable) -> Vec<&'static str> {
    table.columns()
}
