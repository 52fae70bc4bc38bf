//! Wall-clock time as the file stores it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the unix epoch, UTC; 0 for a clock before it.
pub(crate) fn unix_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
