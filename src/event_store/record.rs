use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// One event of an SSE stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventRecord {
    /// Increases within a session.
    pub id: u64,
    /// The message: JSON-RPC text.
    pub data: String,
    /// When the event was produced.
    pub timestamp: SystemTime,
}

impl EventRecord {
    /// Makes an event with the current time.
    pub fn new(id: u64, data: impl Into<String>) -> Self {
        Self {
            id,
            data: data.into(),
            timestamp: SystemTime::now(),
        }
    }
}
