//! Wall-clock time as the file stores it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since the unix epoch, UTC; 0 for a clock before it.
pub(crate) fn unix_ms() -> i64 {
    to_unix_ms(SystemTime::now())
}

/// How far ahead of the clock a time may lie, in milliseconds: the clock may be
/// set back a little. What is later was dated by a clock that was ahead.
pub(crate) const TOLERANCE_MS: i64 = 60_000;

/// The latest time that a row may have, if the clock was right.
pub(crate) fn latest_ms() -> i64 {
    unix_ms().saturating_add(TOLERANCE_MS)
}

/// The millisecond that `time` is in; 0 for one before the epoch.
pub(crate) fn to_unix_ms(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, to_ms)
}

/// The beginning of that millisecond; the epoch for one before it, or one that
/// is too late for the system's clock.
pub(crate) fn from_unix_ms(ms: i64) -> SystemTime {
    let since = Duration::from_millis(ms.try_into().unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// As many milliseconds as the file can hold.
pub(crate) fn to_ms(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}
