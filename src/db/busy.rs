//! Waiting for locks that other connections hold.

use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

/// How long an opening waits for each lock that another program holds.
pub(super) const OPEN_PATIENCE: Duration = Duration::from_secs(2);

/// The pause between two attempts of [`retry_while_busy`].
const POLL: Duration = Duration::from_micros(500);

/// Returns whether another connection holds a lock.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Retries `attempt` for up to `patience` while it fails because of a lock.
///
/// SQLite's own wait soon retries only ten times a second, and so misses the moment
/// in which a busy writer releases the lock. The busy handler of rusqlite needs
/// SQLite 3.44.
pub(super) fn retry_while_busy<T, E>(
    patience: Duration,
    is_locked: fn(&E) -> bool,
    mut attempt: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_locked(&error) && start.elapsed() < patience => {
                std::thread::sleep(POLL);
            }
            done => return done,
        }
    }
}
