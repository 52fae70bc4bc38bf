use std::fmt;

/// What the writer of a [`Store`](crate::Store) is able to do right now.
///
/// Whatever it is, [`record`](crate::Store::record) can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreState {
    /// The file is being opened for the first time.
    Opening,
    /// Events are written.
    Ready,
    /// The file cannot be opened or written to; events wait in the queue while the writer tries again.
    Failing {
        /// What stands in the way.
        reason: String,
    },
    /// The store was shut down; events are dropped and counted.
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
