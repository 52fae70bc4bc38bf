//! Removes old rows from a file and shrinks it, on request.
//!
//! The writer of a file does both by itself, as its
//! [`Retention`](crate::Retention) says. This module is for files without a writer
//! and for single runs. A writer may have the file open at the same time: the work
//! is done in slices of some 10 ms, and the writer writes between them.
//!
//! All functions block the thread until the work is done, for as long as the size of
//! the file takes. They wait up to 10 seconds for a lock that another program
//! holds. Async servers call them in `tokio::task::spawn_blocking`.
//!
//! ```
//! use std::ops::ControlFlow;
//! use tower_mcp_store::maintenance::{Maintenance, Preview};
//! # use tower_mcp_store::Store;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("mcp-store.db");
//! # Store::open(&path)?.shutdown(std::time::Duration::from_secs(5))?;
//!
//! let new_year = 1_767_225_600_000;
//! for due in Preview::open(&path)?.rows_before(new_year)? {
//!     println!("{} rows of {} would be removed", due.rows, due.table);
//! }
//! let maintenance = Maintenance::open(&path)?;
//! let outcome = maintenance.prune(new_year, |progress| {
//!     println!("{} of {}", progress.done, progress.total);
//!     ControlFlow::Continue(())
//! })?;
//! assert!(outcome.is_complete);
//! assert_eq!(outcome.rows, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;

pub use error::{MaintenanceError, MaintenanceErrorKind};

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::db::upkeep::{self, Limits, Round};
use crate::db::{self, Db, Unshipped, WriteError};
use crate::error::OpenError;
use crate::query::Reader;

/// How long a slice works, and how long it then leaves the file to others.
const SLICE: Duration = Duration::from_millis(10);
const PAUSE: Duration = Duration::from_millis(2);

/// How long to wait for a lock that another program holds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file that is open for maintenance.
#[derive(Debug)]
pub struct Maintenance {
    path: PathBuf,
    db: Db,
    unshipped: Unshipped,
}

/// A file that is open for reading, to see what maintenance would do.
///
/// A file of any version is read as it is, without a migration.
#[derive(Debug)]
pub struct Preview {
    reader: Reader,
}

impl Preview {
    /// Opens the file at `path` for reading.
    ///
    /// # Errors
    ///
    /// If there is no file, it is empty, or a [`Store`](crate::Store) would not open it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let reader = Reader::of_version(path.as_ref(), 1)?;
        Ok(Self { reader })
    }

    /// Returns how many rows of each table [`Maintenance::prune`] would remove.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn rows_before(&self, before: i64) -> Result<Vec<TableRows>, MaintenanceError> {
        self.reader
            .read(|source| db::rows_before(source.conn, before))
            .map(TableRows::all)
            .map_err(|error| MaintenanceError::unreadable(self.reader.path(), error))
    }
}

/// How many rows of a table are to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableRows {
    /// The name of the table.
    pub table: &'static str,
    /// The number of rows.
    pub rows: u64,
}

impl TableRows {
    fn all(counts: Vec<(&'static str, u64)>) -> Vec<Self> {
        let counts = counts.into_iter();
        counts.map(|(table, rows)| Self { table, rows }).collect()
    }
}

/// A step of maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Requests are rolled up into the statistics that outlive them.
    RollUp,
    /// Rows are removed.
    Remove,
    /// Free pages are returned to the file system.
    Shrink,
    /// The whole file is rewritten. Its progress is not known: `done` is 0 or 1.
    Rewrite,
}

impl Step {
    fn of(step: upkeep::Step) -> Self {
        match step {
            upkeep::Step::RollUp => Self::RollUp,
            upkeep::Step::Shrink => Self::Shrink,
            upkeep::Step::Remove
            | upkeep::Step::RemoveAndRollUp
            | upkeep::Step::History
            | upkeep::Step::Statistics(_)
            | upkeep::Step::StatisticsBytes => Self::Remove,
        }
    }
}

/// The progress of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// How many rows, or pages, are done.
    pub done: u64,
    /// How many there were at the beginning of the step. A writer may have
    /// added some since.
    pub total: u64,
}

/// What maintenance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// How many rows were removed.
    pub rows: u64,
    /// The length of the file before, in bytes.
    pub bytes_before: u64,
    /// The length of the file after, in bytes. Beside a writer it may be more.
    pub bytes_after: u64,
    /// Whether everything was done. If not, `progress` ended it early.
    pub is_complete: bool,
}

