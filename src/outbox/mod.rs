//! The file as an outbox: a shipper reads its rows, writes them to another database, and confirms
//! them.
//!
//! A shipper registers, then reads one [batch](Outbox::batch) after another, and
//! [confirms](Outbox::confirm) each after the other database has committed it. If the process is
//! killed between commit and confirmation, the next shipper reads the same rows again. So the other
//! database has to accept a row twice: requests by their `request_id`, other rows by their keys,
//! with the values of the newest copy.
//!
//! Until the registration is [removed](Outbox::forget), the writer keeps rows that were not
//! confirmed, unless the file is over the limit of its size. It then removes the oldest rows, and
//! enters the number of requests in `losses`, as `unshipped`.
//!
//! The writer may be in this process or in another one. Shipping takes the write lock of the
//! file only to confirm. All functions block the thread, up to ten seconds if another
//! program holds a lock.
//!
//! ```
//! use tower_mcp_store::outbox::Outbox;
//! # use tower_mcp_store::Store;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("mcp-store.db");
//! # Store::open(&path)?.shutdown(std::time::Duration::from_secs(5))?;
//!
//! let outbox = Outbox::open(&path)?;
//! outbox.register()?;
//! loop {
//!     let batch = outbox.batch(2_000)?;
//!     for rows in &batch.rows {
//!         println!("{} rows of {:?}", rows.len(), rows.table);
//!     }
//!     outbox.confirm(&batch)?;
//!     if batch.is_last {
//!         break;
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::{Path, PathBuf};

use crate::db::{Db, SideLock, WriteError};
pub use crate::db::{
    OutboxBatch, OutboxColumn, OutboxCursor, OutboxIdentity, OutboxRows, OutboxTable, OutboxTexts,
    OutboxValues, Watermarks,
};
use crate::error::OpenError;
use crate::maintenance::MaintenanceError;

/// A file that is open for a shipper. Only one shipper can have it open.
#[derive(Debug)]
pub struct Outbox {
    path: PathBuf,
    db: Db,
    _lock: SideLock,
}

impl Outbox {
    /// Opens the file at `path`. A file of an older version is migrated.
    ///
    /// # Errors
    ///
    /// If there is no file, it is empty, or a [`Store`](crate::Store) would not open it. The
    /// kind is [`Locked`](crate::OpenErrorKind::Locked) if another shipper has it open, and
    /// [`Pulled`](crate::OpenErrorKind::Pulled) if the file was pulled from a fleet.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let lock = SideLock::of_shipper(&path)?;
        let db = Db::open_to_maintain(&path)?;
        db.refuse_pulled(&path)?;
        Ok(Self {
            path,
            db,
            _lock: lock,
        })
    }

    /// Returns the path as it was given to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Registers a shipper, unless there is one. It then ships all rows of the file, also those
    /// that already exist. In a large file this takes some seconds.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    pub fn register(&self) -> Result<(), MaintenanceError> {
        self.written(self.db.register_shipper())
    }

    /// Removes the registration. From then on, rows that were not shipped are removed like others.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    pub fn forget(self) -> Result<(), MaintenanceError> {
        self.written(self.db.forget_shipper())
    }

    /// Begins again with the oldest row, so that all rows are shipped once more.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    pub fn rewind(&self) -> Result<(), MaintenanceError> {
        self.written(self.db.rewind_shipper())
    }

    /// Gives the file a new id, and begins again with the oldest row.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to.
    pub fn renew_store_id(&self) -> Result<(), MaintenanceError> {
        self.written(self.db.renew_store_id())
    }

    /// Returns the identity of the file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn identity(&self) -> Result<OutboxIdentity, MaintenanceError> {
        self.read(self.db.outbox_identity())
    }

    /// Returns the last request that was shipped.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn cursor(&self) -> Result<OutboxCursor, MaintenanceError> {
        self.read(self.db.outbox_cursor())
    }

    /// Returns the request id of the row `id`; `None` if the file does not have this row. A
    /// shipper compares it with what it shipped: a file that was restored from a copy gives
    /// the same ids to other requests.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn request_id(&self, id: i64) -> Result<Option<String>, MaintenanceError> {
        self.read(self.db.outbox_request_id(id))
    }

    /// Returns rows that were not confirmed, as of one moment of the file: at most `max_rows` new
    /// requests, with their sessions, and at most `max_rows` other rows. If rows are large, there
    /// are fewer.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn batch(&self, max_rows: usize) -> Result<OutboxBatch, MaintenanceError> {
        self.read(self.db.outbox_batch(max_rows))
    }

    /// Confirms that the other database has committed a batch. Its rows are not read again.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to, or was moved or replaced.
    pub fn confirm(&self, batch: &OutboxBatch) -> Result<(), MaintenanceError> {
        self.written(self.db.confirm_batch(batch))
    }

    fn read<T>(&self, answer: rusqlite::Result<T>) -> Result<T, MaintenanceError> {
        answer.map_err(|error| MaintenanceError::unreadable(&self.path, error))
    }

    fn written(&self, done: Result<(), WriteError>) -> Result<(), MaintenanceError> {
        done.map_err(|error| MaintenanceError::unwritable(&self.path, error))
    }
}
