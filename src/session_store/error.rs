use std::error::Error;
use std::fmt;

/// The result of a [`SessionStore`](super::SessionStore) call.
pub type Result<T> = std::result::Result<T, SessionStoreError>;

/// Why a [`SessionStore`](super::SessionStore) call failed.
///
/// No message contains a session id or the content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionStoreError {
    /// The record cannot be encoded for storage.
    Encode(String),
    /// The stored data cannot be decoded as a record.
    Decode(String),
    /// The storage failed.
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
