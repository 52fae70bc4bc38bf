//! Checkpoints the WAL beside the writer.
//!
//! By default SQLite checkpoints inside the commit that makes the WAL too long.
//! That commit, and its caller, then wait until megabytes are copied and synced
//! twice. Instead, a checkpoint thread with its own connection does it, which
//! blocks neither readers nor writers. But while others write, that thread never
//! reaches the end of the WAL, and SQLite restarts the WAL only from its end. So
//! the writer thread takes the last step itself, between two transactions, when
//! little is left.

mod wal;
mod worker;

use std::io;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use self::wal::{Salt, Wal};
use self::worker::Worker;
use super::files::OpenFiles;

/// How many pages the WAL grows by before it is checkpointed. A page that many
/// batches change is then copied to the file only once.
pub(super) const STEP: u32 = 4096;

/// The longest time until the next attempt, while a reader with an old snapshot
/// prevents a checkpoint.
const AGAIN: Duration = Duration::from_secs(1);

/// How many pages the writer thread checkpoints itself at any length of the WAL:
/// fewer than a large batch of events writes.
const REST: u32 = 256;

/// From the first length on, the writer thread checkpoints a whole step itself, so
/// that the WAL seldom outgrows the size to which SQLite cuts it. From the second
/// length on, it waits for the checkpoint thread, because the disk is slower than
/// the writer thread.
const LONG: u32 = STEP + STEP / 2;
const TOO_LONG: u32 = 4 * STEP;

/// How long it then waits after each transaction.
const PATIENCE: Duration = Duration::from_millis(250);

/// Checkpoints the WAL of one connection.
#[derive(Debug)]
pub(super) struct Checkpoints {
    files: OpenFiles,
    wal: Option<Wal>,
    salt: Salt,
    /// The length of the WAL at which the next checkpoint starts. After [`AGAIN`] it starts
    /// earlier.
    due: u32,
    asked: Instant,
    /// Started on demand.
    worker: Option<Worker>,
}

impl Checkpoints {
    /// Takes the checkpoints of a connection over from SQLite.
    pub(super) fn of(conn: &Connection, files: OpenFiles) -> rusqlite::Result<Self> {
        conn.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(Self {
            files,
            wal: None,
            salt: Salt::default(),
            due: STEP,
            asked: Instant::now(),
            worker: None,
        })
    }

    /// Checkpoints after a transaction of `conn`, if that is due.
    pub(super) fn advance(&mut self, conn: &Connection) {
        if let Err(error) = self.step(conn) {
            // SQLite fails on the same file and reports the error.
            tracing::debug!(%error, "the length of the WAL cannot be read");
            self.wal = None;
        }
    }

    fn step(&mut self, conn: &Connection) -> io::Result<()> {
        let wal = match &mut self.wal {
            Some(wal) => wal,
            empty => empty.insert(Wal::open(&self.files)?),
        };
        let salt = wal.salt()?;
        if salt != self.salt {
            // SQLite has restarted the WAL.
            self.salt = salt;
            self.due = STEP;
        }
        let is_due = wal.reaches(self.due)?
            || self.due > STEP && self.asked.elapsed() > AGAIN && wal.reaches(STEP)?;
        if is_due {
            while wal.reaches(self.due)? {
                self.due = self.due.saturating_add(STEP);
            }
            self.asked = Instant::now();
            if self.worker.is_none() {
                self.worker = Worker::start(self.files.clone())
                    .inspect_err(|error| tracing::debug!(%error, "no thread for checkpoints"))
                    .ok();
            }
            if !self.worker.as_mut().is_some_and(Worker::begin) {
                checkpoint(conn);
            }
        }
        let Some(worker) = &mut self.worker else {
            return Ok(());
        };
        let is_too_long = wal.reaches(TOO_LONG)?;
        let patience = match is_too_long {
            true => PATIENCE,
            false => Duration::ZERO,
        };
        if let Some(home) = worker.ended(patience) {
            let most = if wal.reaches(LONG)? { STEP } else { REST };
            if is_too_long || !wal.reaches(home.saturating_add(most))? {
                checkpoint(conn);
            }
        }
        Ok(())
    }

    /// Returns whether frames were added to the WAL since it was last emptied; `false`
    /// if that is not known.
    pub(super) fn has_frames(&self) -> bool {
        let wal = self.wal.as_ref();
        wal.is_some_and(|wal| wal.is_empty().is_ok_and(|is_empty| !is_empty))
    }

    /// Ends the thread and closes its connection.
    pub(super) fn stop(&mut self) {
        self.worker = None;
    }
}

/// Checkpoints as far as readers allow. Returns how many pages of the WAL are
/// checkpointed. If the checkpoint fails, as on a full disk, the pages stay safe in
/// the WAL.
fn checkpoint(conn: &Connection) -> Option<u32> {
    let home = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2));
    match home {
        // The number is negative while another process is checkpointing.
        Ok(home) => i64::try_into(home).ok(),
        Err(error) => {
            tracing::debug!(%error, "the WAL cannot be checkpointed");
            None
        }
    }
}

#[cfg(test)]
mod tests;
