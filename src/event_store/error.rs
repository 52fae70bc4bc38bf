use std::error::Error;
use std::fmt;

/// What an [`EventStore`](super::EventStore) gives.
pub type Result<T> = std::result::Result<T, EventStoreError>;

/// Why an [`EventStore`](super::EventStore) did not do what it was asked.
///
/// No message holds a session id or the data of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventStoreError {
    /// The event cannot be put into the form that is kept.
    Encode(String),
    /// What is kept cannot be read as an event.
    Decode(String),
    /// The storage did not do its part.
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
