//! Counts of requests by any of their names.

#[cfg(feature = "outbox")]
pub(super) mod foreign;

use std::collections::{HashMap, HashSet};

use rusqlite::params_from_iter;
use rusqlite::types::ValueRef;

use super::Reader;
use super::conditions::Conditions;
use super::error::QueryError;
use super::filter::RequestFilter;
use super::plan;
use super::reader::Source;
use super::recorded::Recorded;
use super::request::CLIENT_NAME;
use crate::db::row::{Lenient, number};
use crate::event::{EndReason, Outcome, RequestStatus};
use crate::histogram::Histogram;

/// The property by which requests are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupBy {
    /// The server that recorded them.
    Server,
    /// Their JSON-RPC method.
    Method,
    /// The tool that they call.
    Tool,
    /// The name of their session's client.
    Client,
    /// Their authenticated caller.
    Principal,
    /// Their revision of MCP.
    Protocol,
    /// Their [`Outcome`].
    Outcome,
    /// Why they have no ordinary answer: the JSON-RPC error code, else the end reason, else the
    /// HTTP status, such as `HTTP 502`.
    Reason,
    /// The last of these unix milliseconds, which are in rising order, that is not later than
    /// the request.
    Time(Vec<i64>),
}

/// The requests that have the same names, and the calls that they belong to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Breakdown {
    /// The value of each [`GroupBy`], in order. A time is unix milliseconds as text.
    pub keys: Vec<Option<String>>,
    /// The number of calls that begin with one of them. A call counts once, however many
    /// requests it takes.
    pub calls: i64,
    /// All of them.
    pub requests: i64,
    /// Those with the outcome `error`.
    pub errors: i64,
    /// Those with the outcome `timeout`.
    pub timeouts: i64,
    /// Those with the outcome `tool_error`.
    pub tool_errors: i64,
    /// Those with the outcome `caller_error`.
    pub caller_errors: i64,
    /// Those with the outcome `gone`.
    pub gone: i64,
    /// The median latency in microseconds, within half a percent, as the next two.
    pub p50_us: Option<i64>,
    /// The latency that 95 % do not exceed.
    pub p95_us: Option<i64>,
    /// The latency that 99 % do not exceed.
    pub p99_us: Option<i64>,
    /// The highest latency.
    pub max_us: Option<i64>,
}

impl Reader {
    /// Counts the requests that a filter takes, by one or several of their names, those with
    /// the most calls first.
    ///
    /// It reads each of these requests, which takes about a microsecond each. Unlike
    /// [`stats`](Self::stats), it does not count removed requests. The latencies leave out
    /// streams that stay open as long as the client listens (`stream_end`), and requests
    /// after which their call continues. For the last request of a call, they have the sum of
    /// the latencies of all its requests.
    ///
    /// ```
    /// use tower_mcp_store::query::{GroupBy, Reader, RequestFilter};
    ///
    /// # fn count(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// let failed = RequestFilter::new().tool("search").outcomes(tower_mcp_store::Outcome::FAILURES);
    /// for group in reader.breakdown(&failed, &[GroupBy::Client])? {
    ///     println!("{:?}: {}", group.keys[0], group.calls);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn breakdown(
        &self,
        filter: &RequestFilter,
        by: &[GroupBy],
    ) -> Result<Vec<Breakdown>, QueryError> {
        self.read(|source| breakdown(source, filter, by))
    }
}

/// The reason of a request without an ordinary answer. SQLite and PostgreSQL understand it.
const REASON: &str = "CASE WHEN status <> 'ok' OR end_reason IS NOT NULL
    THEN coalesce(error_code, end_reason, 'HTTP ' || http_status) END";

/// The place of the first name in [`columns`].
const FIRST_NAME: usize = 9;

fn breakdown(
    source: &Source<'_>,
    filter: &RequestFilter,
    by: &[GroupBy],
) -> rusqlite::Result<Vec<Breakdown>> {
    let mut conditions = Conditions::new(filter, source)?;
    let found = plan::all(source, &mut conditions)?;
    let columns = columns(by, "leg", "operation_us", CLIENT_NAME);
    let mut groups = Groups::new(by);
    let mut seen = HashSet::new();
    for tables in &found {
        // Every bound value must have its parameter in the statement.
        let last = conditions.values().count();
        let sql = format!("SELECT {columns} FROM {tables} AND ?{last} IS ?{last}");
        let mut statement = source.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(conditions.values()))?;
        while let Some(row) = rows.next()? {
            // One request may be found by several values of a condition.
            if found.len() > 1 && !seen.insert(number(row, 0)?) {
                continue;
            }
            groups.add(|column| row.get_ref(column))?;
        }
    }
    Ok(groups.into_breakdowns())
}

