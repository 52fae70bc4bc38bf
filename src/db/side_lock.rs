//! A lock on a small file beside a database, so that only one program at a time does some work.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::file_mode::FileMode;
use super::read_only;
use super::sidecar::sidecar;
use crate::error::{OpenError, OpenErrorKind};

/// Proves that no other program does the same work on a database. The operating system releases
/// the lock when this is dropped, or the process ends. The locked file stays.
#[derive(Debug)]
pub(crate) struct SideLock {
    _file: File,
}

impl SideLock {
    /// Takes the lock of the one shipper of the database at `path`.
    pub(crate) fn of_shipper(path: &Path) -> Result<Self, OpenError> {
        let held = "another shipper has it open; one file has one shipper";
        Self::take(path, "-shipper", held)
    }

    /// Takes the lock of the one pull into the database at `path`.
    pub(crate) fn of_pull(path: &Path) -> Result<Self, OpenError> {
        let held = "another pull is bringing it up to date; wait until it has ended";
        Self::take(path, "-puller", held)
    }

    /// Locks the file whose name is that of the database and `suffix`. The error says `held` if
    /// another program has the lock.
    fn take(path: &Path, suffix: &str, held: &str) -> Result<Self, OpenError> {
        let real = read_only::locate(path)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        FileMode::of(&real).apply(&mut options);
        let unwritable = |error| {
            let detail =
                "a file beside it cannot be written; check the permissions of its directory";
            OpenError::new(OpenErrorKind::Unwritable, path, detail).with_source(error)
        };
        let file = options.open(sidecar(&real, suffix)).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::new(OpenErrorKind::Locked, path, held)),
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }
}
