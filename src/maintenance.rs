//! Work on a file that somebody asks for: removing what is old, and giving
//! space back.
//!
//! The writer of a file does both by itself, as its
//! [`Retention`](crate::Retention) says; this is for files without a writer,
//! and for once. It may be done beside a writer, which goes on in between.
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
//! for (table, rows) in Preview::open(&path)?.rows_before(new_year)? {
//!     println!("{rows} rows of {table} would go");
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

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::db::{self, Db, Kinds, Slice, Span, WriteError};
use crate::error::{MaintenanceError, OpenError};
use crate::query::Reader;

/// How long a slice works, and how long it then leaves the file to others.
const SLICE: Duration = Duration::from_millis(10);
const TURN: Duration = Duration::from_millis(2);

/// How long to wait for a lock that another program holds.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file that is worked on.
#[derive(Debug)]
pub struct Maintenance {
    path: PathBuf,
    db: Db,
}

/// A file that is looked at before it is worked on, and not written to.
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
    /// There is no file, it is empty, or it is none that a [`Store`](crate::Store) would open.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let reader = Reader::of_version(path.as_ref(), 1)?;
        Ok(Self { reader })
    }

    /// Returns how many rows of each table [`Maintenance::prune`] would remove.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn rows_before(&self, before: i64) -> Result<Vec<(&'static str, u64)>, MaintenanceError> {
        self.reader
            .read(|source| db::rows_before(source.conn, before))
            .map_err(|error| MaintenanceError::new(self.reader.path(), error))
    }
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Requests are entered into the statistics that outlive them.
    Fold,
    /// Rows are removed.
    Remove,
    /// Free pages are given back to the file system.
    Shrink,
    /// The whole file is written anew; how far that is nobody can tell.
    Rewrite,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Rows, or pages, that are done.
    pub done: u64,
    /// How many there were at the beginning of the step. A writer may have
    /// added some since.
    pub total: u64,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// How many rows were removed.
    pub rows: u64,
    /// The length of the file before, in bytes.
    pub bytes_before: u64,
    /// The length of the file after, in bytes. Beside a writer it may be more.
    pub bytes_after: u64,
    /// Whether all was done, and it was not broken off.
    pub is_complete: bool,
}

impl Maintenance {
    /// Opens the file at `path`, and brings an older one to the tables of today.
    ///
    /// # Errors
    ///
    /// There is no file, it is empty, or it is none that a [`Store`](crate::Store) would open.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let db = Db::open_to_maintain(&path)?;
        Ok(Self { path, db })
    }

    /// Returns how many rows of each table [`prune`](Self::prune) would remove;
    /// [`Preview`] does so without opening the file for writing.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn rows_before(&self, before: i64) -> Result<Vec<(&'static str, u64)>, MaintenanceError> {
        self.db
            .rows_before(before)
            .map_err(|error| self.failed(error))
    }

    /// Removes what is from before `before`, in unix milliseconds: requests,
    /// sessions that were not seen since, losses, runs of writers and events for
    /// resumption, whoever wrote them, and session records that have expired. Then gives the space back, if the file
    /// [keeps track of its pages](Self::vacuum).
    ///
    /// Statistics and the history of listings are kept. What is done is
    /// committed slice by slice; `progress` hears of each and may break off
    /// after it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written to, or is locked for ten seconds.
    pub fn prune(
        &self,
        before: i64,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, MaintenanceError> {
        self.measured(|rows| {
            let unfolded = self.db.unfolded()?;
            let fold = |until| self.db.fold(PATIENCE, until);
            if slices(Step::Fold, unfolded, &mut progress, fold)?
                .1
                .is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            let total = self
                .db
                .rows_before(before)?
                .iter()
                .map(|(_, rows)| rows)
                .sum();
            let from = i64::MIN;
            let span = Span { from, before };
            let prune = |until| self.db.prune(Kinds::All, span, PATIENCE, until);
            let (removed, flow) = slices(Step::Remove, total, &mut progress, prune)?;
            *rows = removed;
            if flow.is_break() {
                return Ok(flow);
            }
            self.shrink(&mut progress)
        })
    }

    /// Makes the file as small as it can be.
    ///
    /// A file that was made by this crate keeps track of its pages and gives
    /// those back that are free. An older one does not: it is written anew once,
    /// which takes twice its size of space on the disk for as long, and after
    /// that keeps track of them too. A writer waits meanwhile with its events in
    /// the queue, and `progress` is only asked before.
    ///
    /// # Errors
    ///
    /// When the file cannot be written to, or is locked for ten seconds.
    pub fn vacuum(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Outcome, MaintenanceError> {
        self.measured(|_| {
            if self.db.tracks_pages()? {
                return self.shrink(&mut progress);
            }
            let mut at = |done| {
                progress(Progress {
                    step: Step::Rewrite,
                    done,
                    total: 1,
                })
            };
            if at(0).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.db.rewrite(PATIENCE)?;
            self.db.checkpoint()?;
            // There is nothing left to break off.
            let _ = at(1);
            Ok(ControlFlow::Continue(()))
        })
    }

    fn shrink(
        &self,
        progress: &mut impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, WriteError> {
        let free = self.db.space()?.free;
        let give_back = |until| self.db.give_back(0, PATIENCE, until);
        let (pages, flow) = slices(Step::Shrink, free, progress, give_back)?;
        if pages > 0 {
            self.db.checkpoint()?;
        }
        Ok(flow)
    }

    /// Does work that counts the rows it removes.
    fn measured(
        &self,
        work: impl FnOnce(&mut u64) -> Result<ControlFlow<()>, WriteError>,
    ) -> Result<Outcome, MaintenanceError> {
        let measure = || {
            let bytes_before = self.db.space()?.bytes();
            let mut rows = 0;
            let flow = work(&mut rows)?;
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
        MaintenanceError::new(&self.path, error)
    }
}

impl Drop for Maintenance {
    /// Leaves a file that was moved meanwhile as complete as it can be.
    fn drop(&mut self) {
        if self.db.is_displaced()
            && let Err(hindrance) = self.db.leave(None)
        {
            tracing::warn!(path = %self.path.display(), "{hindrance}");
            if let Err(error) = self.db.leave_wal_behind(None) {
                tracing::warn!(path = %self.path.display(), "the WAL cannot be renamed: {error}");
            }
        }
    }
}

/// Does slice after slice until there is nothing more to do, or it is broken
/// off; gives their sum.
fn slices(
    step: Step,
    total: u64,
    progress: &mut impl FnMut(Progress) -> ControlFlow<()>,
    mut slice: impl FnMut(Instant) -> Result<Slice, WriteError>,
) -> Result<(u64, ControlFlow<()>), WriteError> {
    let mut done = 0;
    loop {
        let Slice { count, is_last } = slice(Instant::now() + SLICE)?;
        done += count;
        let flow = progress(Progress { step, done, total });
        if is_last {
            // Whatever it says, this step is done; the next asks again.
            return Ok((done, ControlFlow::Continue(())));
        }
        if flow.is_break() {
            return Ok((done, flow));
        }
        thread::sleep(TURN);
    }
}
