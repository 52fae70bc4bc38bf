//! The slowest requests.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::time::Duration;

use rusqlite::OptionalExtension;

use super::Reader;
use super::conditions::Conditions;
use super::error::QueryError;
use super::filter::RequestFilter;
use super::plan::{self, AccessPath};
use super::reader::Source;
use super::request::Request;
use super::requests::select;
use super::session_requests::{SessionRequests, Sessions};

/// The class of a latency, as in `idx_requests_slow`: its magnitude and first digit.
const CLASS: &str = "CASE WHEN latency_us < 1000 THEN latency_us / 100 - 10
         WHEN latency_us < 10000 THEN latency_us / 1000
         WHEN latency_us < 100000 THEN 10 + latency_us / 10000
         WHEN latency_us < 1000000 THEN 20 + latency_us / 100000
         WHEN latency_us < 10000000 THEN 30 + latency_us / 1000000
         ELSE 40 + latency_us / 10000000 END";

impl Reader {
    /// Returns the slowest `limit` requests that the filter takes and that took
    /// `threshold` or longer, slowest first.
    ///
    /// Streams that stay open as long as the client listens (`stream_end`) are left out.
    pub fn slow(
        &self,
        filter: &RequestFilter,
        threshold: Duration,
        limit: usize,
    ) -> Result<Vec<Request>, QueryError> {
        let threshold_us = i64::try_from(threshold.as_micros()).unwrap_or(i64::MAX);
        self.read(|source| slow(source, filter, threshold_us, limit))
    }
}

fn slow(
    source: &Source<'_>,
    filter: &RequestFilter,
    threshold_us: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let mut conditions = Conditions::new(filter, source);
    let path = plan::slowest(source, &conditions, filter)?;
    let columns = Request::COLUMNS;
    let threshold = conditions.bind(threshold_us);
    let left = conditions.bind(limit as i64);
    let rest = format!("+latency_us >= {threshold} AND end_reason IS NOT 'stream_end'");
    let order = format!("ORDER BY latency_us DESC, id DESC LIMIT {left}");
    let statement = |found: String| format!("SELECT {columns} FROM {found} AND {rest} {order}");
    let found = match path {
        AccessPath::Time => conditions.by_time(),
        AccessPath::Index(place) => conditions.by_index(place),
        AccessPath::Sessions(sessions) => {
            return by_session(source, &mut conditions, statement, sessions, limit);
        }
        AccessPath::LatencyClasses => {
            return by_class(source, &mut conditions, statement, threshold_us, limit);
        }
        AccessPath::LatencyOfServer => {
            let proxy = conditions.bind(filter.server_name.clone());
            format!("requests WHERE proxy = {proxy} AND {}", conditions.checks())
        }
    };
    select(source, &conditions, &statement(found))
}

/// Reads session after session.
fn by_session(
    source: &Source<'_>,
    conditions: &mut Conditions,
    statement: impl Fn(String) -> String,
    sessions: Sessions<'_>,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let session = conditions.bind(String::new());
    let seek = SessionRequests::seek(&session);
    let sql = statement(format!("requests WHERE {seek} AND {}", conditions.checks()));
    let mut found: Vec<Request> = Vec::new();
    sessions.each(source, |session| {
        conditions.set_last(session.session);
        found.extend(select(source, conditions, &sql)?);
        found.sort_unstable_by_key(|row| Reverse((row.latency_us, row.id)));
        found.truncate(limit);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Reads class after class, from the slowest, until there are enough rows.
///
/// Another program may have written a latency that is not a whole number. Its class is
/// not one either, and is read together with the whole class below it.
fn by_class(
    source: &Source<'_>,
    conditions: &mut Conditions,
    statement: impl Fn(String) -> String,
    threshold_us: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let mut below = source.conn.prepare_cached(&format!(
        "SELECT {CLASS} FROM requests WHERE {CLASS} < ?1 ORDER BY {CLASS} DESC LIMIT 1"
    ))?;
    let lowest: f64 = source.conn.query_row(
        &format!("SELECT {CLASS} FROM (SELECT ?1 AS latency_us)"),
        [threshold_us],
        |row| row.get(0),
    )?;
    let class = conditions.bind(0.0);
    let whole = statement(conditions.by_seek(&format!("{CLASS} = {class}")));
    // The loop has read every class above this one.
    let between = format!("{CLASS} > {class} AND {CLASS} < {class} + 1");
    let between = statement(conditions.by_seek(&between));
    let mut found: Vec<Request> = Vec::new();
    let mut above = f64::INFINITY;
    while found.len() < limit {
        let next: Option<f64> = below.query_row([above], |row| row.get(0)).optional()?;
        let Some(next) = next.filter(|next| *next >= lowest) else {
            break;
        };
        above = next.floor();
        conditions.set_last(above);
        let mut of_class = select(source, conditions, &whole)?;
        if next > above {
            of_class.extend(select(source, conditions, &between)?);
            of_class.sort_by_key(|row| Reverse((row.latency_us, row.id)));
        }
        found.extend(of_class);
    }
    found.truncate(limit);
    Ok(found)
}
