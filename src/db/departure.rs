//! Closes a file that was moved, removed or replaced.
//!
//! Committed rows must not be lost for new ones, so the old file is completed
//! first:
//!
//! 1. The whole WAL is copied into the old file. While another connection prevents
//!    that, such as a reader with an open transaction, this connection stays open
//!    and the path is not opened.
//! 2. With the write lock held and the WAL still empty, the names of the side files
//!    are removed, if they still lead to the open files. Other writers of this crate
//!    that have the old file open notice that before their next statement, and so
//!    add nothing to a WAL without a name.
//! 3. The connection is closed, and the path can be opened.
//!
//! If the resolved name still leads to the old file, because a symbolic link was
//! changed, that file is still in use: it is closed as usual, and its side files
//! are left to SQLite.
//!
//! Two cases cannot be made safe here. A program that overwrites the file in place
//! (`cp`, truncation) leaves no trace that could be noticed. A program other than
//! this crate's that writes to the old file after its WAL was emptied writes to a
//! WAL without a name, so these changes are lost.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fmt, io, thread};

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use super::busy::is_busy;
use super::connect::keep_wal_on_close;
use super::connection::Db;
use super::files::Place;
use super::{WriterStats, side_files};

/// How long to retry before control returns to the caller.
const PATIENCE: Duration = Duration::from_millis(250);

/// The pause between two attempts.
const STEP: Duration = Duration::from_millis(5);

/// What to do with the connection to a file that was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// Close it. All rows are in the old file.
    Ready,
    /// Keep using it: the names lead to its files again.
    Returned,
}

/// Why a file cannot be left yet.
#[derive(Debug)]
pub(crate) enum Hindrance {
    /// Another connection reads the WAL or writes to it.
    InUse,
    /// The WAL cannot be copied into the file.
    Sqlite(rusqlite::Error),
    /// A name cannot be removed.
    Name(io::Error),
}

impl Db {
    /// Returns whether the main file is in its place, with other side files or none.
    pub(crate) fn is_in_place(&self) -> bool {
        matches!(self.files.place(), Place::Stripped | Place::Rebuilt)
    }

    /// Prepares to close a file that was moved, removed or replaced. If it is safe,
    /// ends the writer's run in it with these counters.
    ///
    /// Waits a short time for other connections.
    pub(crate) fn leave(&mut self, accounts: Option<&WriterStats>) -> Result<Departure, Hindrance> {
        self.stop_checkpoints();
        match self.files.place() {
            Place::Here => {
                keep_wal_on_close(&self.conn, false)?;
                if self.run.as_ref().is_some_and(|run| run.name().is_none()) {
                    // The run has ended. Opening the file begins it again.
                    return Ok(Departure::Ready);
                }
                self.is_replaced.set(false);
                Ok(Departure::Returned)
            }
            Place::Unlinked => {
                self.end_run(accounts, false)?;
                Ok(Departure::Ready)
            }
            Place::Rebuilt => {
                // Another program has opened the file with a WAL of its own. Copying the old WAL
                // into it now would damage it.
                keep_wal_on_close(&self.conn, true)?;
                tracing::warn!(
                    path = %self.files.real().display(),
                    "the side files of the store were replaced while it was open; rows that \
                     were in the removed WAL are lost"
                );
                Ok(Departure::Ready)
            }
            Place::Stripped | Place::Moved => {
                // SQLite would remove the side files by name.
                keep_wal_on_close(&self.conn, true)?;
                let had_frames = self.has_frames();
                empty_wal(&self.conn)?;
                if self.end_run(accounts, had_frames)? {
                    empty_wal(&self.conn)?;
                }
                self.remove_side_files()?;
                Ok(Departure::Ready)
            }
        }
    }

    /// Stops trying to empty the WAL and renames it, so that nothing applies it to the
    /// next file. Returns its new name, if it had one.
    pub(crate) fn leave_wal_behind(
        &mut self,
        accounts: Option<&WriterStats>,
    ) -> io::Result<Option<PathBuf>> {
        if let Err(error) = self.end_run(accounts, false) {
            tracing::debug!(%error, "the run has no end in the moved file");
        }
        // Without the lock, another writer of this crate may be adding to the WAL. It has
        // checked the names before, and its commits are in the renamed WAL.
        let _lock = hold(&self.conn).ok();
        let _guard = side_files::lock_directory(self.files.real());
        if self.files.place() != Place::Moved {
            return Ok(None);
        }
        let wal = self.files.own_wal();
        let orphan = wal.map(|_| side_files::set_aside(self.files.real(), "-wal"));
        let orphan = orphan.transpose()?;
        self.files.own_shm().map_or(Ok(()), fs::remove_file)?;
        Ok(orphan)
    }

