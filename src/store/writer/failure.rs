use crate::db::{Hindrance, WriteError};
use crate::error::{OpenError, OpenErrorKind, chain};

/// Why the writer thread cannot write now.
pub(super) struct WriteFailure {
    pub(super) reason: String,
    /// Another connection holds a lock, so a retry will help.
    pub(super) is_lock: bool,
}

impl From<OpenError> for WriteFailure {
    fn from(error: OpenError) -> Self {
        Self {
            reason: chain(&error),
            is_lock: error.kind() == OpenErrorKind::Locked,
        }
    }
}

impl From<WriteError> for WriteFailure {
    fn from(error: WriteError) -> Self {
        Self {
            reason: error.to_string(),
            is_lock: error.is_busy(),
        }
    }
}

impl From<Hindrance> for WriteFailure {
    fn from(hindrance: Hindrance) -> Self {
        Self {
            reason: hindrance.to_string(),
            // It is not treated as a lock, because the wait may be too long for commands.
            is_lock: false,
        }
    }
}
