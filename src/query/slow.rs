//! The slowest requests.

use std::cmp::Reverse;
use std::mem;
use std::ops::ControlFlow;

use rusqlite::OptionalExtension;

use super::Reader;
use super::conditions::{Conditions, microseconds};
use super::error::QueryError;
use super::filter::RequestFilter;
use super::latency::{self, CLASS};
use super::plan::{self, AccessPath};
use super::reader::Source;
use super::request::Request;
use super::requests::select;
use super::session_requests::{SessionRequests, Sessions};

impl Reader {
    /// Returns the slowest `limit` requests that the filter takes, slowest first.
    ///
    /// Streams that stay open as long as the client listens (`stream_end`) are left out.
    pub fn slow(&self, filter: &RequestFilter, limit: usize) -> Result<Vec<Request>, QueryError> {
        // The classes of latency find these, and no other index needs to.
        let mut others = filter.clone();
        let threshold = others.min_latency.take().unwrap_or_default();
        self.read(|source| slow(source, &others, microseconds(threshold), limit))
    }
}

fn slow(
    source: &Source<'_>,
    filter: &RequestFilter,
    threshold_us: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let mut conditions = Conditions::new(filter, source)?;
    let path = plan::slowest(source, &conditions, filter)?;
    let columns = Request::COLUMNS;
    let threshold = conditions.bind(threshold_us);
    let left = conditions.bind(limit as i64);
    let rest = format!("+latency_us >= {threshold} AND end_reason IS NOT 'stream_end'");
    let order = format!("ORDER BY latency_us DESC, id DESC LIMIT {left}");
    let statement = |found: String| format!("SELECT {columns} FROM {found} AND {rest} {order}");
    let found = match path {
        AccessPath::Time => conditions.by_time(),
        AccessPath::Index(place) => {
            let mut found = Vec::new();
            for hits in conditions.by_index(place) {
                found.extend(select(source, &conditions, &statement(hits))?);
            }
            return Ok(slowest_of(found, limit));
        }
        AccessPath::Trace(seek) => format!("requests WHERE {seek} AND {}", conditions.checks()),
        AccessPath::Sessions(sessions) => {
            return by_session(source, &mut conditions, statement, &sessions, limit);
        }
        AccessPath::LatencyClasses => {
            return by_class(source, &mut conditions, statement, threshold_us, limit);
        }
        AccessPath::LatencyOfServer => {
            let server = conditions.bind(filter.server_name.clone());
            format!(
                "requests WHERE proxy = {server} AND {}",
                conditions.checks()
            )
        }
    };
    select(source, &conditions, &statement(found))
}

/// Reads session after session.
fn by_session(
    source: &Source<'_>,
    conditions: &mut Conditions,
    statement: impl Fn(String) -> String,
    sessions: &Sessions,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let session = conditions.bind(String::new());
    let seek = SessionRequests::seek(&session);
    let sql = statement(format!("requests WHERE {seek} AND {}", conditions.checks()));
    let mut found: Vec<Request> = Vec::new();
    sessions.each(source, |session| {
        conditions.set_last(session.session);
        found.extend(select(source, conditions, &sql)?);
        found = slowest_of(mem::take(&mut found), limit);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Returns the slowest `limit` of these rows, each of them once.
fn slowest_of(mut found: Vec<Request>, limit: usize) -> Vec<Request> {
    found.sort_unstable_by_key(|row| Reverse((row.latency_us, row.id)));
    found.dedup_by_key(|row| row.id);
    found.truncate(limit);
    found
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
    let lowest = latency::class(source, threshold_us)?;
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
