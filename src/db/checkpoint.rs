//! Checkpoints the WAL beside the writer.
//!
//! By default SQLite checkpoints inside of the commit that makes the WAL too long.
//! That commit, and its caller, then wait for megabytes to be copied and synced
//! twice. Here a thread with its own connection checkpoints, which blocks neither
//! readers nor writers. But while others write, it never reaches the end of the WAL,
//! and SQLite restarts the WAL only from its end. So the writer takes the last step
//! itself, between two transactions, when little is left.

mod wal;
mod worker;

use std::io;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use self::wal::{Salt, Wal};
use self::worker::Worker;
use super::files::OpenFiles;

/// How many pages the WAL grows by before it is checkpointed. A page that many batches
/// write to is then copied to the file once for all of them.
pub(super) const STEP: u32 = 4096;

/// When that is tried again at the latest, while a reader with an old snapshot
/// keeps it from being done.
const AGAIN: Duration = Duration::from_secs(1);

/// What the writer takes upon itself at any length of the WAL, in pages: less
/// than what a large batch of events writes.
const REST: u32 = 256;

/// The length from which on it takes upon itself a whole step, so that the WAL
/// seldom outgrows what SQLite cuts it to, and that from which on it waits for
/// the thread: there the disk is slower than the writer.
const LONG: u32 = STEP + STEP / 2;
const TOO_LONG: u32 = 4 * STEP;

/// How long it waits then, after each transaction.
const PATIENCE: Duration = Duration::from_millis(250);

/// Who brings the WAL of one connection home.
#[derive(Debug)]
pub(super) struct Checkpoints {
    files: OpenFiles,
    wal: Option<Wal>,
    salt: Salt,
    /// The thread is asked next at this length, or when it is long after this.
    due: u32,
    asked: Instant,
    /// Started when it is first needed.
    worker: Option<Worker>,
}

impl Checkpoints {
    /// Takes them over from SQLite.
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

    /// Does after a transaction of `conn` what there is to do.
    pub(super) fn go_on(&mut self, conn: &Connection) {
        if let Err(error) = self.step(conn) {
            // The same file, on which SQLite fails too and tells so.
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

    /// Whether frames have been added to the WAL since it was last emptied.
    /// `false` also where that is not known.
    pub(super) fn has_frames(&self) -> bool {
        let wal = self.wal.as_ref();
        wal.is_some_and(|wal| wal.is_empty().is_ok_and(|is_empty| !is_empty))
    }

    /// Ends the thread and closes its connection.
    pub(super) fn stop(&mut self) {
        self.worker = None;
    }
}

/// Brings home what readers allow; how many pages of the WAL are. What stays
/// there because that fails, as on a full disk, is in no danger.
fn checkpoint(conn: &Connection) -> Option<u32> {
    let home = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(2));
    match home {
        // Negative where another process is at it.
        Ok(home) => i64::try_into(home).ok(),
        Err(error) => {
            tracing::debug!(%error, "the WAL cannot be checkpointed");
            None
        }
    }
}

#[cfg(test)]
mod tests;