    /// Ends the run. Returns whether it did. It does not if the names of the side files
    /// may have been removed, because the old file may then be open elsewhere with
    /// another WAL. They are removed only with an empty WAL, to which nothing is added
    /// afterwards, so a WAL that `had_frames` still has its name.
    fn end_run(
        &mut self,
        accounts: Option<&WriterStats>,
        had_frames: bool,
    ) -> Result<bool, Hindrance> {
        let (Some(accounts), Some(run)) = (accounts, &mut self.run) else {
            return Ok(false);
        };
        let tx = hold(&self.conn)?;
        let is_named = self.files.own_wal().is_some() && self.files.own_shm().is_some();
        let is_safe = is_named || had_frames;
        if is_safe {
            run.end(&tx, accounts)?;
            tx.commit()?;
            run.has_ended();
        }
        Ok(is_safe)
    }

    fn has_frames(&self) -> bool {
        let checkpoints = self.checkpoints.as_ref();
        checkpoints.is_some_and(|checkpoints| checkpoints.borrow().has_frames())
    }

    fn remove_side_files(&self) -> Result<(), Hindrance> {
        let _lock = hold(&self.conn)?;
        let _guard = side_files::lock_directory(self.files.real());
        if !matches!(self.files.place(), Place::Moved | Place::Stripped) {
            // The file came back just now. The next attempt handles that.
            return Err(Hindrance::InUse);
        }
        let wal = self.files.own_wal();
        if let Some(wal) = wal
            && fs::metadata(wal)?.len() > 0
        {
            return Err(Hindrance::InUse);
        }
        for name in [self.files.own_shm(), wal].into_iter().flatten() {
            fs::remove_file(name)?;
        }
        Ok(())
    }
}

/// Copies the WAL into the file and truncates it.
fn empty_wal(conn: &Connection) -> Result<(), Hindrance> {
    let start = Instant::now();
    loop {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        // The first column says whether another connection prevented the checkpoint.
        let is_busy = match conn.query_row(checkpoint, [], |row| row.get::<_, bool>(0)) {
            Ok(is_busy) => is_busy,
            Err(error) if is_busy(&error) => true,
            Err(error) => return Err(error.into()),
        };
        if !is_busy {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(Hindrance::InUse);
        }
        thread::sleep(STEP);
    }
}

/// Takes the write lock of a file, wherever its name leads. Under this lock, only
/// the end of a run may be written.
fn hold(conn: &Connection) -> Result<Transaction<'_>, Hindrance> {
    let start = Instant::now();
    loop {
        match Transaction::new_unchecked(conn, TransactionBehavior::Immediate) {
            Err(error) if is_busy(&error) && start.elapsed() < PATIENCE => {
                thread::sleep(STEP);
            }
            held => return Ok(held?),
        }
    }
}

impl Hindrance {
    /// Returns whether the old file is damaged, so that waiting does not help.
    pub(crate) fn is_damage(&self) -> bool {
        let code = match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        };
        matches!(
            code,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
    }
}

impl From<rusqlite::Error> for Hindrance {
    fn from(error: rusqlite::Error) -> Self {
        match is_busy(&error) {
            true => Self::InUse,
            false => Self::Sqlite(error),
        }
    }
}

impl From<io::Error> for Hindrance {
    fn from(error: io::Error) -> Self {
        Self::Name(error)
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the file was moved, removed or replaced, and cannot be left yet: committed rows are \
             still in its WAL, ",
        )?;
        match self {
            Self::InUse => f.write_str(
                "and another connection, such as a reader with an open transaction, keeps them \
                 there; end it",
            ),
            Self::Sqlite(error) => write!(f, "and copying them into the file fails: {error}"),
            Self::Name(error) => write!(f, "or its side files cannot be removed: {error}"),
        }
    }
}
