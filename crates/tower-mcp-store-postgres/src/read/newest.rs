//! The newest requests.

use std::time::SystemTime;

use tower_mcp_store::query::RequestFilter;

use super::snapshot::Snapshot;
use super::statement::Statement;
use super::{FleetRequest, conditions, select};
use crate::error::PostgresError;

const DAY: i64 = 86_400_000;

/// For how many days before now to look, one after the other, before all others.
///
/// The requests are usually in the partitions of the last days. To plan a statement over all of
/// them takes longer than to run it.
const DAYS: [i64; 2] = [1, 8];

/// Returns the newest requests, newest first.
pub(super) fn newest(
    snapshot: &Snapshot<'_>,
    filter: &RequestFilter,
    limit: usize,
) -> Result<Vec<FleetRequest>, PostgresError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_millis() as i64);
    let mut found = Vec::new();
    let mut filter = filter.clone();
    let whole = filter.window;
    for since in DAYS
        .map(|days| now - days * DAY)
        .into_iter()
        .chain([i64::MIN])
    {
        filter.window.since = since.max(whole.since);
        if filter.window.since < filter.window.until {
            let statement = conditions::of(&filter, snapshot)?;
            found.extend(newest_of(snapshot, statement, limit - found.len())?);
        }
        if found.len() >= limit || since <= whole.since {
            break;
        }
        filter.window.until = whole.until.min(since);
    }
    Ok(found)
}

/// Returns the newest requests that meet conditions, newest first.
pub(super) fn newest_of(
    snapshot: &Snapshot<'_>,
    mut statement: Statement,
    limit: usize,
) -> Result<Vec<FleetRequest>, PostgresError> {
    let limit = statement.bind_limit(limit);
    let order = format!("ORDER BY ts DESC, id DESC, requests.store_id DESC LIMIT {limit}");
    select(snapshot, statement, &order)
}
