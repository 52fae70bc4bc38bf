//! Errors of queries.

use std::error::Error;
use std::fmt;

use crate::error::{OpenError, Source};

/// The error of a query.
///
/// [`kind`](Self::kind) says why the query failed. [`source`](Error::source) holds the
/// cause, such as SQLite's error. The type of the cause is not part of the API. An error
/// of the caller's statement has no source: its message is that of SQLite.
#[derive(Debug)]
pub struct QueryError {
    kind: QueryErrorKind,
    detail: String,
    source: Option<Source>,
    position: Option<usize>,
}

/// Why a query failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QueryErrorKind {
    /// SQLite cannot read the file, for example because it is damaged.
    Unreadable,
    /// The file was replaced, and cannot be opened again. The source is an
    /// [`OpenError`].
    NotOpened,
    /// SQLite cannot run the statement that was given to [`Reader::sql`](super::Reader::sql).
    Statement,
    /// The statement that was given to [`Reader::sql`](super::Reader::sql) writes.
    StatementWrites,
    /// The file holds hashes of session ids under a key that the reader does not have. See
    /// [`Reader::with_shared_key`](super::Reader::with_shared_key).
    KeyMissing,
    /// A writer opened a file that no program had open, so the rows may be of several
    /// moments. Query again.
    Interrupted,
}

impl QueryError {
    pub(super) fn new(kind: QueryErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            source: None,
            position: None,
        }
    }

    pub(super) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn with_position(mut self, position: Option<usize>) -> Self {
        self.position = position;
        self
    }

    /// Returns where in the statement that was given to [`Reader::sql`](super::Reader::sql)
    /// SQLite found the error: the index of a byte. It is `None` if SQLite does not know it.
    pub fn position(&self) -> Option<usize> {
        self.position
    }

    /// Returns why the query failed.
    pub fn kind(&self) -> QueryErrorKind {
        self.kind
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for QueryError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<OpenError> for QueryError {
    fn from(error: OpenError) -> Self {
        let detail = "the store can no longer be opened";
        Self::new(QueryErrorKind::NotOpened, detail).with_source(error)
    }
}