/// Returns the columns that [`Groups`] reads. The arguments are expressions for the place of a
/// request in its operation, and for the name of its client.
fn columns(by: &[GroupBy], leg: &str, operation_us: &str, client_name: &str) -> String {
    let mut columns = format!(
        "id, ts, coalesce({operation_us}, latency_us), status, tool_error, end_reason, error_code,
         http_status, {leg}"
    );
    for by in by {
        columns.push_str(", ");
        columns.push_str(by.column().unwrap_or(client_name));
    }
    columns
}

/// Requests by their names.
#[derive(Debug)]
struct Groups<'b> {
    by: &'b [GroupBy],
    tallies: HashMap<Vec<Option<String>>, Tally>,
}

impl<'b> Groups<'b> {
    fn new(by: &'b [GroupBy]) -> Self {
        Self {
            by,
            tallies: HashMap::new(),
        }
    }

    /// Adds a request by the values of [`columns`], by their places.
    fn add<'v, E>(&mut self, value: impl Fn(usize) -> Result<ValueRef<'v>, E>) -> Result<(), E> {
        let end_reason: Option<Recorded<EndReason>> = Lenient::read(value(5)?);
        let end_reason = end_reason.and_then(|reason| reason.known());
        let error_code: Option<String> = Lenient::read(value(6)?);
        let outcome = Outcome::of(
            RequestStatus::read(value(3)?),
            bool::read(value(4)?),
            end_reason,
            error_code.as_deref(),
            Lenient::read(value(7)?),
        );
        let ts = i64::read(value(1)?);
        let mut keys = Vec::with_capacity(self.by.len());
        for (place, by) in (FIRST_NAME..).zip(self.by) {
            keys.push(match by {
                GroupBy::Time(starts) => start_of(starts, ts),
                GroupBy::Outcome => Some(outcome.as_str().to_owned()),
                _ => Lenient::read(value(place)?),
            });
        }
        let tally = self.tallies.entry(keys).or_default();
        let latency_us = (end_reason != Some(EndReason::StreamEnd)).then_some(value(2)?);
        tally.add(outcome, Lenient::read(value(8)?), latency_us.map(i64::read));
        Ok(())
    }

    /// Returns the groups, those with the most calls first.
    fn into_breakdowns(self) -> Vec<Breakdown> {
        let groups = self.tallies.into_iter();
        let mut groups: Vec<Breakdown> = groups
            .map(|(keys, tally)| tally.into_breakdown(keys))
            .collect();
        groups.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.keys.cmp(&b.keys)));
        groups
    }
}

/// Returns the last of the starts that is not later than a time.
fn start_of(starts: &[i64], ts: i64) -> Option<String> {
    let place = starts.partition_point(|start| *start <= ts);
    let start = place.checked_sub(1).and_then(|place| starts.get(place));
    start.map(i64::to_string)
}

impl GroupBy {
    /// Returns the column of the name, or a column that the name is computed from; `None` for the
    /// client, whose name is not in the table.
    fn column(&self) -> Option<&'static str> {
        Some(match self {
            Self::Server => "proxy",
            Self::Method => "method",
            Self::Tool => "tool",
            Self::Client => return None,
            Self::Principal => "principal",
            Self::Protocol => "protocol_version",
            Self::Outcome => "status",
            Self::Reason => REASON,
            Self::Time(_) => "ts",
        })
    }
}

#[derive(Debug, Default)]
struct Tally {
    calls: i64,
    requests: i64,
    outcomes: HashMap<Outcome, i64>,
    latencies: Histogram,
    max_us: Option<i64>,
}

impl Tally {
    fn add(&mut self, outcome: Outcome, leg: Option<i64>, latency_us: Option<i64>) {
        self.requests += 1;
        self.calls += i64::from(leg.unwrap_or(1) == 1);
        *self.outcomes.entry(outcome).or_default() += 1;
        let goes_on = matches!(outcome, Outcome::InputRequired | Outcome::Working);
        if let Some(latency) = latency_us.filter(|_| !goes_on) {
            let latency = latency.max(0);
            self.latencies.record(latency.unsigned_abs());
            self.max_us = self.max_us.max(Some(latency));
        }
    }

    fn into_breakdown(self, keys: Vec<Option<String>>) -> Breakdown {
        let count = |outcome| self.outcomes.get(&outcome).copied().unwrap_or(0);
        let quantile = |q| {
            let latency = self.latencies.quantile(q)?;
            Some(i64::try_from(latency).unwrap_or(i64::MAX).min(self.max_us?))
        };
        Breakdown {
            keys,
            calls: self.calls,
            requests: self.requests,
            errors: count(Outcome::Error),
            timeouts: count(Outcome::Timeout),
            tool_errors: count(Outcome::ToolError),
            caller_errors: count(Outcome::CallerError),
            gone: count(Outcome::Gone),
            p50_us: quantile(0.5),
            p95_us: quantile(0.95),
            p99_us: quantile(0.99),
            max_us: self.max_us,
        }
    }
}