impl Maintenance {
    /// Opens the file at `path` for writing. A file of an older version is migrated.
    ///
    /// # Errors
    ///
    /// If there is no file, it is empty, or a [`Store`](crate::Store) would not open it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let db = Db::open_to_maintain(&path)?;
        Ok(Self {
            path,
            db,
            unshipped: Unshipped::Keep,
        })
    }

    /// Sets whether [`prune`](Self::prune) also removes requests that a registered shipper has
    /// not copied. `losses` then reports them. The default is `false`.
    #[must_use]
    pub fn remove_unshipped(mut self, remove: bool) -> Self {
        self.unshipped = match remove {
            true => Unshipped::Remove,
            false => Unshipped::Keep,
        };
        self
    }

    /// Returns how many requests from before `before`, in unix milliseconds, a registered shipper
    /// has not copied; 0 if there is no shipper.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn unshipped_before(&self, before: i64) -> Result<u64, MaintenanceError> {
        self.db
            .unshipped_before(before)
            .map_err(|error| self.failed(error))
    }

    /// Returns how many rows of each table [`prune`](Self::prune) would remove;
    /// [`Preview`] does so without opening the file for writing.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn rows_before(&self, before: i64) -> Result<Vec<TableRows>, MaintenanceError> {
        self.db
            .rows_before(before)
            .map(TableRows::all)
            .map_err(|error| self.failed(error))
    }

    /// Removes what is older than `before`, in unix milliseconds, and shrinks the file.
    ///
    /// This removes requests, sessions that were last seen before, losses, runs of
    /// writers and events for resumption, no matter which process wrote them. It also
    /// removes session records that have expired. Statistics and the history of
    /// listings stay, and so do rows that a registered shipper has not copied, unless
    /// [`remove_unshipped`](Self::remove_unshipped) was set. The file only shrinks if it
    /// [keeps track of its pages](Self::vacuum).
    ///
    /// Each slice is committed by itself. `progress` is called after each, and may
    /// end the work.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to, or is locked for ten seconds.
    pub fn prune(
        &self,
        before: i64,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, MaintenanceError> {
        self.measured(|| self.run(Round::prune(), before, &mut progress))
    }

    /// Returns whether the file keeps track of its pages. One that does not is made smaller
    /// by [`vacuum`](Self::vacuum) only.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn tracks_pages(&self) -> Result<bool, MaintenanceError> {
        self.db.tracks_pages().map_err(|error| self.failed(error))
    }

    /// Makes the file as small as possible.
    ///
    /// A file that this crate made keeps track of its pages, so the free ones are
    /// returned. An older file is rewritten once, and keeps track of its pages from
    /// then on. The rewrite needs twice the size of the file on the disk. Meanwhile a
    /// writer waits with its events in the queue, and `progress` cannot end the work.
    ///
    /// # Errors
    ///
    /// If the file cannot be written to, or is locked for ten seconds.
    pub fn vacuum(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, MaintenanceError> {
        self.measured(|| {
            if self.db.tracks_pages()? {
                return self.run(Round::shrink(), i64::MIN, &mut progress);
            }
            let mut at = |done| {
                progress(Progress {
                    step: Step::Rewrite,
                    done,
                    total: 1,
                })
            };
            if at(0).is_break() {
                return Ok((0, ControlFlow::Break(())));
            }
            self.db.rewrite(PATIENCE)?;
            self.db.checkpoint()?;
            // The work is complete, so a break has no effect.
            let _ = at(1);
            Ok((0, ControlFlow::Continue(())))
        })
    }

    /// Runs the steps of `round` with pauses between its slices, until it has ended or
    /// `progress` ends the work. Returns the number of removed rows.
    fn run(
        &self,
        mut round: Round,
        before: i64,
        progress: &mut impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(u64, ControlFlow<()>), WriteError> {
        let limits = Limits::before(before, self.unshipped);
        let mut rows = 0;
        while let Some(step) = round.step() {
            let step = Step::of(step);
            let total = self.total(step, before)?;
            let mut done = 0;
            loop {
                let slice = round.slice(&self.db, &limits, PATIENCE, Instant::now() + SLICE)?;
                done += slice.count;
                if step == Step::Remove {
                    rows = done;
                }
                let flow = progress(Progress { step, done, total });
                if slice.is_last {
                    // This step is done, even if `progress` breaks. The next step checks that
                    // again.
                    break;
                }
                if flow.is_break() {
                    round.cut_file(&self.db)?;
                    return Ok((rows, flow));
                }
                thread::sleep(PAUSE);
            }
        }
        Ok((rows, ControlFlow::Continue(())))
    }

    /// Returns how many rows, or pages, a step has to do.
    fn total(&self, step: Step, before: i64) -> Result<u64, WriteError> {
        match step {
            Step::RollUp => self.db.not_rolled_up(),
            Step::Remove => {
                let tables = self.db.rows_before(before)?;
                Ok(tables.iter().map(|(_, rows)| rows).sum())
            }
            Step::Shrink => Ok(self.db.space()?.free),
            Step::Rewrite => Ok(1),
        }
    }

    /// Does `work`, which returns the number of removed rows, and measures the file.
    fn measured(
        &self,
        work: impl FnOnce() -> Result<(u64, ControlFlow<()>), WriteError>,
    ) -> Result<Outcome, MaintenanceError> {
        let measure = || {
            let bytes_before = self.db.space()?.bytes();
            let (rows, flow) = work()?;
            Ok(Outcome {
                rows,
                bytes_before,
                bytes_after: self.db.space()?.bytes(),
                is_complete: flow.is_continue(),
            })
        };
        measure().map_err(|error| self.failed(error))
    }

    fn failed(&self, error: WriteError) -> MaintenanceError {
        MaintenanceError::unwritable(&self.path, error)
    }
}

impl Drop for Maintenance {
    /// Closes the file. If it was moved, as many rows as possible are checkpointed into it.
    fn drop(&mut self) {
        if self.db.is_replaced()
            && let Err(hindrance) = self.db.leave(None)
        {
            tracing::warn!(path = %self.path.display(), "{hindrance}");
            if let Err(error) = self.db.leave_wal_behind(None) {
                tracing::warn!(path = %self.path.display(), "the WAL cannot be renamed: {error}");
            }
        }
    }
}
