use std::error::Error;
use std::fmt;

/// What a [`SessionStore`](super::SessionStore) gives.
pub type Result<T> = std::result::Result<T, SessionStoreError>;

/// Why a [`SessionStore`](super::SessionStore) did not do what it was asked.
///
/// No message holds a session id or the content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionStoreError {
    /// The record cannot be put into the form that is kept.
    Encode(String),
    /// What is kept cannot be read as a record.
    Decode(String),
    /// The storage did not do its part.
    Backend(String),
}

impl fmt::Display for SessionStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(reason) => write!(f, "encode error: {reason}"),
            Self::Decode(reason) => write!(f, "decode error: {reason}"),
            Self::Backend(reason) => write!(f, "backend error: {reason}"),
        }
    }
}

impl Error for SessionStoreError {}
