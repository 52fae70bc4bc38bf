//! Counts of requests by any of their names.

use std::collections::{HashMap, HashSet};

use rusqlite::{Row, params_from_iter};

use super::Reader;
use super::conditions::Conditions;
use super::error::QueryError;
use super::filter::RequestFilter;
use super::plan;
use super::reader::Source;
use super::recorded::Recorded;
use super::request::CLIENT_NAME;
use crate::db::outcome;
use crate::db::row::{Lenient, number, optional_number, optional_text};
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

/// The columns that a count reads before the names.
const COUNTED: &str = "id, ts, coalesce(operation_us, latency_us), status, tool_error, end_reason, \
    error_code, http_status, leg";

/// The reason of a request without an ordinary answer.
const REASON: &str = "iif(status = 'ok' AND end_reason IS NULL, NULL,
    coalesce(error_code, end_reason, 'HTTP ' || http_status))";

/// The number of these columns.
const FIRST_NAME: usize = 9;

fn breakdown(
    source: &Source<'_>,
    filter: &RequestFilter,
    by: &[GroupBy],
) -> rusqlite::Result<Vec<Breakdown>> {
    let mut conditions = Conditions::new(filter, source)?;
    let found = plan::all(source, &mut conditions)?;
    let names: String = by.iter().map(|by| format!(", {}", by.column())).collect();
    let mut groups: HashMap<Vec<Option<String>>, Tally> = HashMap::new();
    let mut seen = HashSet::new();
    for tables in &found {
        // Every bound value must have its parameter in the statement.
        let last = conditions.values().count();
        let sql = format!("SELECT {COUNTED}{names} FROM {tables} AND ?{last} IS ?{last}");
        let mut statement = source.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(conditions.values()))?;
        while let Some(row) = rows.next()? {
            // One request may be found by several values of a condition.
            if found.len() > 1 && !seen.insert(number(row, 0)?) {
                continue;
            }
            let keys = by.iter().enumerate().map(|(i, by)| by.key(row, i));
            let keys = keys.collect::<rusqlite::Result<_>>()?;
            groups.entry(keys).or_default().add(row)?;
        }
    }
    let mut groups: Vec<Breakdown> = groups
        .into_iter()
        .map(|(keys, tally)| tally.into_breakdown(keys))
        .collect();
    groups.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| a.keys.cmp(&b.keys)));
    Ok(groups)
}

impl GroupBy {
    fn column(&self) -> &'static str {
        match self {
            Self::Server => "proxy",
            Self::Method => "method",
            Self::Tool => "tool",
            Self::Client => CLIENT_NAME,
            Self::Principal => "principal",
            Self::Protocol => "protocol_version",
            Self::Outcome => outcome::OUTCOME,
            Self::Reason => REASON,
            Self::Time(_) => "ts",
        }
    }

    fn key(&self, row: &Row<'_>, place: usize) -> rusqlite::Result<Option<String>> {
        match self {
            Self::Time(starts) => {
                let ts = number(row, 1)?;
                let place = starts.partition_point(|start| *start <= ts);
                let start = place.checked_sub(1).and_then(|place| starts.get(place));
                Ok(start.map(i64::to_string))
            }
            _ => optional_text(row, FIRST_NAME + place),
        }
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
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let end_reason: Option<Recorded<EndReason>> = Lenient::read(row.get_ref(5)?);
        let end_reason = end_reason.and_then(|reason| reason.known());
        let outcome = Outcome::of(
            RequestStatus::read(row.get_ref(3)?),
            bool::read(row.get_ref(4)?),
            end_reason,
            optional_text(row, 6)?.as_deref(),
            optional_number(row, 7)?,
        );
        self.requests += 1;
        self.calls += i64::from(optional_number(row, 8)?.unwrap_or(1) == 1);
        *self.outcomes.entry(outcome).or_default() += 1;
        let goes_on = matches!(outcome, Outcome::InputRequired | Outcome::Working);
        if end_reason != Some(EndReason::StreamEnd) && !goes_on {
            let latency = number(row, 2)?.max(0);
            self.latencies.record(latency.unsigned_abs());
            self.max_us = self.max_us.max(Some(latency));
        }
        Ok(())
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
