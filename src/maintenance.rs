//! Work on a file that somebody asks for: removing what is old, and giving
//! space back.
//!
//! The writer of a file does both by itself, as its
//! [`Retention`](crate::Retention) says; this is for files without a writer,
//! and for once. It may be done beside a writer, which goes on in between.
//!
//! ```
//! use tower_mcp_store::maintenance::Maintenance;
//! # use tower_mcp_store::Store;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("mcp-store.db");
//! # Store::open(&path)?.shutdown(std::time::Duration::from_secs(5))?;
//!
//! let maintenance = Maintenance::open(&path)?;
//! let new_year = 1_767_225_600_000;
//! for (table, rows) in maintenance.rows_before(new_year)? {
//!     println!("{rows} rows of {table} would go");
//! }
//! let removed = maintenance.prune(new_year, |progress| {
//!     println!("{} of {}", progress.done, progress.total);
//! })?;
//! assert_eq!(removed, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::db::{Db, Slice, Span, WriteError};
use crate::error::{MaintenanceError, OpenError};

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

impl Maintenance {
    /// Opens the file at `path`, and brings an older one to the tables of today.
    ///
    /// # Errors
    ///
    /// There is no file, or it is none that a [`Store`](crate::Store) would open.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let db = Db::open_to_maintain(&path)?;
        Ok(Self { path, db })
    }

    /// How many rows of each table [`prune`](Self::prune) would remove; changes nothing.
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
    /// sessions that were not seen since, losses and runs of writers, whoever
    /// wrote them. Then gives the space back, if the file [keeps track of its
    /// pages](Self::vacuum). Gives the number of rows.
    ///
    /// Statistics and the history of listings are kept.
    ///
    /// # Errors
    ///
    /// When the file cannot be written to, or is locked for ten seconds.
    pub fn prune(
        &self,
        before: i64,
        mut progress: impl FnMut(Progress),
    ) -> Result<u64, MaintenanceError> {
        let mut work = || {
            let unfolded = self.db.unfolded()?;
            let fold = |until| self.db.fold(PATIENCE, until);
            slices(Step::Fold, unfolded, &mut progress, fold)?;

            let total = self
                .db
                .rows_before(before)?
                .iter()
                .map(|(_, rows)| rows)
                .sum();
            let from = i64::MIN;
            let prune = |until| self.db.prune(Span { from, before }, PATIENCE, until);
            let removed = slices(Step::Remove, total, &mut progress, prune)?;
            self.shrink(&mut progress)?;
            Ok(removed)
        };
        work().map_err(|error| self.failed(error))
    }

    /// Makes the file as small as it can be; gives its length in bytes before
    /// and after.
    ///
    /// A file that was made by this crate keeps track of its pages and gives
    /// those back that are free. An older one does not: it is written anew once,
    /// which takes twice its size of space on the disk for as long, and after
    /// that keeps track of them too. A writer waits meanwhile with its events in
    /// the queue.
    ///
    /// # Errors
    ///
    /// When the file cannot be written to, or is locked for ten seconds.
    pub fn vacuum(
        &self,
        mut progress: impl FnMut(Progress),
    ) -> Result<(u64, u64), MaintenanceError> {
        let mut work = || {
            let before = self.db.space()?.bytes();
            if self.db.tracks_pages()? {
                self.shrink(&mut progress)?;
            } else {
                let step = Step::Rewrite;
                progress(Progress {
                    step,
                    done: 0,
                    total: 1,
                });
                self.db.rewrite(PATIENCE)?;
                self.db.checkpoint()?;
                progress(Progress {
                    step,
                    done: 1,
                    total: 1,
                });
            }
            Ok((before, self.db.space()?.bytes()))
        };
        work().map_err(|error| self.failed(error))
    }

    fn shrink(&self, progress: &mut impl FnMut(Progress)) -> Result<(), WriteError> {
        let free = self.db.space()?.free;
        let give_back = |until| self.db.give_back(0, PATIENCE, until);
        if slices(Step::Shrink, free, progress, give_back)? > 0 {
            self.db.checkpoint()?;
        }
        Ok(())
    }

    fn failed(&self, error: WriteError) -> MaintenanceError {
        MaintenanceError::new(&self.path, error)
    }
}

/// Does slice after slice until there is nothing more to do; gives their sum.
fn slices(
    step: Step,
    total: u64,
    progress: &mut impl FnMut(Progress),
    mut slice: impl FnMut(Instant) -> Result<Slice, WriteError>,
) -> Result<u64, WriteError> {
    let mut done = 0;
    loop {
        let Slice { count, is_last } = slice(Instant::now() + SLICE)?;
        done += count;
        progress(Progress { step, done, total });
        if is_last {
            return Ok(done);
        }
        thread::sleep(TURN);
    }
}
