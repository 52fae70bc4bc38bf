use std::fmt;

/// What the writer thread of a [`Store`](crate::Store) can do now.
///
/// [`record`](crate::Store::record) can be called in every state.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreState {
    /// The file is being opened for the first time.
    Opening,
    /// Events are written.
    Ready,
    /// The file cannot be opened or written to. Events wait in the queue, and the
    /// writer thread retries.
    Failing {
        /// The error of the last attempt.
        reason: String,
    },
    /// The store was shut down. Events are dropped and counted.
    Closed,
}

impl fmt::Display for StoreState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening => f.write_str("opening"),
            Self::Ready => f.write_str("ready"),
            Self::Failing { reason } => write!(f, "failing: {reason}"),
            Self::Closed => f.write_str("closed"),
        }
    }
}
