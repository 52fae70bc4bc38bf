use std::fmt;

use rusqlite::ErrorCode;

use super::busy::is_busy;

/// Why something was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The row can never be written; all other rows can.
    Row(rusqlite::Error),
    /// The file cannot be written now.
    Store(rusqlite::Error),
    /// The file or its side files were moved, removed or replaced.
    Replaced,
}

impl WriteError {
    /// Returns whether another connection may help. It does not if another connection
    /// holds a lock, or if the disk is full.
    pub(crate) fn is_of_connection(&self) -> bool {
        self.sqlite().is_some_and(|error| {
            error.sqlite_error_code() != Some(ErrorCode::DiskFull) && !is_busy(error)
        })
    }

    /// Returns whether another connection holds a lock.
    pub(crate) fn is_busy(&self) -> bool {
        self.sqlite().is_some_and(is_busy)
    }

    fn sqlite(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::Row(error) | Self::Store(error) => Some(error),
            Self::Replaced => None,
        }
    }
}

impl std::error::Error for WriteError {}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Self::Row(error)
            }
            _ => Self::Store(error),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = self.sqlite() else {
            return f.write_str("the file was moved, removed or replaced meanwhile");
        };
        match error {
            // The statement does not help a reader of the log.
            rusqlite::Error::SqlInputError { msg, .. } => f.write_str(msg)?,
            error => error.fmt(f)?,
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                f.write_str("; move the file away and a new one is begun in its place")
            }
            _ => Ok(()),
        }
    }
}
