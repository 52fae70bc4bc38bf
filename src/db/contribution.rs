//! How a row contributes to the counts of calls: one definition for cells and
//! statistics.
//!
//! A call is an operation, however many requests it takes. It counts at its
//! beginning. Its outcome and its latencies count at its end.

use rusqlite::types::ValueRef;
use rusqlite::{Result, Row};

use super::row::Lenient;
use crate::event::{EndReason, Outcome, RequestStatus};

/// The contribution of a row to the counts of its method and tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Contribution {
    pub(crate) outcome: Outcome,
    /// 1 if an operation began with it.
    pub(crate) calls: i64,
    /// 1 if an operation ended with it.
    pub(crate) ended: i64,
    /// The sum of the latencies of all requests of the operation that ended with it. A
    /// task has none, and neither has a stream that is open as long as the client
    /// listens.
    pub(crate) server_us: Option<i64>,
    /// The time from the first request of that operation to its end.
    pub(crate) wall_us: Option<i64>,
}

impl Contribution {
    /// The columns of `requests` that [`read`](Self::read) reads.
    pub(crate) const COLUMNS: &str = "status, tool_error, end_reason, error_code, http_status,
        latency_us, leg, operation_us,
        CASE WHEN leg > 1 AND operation_us IS NOT NULL THEN ts - (
            SELECT first.ts FROM requests AS first WHERE first.request_id = requests.operation_id
        ) END";

    /// Reads a row of `requests` whose columns begin at `at`.
    pub(crate) fn read(row: &Row<'_>, at: usize) -> Result<Self> {
        Self::of_values(|column| row.get_ref(at + column))
    }

    /// Reads a row by the values of [`COLUMNS`](Self::COLUMNS), by their places.
    pub(crate) fn of_values<'v, E>(
        value: impl Fn(usize) -> std::result::Result<ValueRef<'v>, E>,
    ) -> std::result::Result<Self, E> {
        let number = |column| value(column).map(Option::<i64>::read);
        let end_reason: Option<EndReason> = Lenient::read(value(2)?);
        let outcome = Outcome::of(
            RequestStatus::read(value(0)?),
            bool::read(value(1)?),
            end_reason,
            match value(3)? {
                ValueRef::Text(code) => str::from_utf8(code).ok(),
                _ => None,
            },
            number(4)?,
        );
        let latency_us = number(5)?.unwrap_or_default();
        let leg = number(6)?;
        let operation_us = leg.and(number(7)?);
        let is_end = match leg {
            None => outcome.is_final(),
            Some(_) => operation_us.is_some(),
        };
        let server_us = operation_us.unwrap_or(latency_us);
        let mut wall_us = server_us;
        if let Some(since_first) = number(8)? {
            let wall = since_first.saturating_mul(1000).saturating_add(latency_us);
            wall_us = wall_us.max(wall);
        }
        let has_latency = is_end && end_reason != Some(EndReason::StreamEnd);
        Ok(Self {
            outcome,
            calls: i64::from(leg.is_none_or(|leg| leg == 1)),
            ended: i64::from(is_end),
            server_us: has_latency.then_some(server_us),
            wall_us: has_latency.then_some(wall_us),
        })
    }

    /// Returns the contribution of the end of a task whose first request came at
    /// `first_ts`.
    pub(crate) fn of_task(outcome: Outcome, first_ts: i64, ended_ts: i64) -> Self {
        Self {
            outcome,
            calls: 0,
            ended: 1,
            server_us: None,
            wall_us: Some(
                ended_ts
                    .saturating_sub(first_ts)
                    .saturating_mul(1000)
                    .max(0),
            ),
        }
    }
}
