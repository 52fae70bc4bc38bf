//! Removal of old rows.

use std::time::{Duration, SystemTime};

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::partitions;
use crate::error::PostgresError;

const DAY: Duration = Duration::from_secs(86_400);

/// How long rows stay in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FleetRetention {
    requests: Duration,
    hours: Duration,
    days: Duration,
}

impl Default for FleetRetention {
    /// 30 days of requests, 60 days of hourly statistics, and 400 days of daily statistics, as
    /// in a file.
    fn default() -> Self {
        Self {
            requests: 30 * DAY,
            hours: 60 * DAY,
            days: 400 * DAY,
        }
    }
}

impl FleetRetention {
    /// Sets how long requests, sessions, tasks, losses and runs of writers stay. Requests are
    /// removed by whole days.
    #[must_use]
    pub fn requests(mut self, age: Duration) -> Self {
        self.requests = age;
        self
    }

    /// Sets how long hourly statistics stay.
    #[must_use]
    pub fn hourly_statistics(mut self, age: Duration) -> Self {
        self.hours = age;
        self
    }

    /// Sets how long daily statistics stay.
    #[must_use]
    pub fn daily_statistics(mut self, age: Duration) -> Self {
        self.days = age;
        self
    }
}

/// The number of removed partitions and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removed {
    /// Partitions of requests, each of a day.
    pub partitions: u64,
    /// Rows of all tables, without the rows of dropped partitions.
    pub rows: u64,
}

/// Rows that are older than the requests.
const WITH_REQUESTS: [&str; 5] = [
    "DELETE FROM requests_default WHERE ts < $1",
    "DELETE FROM store_sessions WHERE last_seen_at < $1",
    "DELETE FROM tasks WHERE coalesce(ended_ts, updated_ts) < $1",
    "DELETE FROM losses WHERE to_ts < $1",
    "DELETE FROM writers WHERE coalesce(ended_at, seen_at) < $1",
];
const CELLS: [&str; 2] = [
    "DELETE FROM rollup_buckets WHERE width = $2 AND start < $1",
    "DELETE FROM request_rollups WHERE width = $2 AND start < $1",
];
const HOUR_MS: i64 = 3_600_000;

const PRUNED: &str = "UPDATE mcp_store_meta SET
    requests_pruned_to = greatest(requests_pruned_to, $1),
    hours_pruned_to = greatest(hours_pruned_to, $2),
    days_pruned_to = greatest(days_pruned_to, $3)";

pub(super) async fn apply(
    tx: &Transaction<'_>,
    retention: &FleetRetention,
) -> Result<Removed, PostgresError> {
    let midnight = |ms: i64| ms - ms.rem_euclid(partitions::DAY_MS);
    let requests = midnight(ago(retention.requests));
    let hours = midnight(ago(retention.hours));
    let days = midnight(ago(retention.days));
    let partitions = partitions::drop_before(tx, requests).await?;
    let mut rows = 0;
    for sql in WITH_REQUESTS {
        let removed = tx.execute_typed(sql, &[(&requests, Type::INT8)]).await;
        rows += removed.map_err(PostgresError::of)?;
    }
    for (width, before) in [(HOUR_MS, hours), (partitions::DAY_MS, days)] {
        for sql in CELLS {
            let values = [(&before as _, Type::INT8), (&width as _, Type::INT8)];
            let removed = tx.execute_typed(sql, &values).await;
            rows += removed.map_err(PostgresError::of)?;
        }
    }
    let values = [requests, hours, days];
    let values = values.each_ref().map(|value| (value as _, Type::INT8));
    let noted = tx.execute_typed(PRUNED, &values).await;
    noted.map_err(PostgresError::of)?;
    Ok(Removed { partitions, rows })
}

/// Returns the time `age` before now, in unix milliseconds.
fn ago(age: Duration) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = now.unwrap_or_default().saturating_sub(age).as_millis();
    i64::try_from(ms).unwrap_or(i64::MAX)
}
