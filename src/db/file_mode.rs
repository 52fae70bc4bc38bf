//! Which users may read the files of a store.

use std::fs::{self, OpenOptions};
use std::path::Path;

/// Which users besides the owner may read a new file. The umask applies, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileMode {
    /// Mode 0600.
    Owner,
    /// Mode 0640. SQLite gives the side files the mode of the database.
    Group,
}

impl FileMode {
    /// Returns the mode of a database, for the files beside it.
    pub(super) fn of(database: &Path) -> Self {
        match fs::metadata(database) {
            #[cfg(unix)]
            Ok(file) if std::os::unix::fs::MetadataExt::mode(&file) & 0o040 != 0 => Self::Group,
            _ => Self::Owner,
        }
    }

    /// Has a file that is created with these options get the mode.
    pub(super) fn apply(self, options: &mut OpenOptions) {
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(
            options,
            match self {
                Self::Owner => 0o600,
                Self::Group => 0o640,
            },
        );
        #[cfg(not(unix))]
        let _ = options;
    }
}
