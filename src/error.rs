//! The error of opening a file, and what all errors of the crate share.
//!
//! Each operation has one opaque error type. `kind()` says why it failed, and
//! `source()` holds the cause; no type of a dependency is part of the API.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

pub(crate) type Source = Box<dyn Error + Send + Sync + 'static>;

/// Why [`Store::open`](crate::Store::open) or [`Reader::open`](crate::query::Reader::open)
/// did not open a file.
///
/// A file that is refused is left as it was. The message says what was found, what
/// was expected and what can be done. [`source`](Error::source) holds the cause,
/// such as SQLite's error. The type of the cause is not part of the API.
#[derive(Debug)]
pub struct OpenError {
    kind: OpenErrorKind,
    path: PathBuf,
    detail: String,
    source: Option<Source>,
}

/// Why a file was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// There is no file, and only a [`Store`](crate::Store) makes one.
    NotFound,
    /// The path names a directory or something else that is no regular file.
    NotAFile,
    /// The file is not an SQLite database.
    NotADatabase,
    /// The file is an SQLite database, but damaged.
    Corrupt,
    /// The database belongs to something else: it has tables, but no readable `schema_version`.
    NotAStore,
    /// The file was brought to its version by another program, so its version number means something else.
    ForeignLineage,
    /// The file was written by a newer release of this crate.
    NewerVersion,
    /// The file is of a version before 4, which only opening it for writing migrates.
    OlderVersion,
    /// The tables lack columns or constraints of their version, or a build from before the
    /// release of their version made them.
    IncompatibleTables,
    /// The file was pulled from the database of a fleet, so it is only read.
    Pulled,
    /// A program was killed while it wrote to the file, and its rollback journal has to
    /// be rolled back first, which reading cannot do.
    HotJournal,
    /// The `-wal` or `-shm` file was removed while a program had the file open.
    WalMissing,
    /// Another program held a lock for as long as the opening waited.
    Locked,
    /// The file was moved, removed or replaced while it was being opened.
    Displaced,
    /// The file or its directory cannot be created, opened or written.
    Unwritable,
    /// The file is of an older version and could not be migrated; it is as it was.
    MigrationFailed,
    /// Anything else, such as a full disk.
    Other,
}

impl OpenError {
    pub(crate) fn new(kind: OpenErrorKind, path: &Path, detail: impl Into<String>) -> Self {
        Self {
            kind,
            path: path.to_owned(),
            detail: detail.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns why the file was not opened.
    pub fn kind(&self) -> OpenErrorKind {
        self.kind
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot open the store {}: {}",
            self.path.display(),
            self.detail
        )
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Returns an error and all its causes in one line, for logs and states.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
