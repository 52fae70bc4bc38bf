//! Wall-clock time as the file stores it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns milliseconds since the unix epoch, UTC; 0 for a clock before it.
pub(crate) fn unix_ms() -> i64 {
    to_unix_ms(SystemTime::now())
}

/// How far ahead of the clock a time may lie, in milliseconds, because the clock may be
/// set back a little. A later time comes from a clock that was ahead.
pub(crate) const TOLERANCE_MS: i64 = 60_000;

/// Returns the latest time that a row may have, if the clock was right.
pub(crate) fn latest_ms() -> i64 {
    unix_ms().saturating_add(TOLERANCE_MS)
}

/// Returns the millisecond that contains `time`; 0 for a time before the epoch.
pub(crate) fn to_unix_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, to_ms)
}

/// Returns the beginning of that millisecond; the epoch for one before it, or for one
/// that the system's clock cannot represent.
pub(crate) fn from_unix_ms(ms: i64) -> SystemTime {
    let since = Duration::from_millis(ms.try_into().unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// Converts a duration to milliseconds, up to the most that the file can hold.
pub(crate) fn to_ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
