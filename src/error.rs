//! One error type per operation. Causes are kept as `source()`; no type of a
//! dependency is named.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::store::Stats;

pub(crate) type Source = Box<dyn Error + Send + Sync + 'static>;

/// Why [`Store::open`](crate::Store::open) or [`Reader::open`](crate::query::Reader::open)
/// did not open a file.
///
/// A file that is refused has not been touched. The message says what was
/// found, what was expected and what can be done; [`source`](Error::source)
/// holds the cause where another error is one.
#[derive(Debug)]
pub struct OpenError {
    kind: OpenErrorKind,
    path: PathBuf,
    detail: String,
    source: Option<Source>,
}

/// What kind of obstacle an [`OpenError`] met.
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
    /// The tables lack columns or constraints of their version.
    IncompatibleTables,
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

    /// What kind of obstacle it was.
    pub fn kind(&self) -> OpenErrorKind {
        self.kind
    }

    /// The file that was to be opened.
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

/// Work on a file that could not be ended; what was done until then is done.
///
/// [`source`](Error::source) holds SQLite's error.
#[derive(Debug)]
pub struct MaintenanceError {
    path: PathBuf,
    source: Source,
}

impl MaintenanceError {
    pub(crate) fn new(path: &Path, source: impl Into<Source>) -> Self {
        Self {
            path: path.to_owned(),
            source: source.into(),
        }
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

/// [`Store::flush`](crate::Store::flush) ran out of time.
///
/// The events stay queued and are written as soon as that is possible.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FlushError {
    /// How many events were queued when the time was up.
    pub queued: u64,
    /// What keeps the writer from writing, where it is known.
    pub reason: Option<String>,
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out with {} events still queued", self.queued)?;
        with_reason(f, self.reason.as_deref())
    }
}

impl Error for FlushError {}

/// [`Store::shutdown`](crate::Store::shutdown) could not write everything in time.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShutdownError {
    /// The statistics when the time was up. The events that were given up are
    /// among the `dropped`; any that are `queued` are held by a writer that is
    /// stuck in the operating system.
    pub stats: Stats,
    /// How many events were given up.
    pub lost: u64,
    /// What kept the writer from writing, where it is known.
    pub reason: Option<String>,
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stats.queued > 0 {
            let queued = self.stats.queued;
            write!(f, "the writer did not end in time, {queued} events queued")?;
        } else {
            let lost = self.lost;
            write!(f, "{lost} events could not be written in time")?;
        }
        with_reason(f, self.reason.as_deref())
    }
}

impl Error for ShutdownError {}

fn with_reason(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    match reason {
        Some(reason) => write!(f, ": {reason}"),
        None => Ok(()),
    }
}

/// An error and all its causes in one line, for logs and states.
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
