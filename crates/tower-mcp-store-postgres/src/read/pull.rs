//! Pulls the rows of all files to one file.
//!
//! All rows are of one moment of the database. Requests come first, in batches, and each batch
//! moves the cursors of its files in the same transaction. All else follows in one transaction.
//! So a pull that is killed leaves a file that the next pull completes.

mod operations;
mod others;
mod requests;
mod stores;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tower_mcp_store::pull::{Kept, PulledFile};
use tower_mcp_store::query::Value;
use tower_mcp_store::{MaintenanceError, OpenError, OpenErrorKind};

use super::FleetReader;
use super::snapshot::Snapshot;
use super::statement::Statement;
use crate::error::{PostgresError, PostgresErrorKind};
use crate::target::Target;
use stores::Stores;

/// The window of a pull begins with an hour, so that statistics that begin earlier are not
/// widened to whole hours.
const HOUR_MS: i64 = 3_600_000;

/// The result of a pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Pulled {
    /// The number of requests that were added to the file.
    pub new: u64,
    /// The number of files that the database has.
    pub stores: usize,
    /// The number of requests that the file has now; `None` if `progress` ended the pull early.
    pub requests: Option<i64>,
    /// When the oldest of them was received, in unix milliseconds.
    pub oldest_ts: Option<i64>,
    /// When the newest of them was received, in unix milliseconds.
    pub newest_ts: Option<i64>,
}

/// Makes the file at `path` from the database of a fleet, or brings it up to date.
///
/// The file then has the requests of all files of the database from `since` on, which is unix
/// milliseconds and begins with the hour that contains it; all of them if it is `None`. Older
/// requests are removed from the file. Everything that reads a file can read this one. Nothing
/// can be recorded to it, and it cannot be shipped. A new file has mode 0600.
///
/// `progress` is called with the number of requests that were added so far, and may end the
/// pull. The next one continues it.
///
/// It blocks the thread, and must not be called within a runtime of tokio.
///
/// # Errors
///
/// If the database does not answer, or if the file was not made by a pull from this database.
/// The kind is [`Busy`](PostgresErrorKind::Busy) if another pull has the file open.
pub fn pull(
    target: &Target,
    path: impl AsRef<Path>,
    since: Option<i64>,
    progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Pulled, PostgresError> {
    let mut reader = FleetReader::open(target)?;
    let file = PulledFile::open(path).map_err(not_opened)?;
    let since = since.map_or(i64::MIN, |at| at.saturating_sub(at.rem_euclid(HOUR_MS)));
    let at = unix_ms();
    let snapshot = reader.snapshot()?;
    let mut stores = Stores::read(&snapshot)?;
    let since = since.max(stores.removed_to);
    stores.compare(&snapshot, &file, since)?;
    let mut pulled = Pulled {
        new: 0,
        stores: stores.all.len(),
        requests: None,
        oldest_ts: None,
        newest_ts: None,
    };
    if requests::pull(
        &snapshot,
        &file,
        since,
        &mut stores,
        &mut pulled.new,
        progress,
    )?
    .is_break()
    {
        return Ok(pulled);
    }
    let kept = pull_others(&snapshot, &file, at, since, &stores)?;
    pulled.requests = Some(kept.requests);
    (pulled.oldest_ts, pulled.newest_ts) = (kept.oldest_ts, kept.newest_ts);
    Ok(pulled)
}

/// Pulls all rows but requests, and removes old ones.
fn pull_others(
    snapshot: &Snapshot<'_>,
    file: &PulledFile,
    at: i64,
    since: i64,
    stores: &Stores,
) -> Result<Kept, PostgresError> {
    let tx = file.begin().map_err(unwritable)?;
    operations::pull(snapshot, &tx, since)?;
    others::pull(snapshot, &tx, since)?;
    let keys = stores.key_fingerprints();
    tx.set_key_fingerprints(&keys).map_err(unwritable)?;
    let complete = stores.complete_from(since);
    let kept = tx.finish(at, since, complete).map_err(unwritable)?;
    tx.commit().map_err(unwritable)?;
    Ok(kept)
}

/// Calls `each` with the values of each row, until it fails.
fn try_each(
    snapshot: &Snapshot<'_>,
    sql: &str,
    statement: &Statement,
    mut each: impl FnMut(&[Value]) -> Result<(), MaintenanceError>,
) -> Result<(), PostgresError> {
    let mut done = Ok(());
    snapshot.each(sql, statement, |values| {
        if done.is_ok() {
            done = each(values);
        }
    })?;
    done.map_err(unwritable)
}

fn text(values: &[Value], at: usize) -> Option<&str> {
    match values.get(at) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn number(values: &[Value], at: usize) -> Option<i64> {
    match values.get(at) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    }
}

fn unwritable(error: MaintenanceError) -> PostgresError {
    PostgresError::new(
        PostgresErrorKind::File,
        "the file cannot be brought up to date",
    )
    .with_source(error)
}

fn not_opened(error: OpenError) -> PostgresError {
    let kind = match error.kind() {
        OpenErrorKind::Locked => PostgresErrorKind::Busy,
        _ => PostgresErrorKind::File,
    };
    PostgresError::new(kind, "the rows cannot be pulled to this file").with_source(error)
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}
