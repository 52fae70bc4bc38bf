//! The lock that keeps a second shipper from a file.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use super::super::file_mode::FileMode;
use super::super::read_only;
use super::super::sidecar::sidecar;
use crate::error::{OpenError, OpenErrorKind};

/// The end of the name of the locked file, which is beside the database and stays there.
const SUFFIX: &str = "-shipper";

/// Proves that no other shipper has the database open. The operating system releases the lock
/// when this is dropped, or the process ends.
#[derive(Debug)]
pub(crate) struct ShipperLock {
    _file: File,
}

impl ShipperLock {
    /// Takes the lock of the database at `path`.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let real = read_only::locate(path)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        FileMode::of(&real).apply(&mut options);
        let unwritable = |error| {
            let detail =
                "a file beside it cannot be written; check the permissions of its directory";
            OpenError::new(OpenErrorKind::Unwritable, path, detail).with_source(error)
        };
        let file = options.open(sidecar(&real, SUFFIX)).map_err(unwritable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(OpenError::new(
                OpenErrorKind::Locked,
                path,
                "another shipper has it open; one file has one shipper",
            )),
            Err(TryLockError::Error(error)) => Err(unwritable(error)),
        }
    }
}
