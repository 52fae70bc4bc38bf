//! Who else writes to the same database right now.
//!
//! Every writer holds a shared lock of the operating system on the side file
//! `<database>-lock` for as long as it lives. Who gets the exclusive lock
//! therefore knows that every run in `writers` without an end is that of a
//! writer that died. The side file stays: removing it would race with a writer
//! that has just opened it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long to sleep between two attempts at a lock that another writer holds
/// while it opens the file.
const STEP: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub(super) struct WriterLock {
    file: File,
    /// Nobody else writes, and nobody can begin to before [`share`](Self::share).
    pub(super) alone: bool,
}

impl WriterLock {
    /// `None` where the file system has no locks: then nothing can be told of
    /// other writers.
    pub(super) fn acquire(database: &Path, patience: Duration) -> Option<Self> {
        let file = open(&super::read_only::sidecar(database, "-lock")).ok()?;
        match file.try_lock() {
            Ok(()) => Some(Self { file, alone: true }),
            Err(TryLockError::WouldBlock) => {
                shared(&file, patience).then_some(Self { file, alone: false })
            }
            Err(TryLockError::Error(_)) => None,
        }
    }

    /// Lets other writers in. `None` where the lock could not be kept.
    ///
    /// Between the two locks another opener may find the file free, so the run
    /// is entered in the file only after this.
    pub(super) fn share(mut self, patience: Duration) -> Option<Self> {
        if self.alone {
            self.file.unlock().ok()?;
            self.alone = false;
            if !shared(&self.file, patience) {
                return None;
            }
        }
        Some(self)
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn shared(file: &File, patience: Duration) -> bool {
    let start = Instant::now();
    loop {
        match file.try_lock_shared() {
            Ok(()) => return true,
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                std::thread::sleep(STEP);
            }
            Err(_) => return false,
        }
    }
}
