use std::error::Error;
use std::fmt;

/// The result of an [`EventStore`](super::EventStore) call.
pub type Result<T> = std::result::Result<T, EventStoreError>;

/// Why an [`EventStore`](super::EventStore) call failed.
///
/// No message contains a session id or the data of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventStoreError {
    /// The event cannot be encoded for storage.
    Encode(String),
    /// The stored data cannot be decoded as an event.
    Decode(String),
    /// The storage failed.
    Backend(String),
}

impl fmt::Display for EventStoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encode(reason) => write!(f, "encode error: {reason}"),
            Self::Decode(reason) => write!(f, "decode error: {reason}"),
            Self::Backend(reason) => write!(f, "backend error: {reason}"),
        }
    }
}

impl Error for EventStoreError {}
