//! Why work on a file ended early.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::db::WriteError;
use crate::error::Source;

/// Work on a file that ended early. What was done before stays done.
///
/// [`kind`](Self::kind) says why. [`source`](Error::source) holds SQLite's error. The
/// type of the cause is not part of the API.
#[derive(Debug)]
pub struct MaintenanceError {
    kind: MaintenanceErrorKind,
    path: PathBuf,
    source: Source,
}

/// Why work on a file ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MaintenanceErrorKind {
    /// Another program held a lock for as long as the work waited.
    Locked,
    /// The file was moved, removed or replaced.
    Displaced,
    /// SQLite cannot read the file.
    Unreadable,
    /// SQLite cannot write to the file, for example because the disk is full.
    Unwritable,
}

impl MaintenanceError {
    pub(crate) fn unreadable(path: &Path, source: impl Into<Source>) -> Self {
        Self {
            kind: MaintenanceErrorKind::Unreadable,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn unwritable(path: &Path, error: WriteError) -> Self {
        let kind = match &error {
            WriteError::Replaced => MaintenanceErrorKind::Displaced,
            error if error.is_busy() => MaintenanceErrorKind::Locked,
            _ => MaintenanceErrorKind::Unwritable,
        };
        Self {
            kind,
            path: path.to_owned(),
            source: error.into(),
        }
    }

    /// Returns why the work ended.
    pub fn kind(&self) -> MaintenanceErrorKind {
        self.kind
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for MaintenanceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot work on the store {}", self.path.display())
    }
}

impl Error for MaintenanceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
