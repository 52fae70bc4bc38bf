//! The newest requests.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use rusqlite::params_from_iter;

use super::Reader;
use super::conditions::Conditions;
use super::error::QueryError;
use super::filter::RequestFilter;
use super::plan::{self, AccessPath};
use super::reader::Source;
use super::request::Request;
use super::session_requests::{SessionRequests, Sessions};

/// A place in the order of [`Reader::requests`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// When the request was received.
    pub ts: i64,
    /// The row's number, which orders requests of the same millisecond.
    pub id: i64,
}

impl Request {
    /// Returns its place in the order of [`Reader::requests`].
    pub fn position(&self) -> Position {
        Position {
            ts: self.ts,
            id: self.id,
        }
    }
}

impl Reader {
    /// Returns the newest `limit` requests that the filter takes, newest first.
    ///
    /// With a position, it returns requests before that position. The
    /// [`position`](Request::position) of the last row of a page gives the next page.
    ///
    /// ```
    /// use tower_mcp_store::query::{RequestFilter, Reader};
    ///
    /// # fn pages(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// let first = reader.requests(&RequestFilter::new(), 50, None)?;
    /// let second = reader.requests(&RequestFilter::default(), 50, first.last().map(|row| row.position()))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn requests(
        &self,
        filter: &RequestFilter,
        limit: usize,
        before: Option<Position>,
    ) -> Result<Vec<Request>, QueryError> {
        self.read(|source| {
            let conditions = Conditions::new(filter, source)?;
            requests(source, conditions, limit, before)
        })
    }
}

/// Returns the newest requests with which an operation began. The outcomes of the filter
/// are those of the whole operation.
pub(super) fn first_requests(
    source: &Source<'_>,
    filter: &RequestFilter,
    limit: usize,
    before: Option<Position>,
) -> rusqlite::Result<Vec<Request>> {
    let conditions = Conditions::on_operations(filter, source)?;
    requests(source, conditions, limit, before)
}

fn requests(
    source: &Source<'_>,
    mut conditions: Conditions,
    limit: usize,
    before: Option<Position>,
) -> rusqlite::Result<Vec<Request>> {
    let mut bound = String::new();
    if let Some(Position { ts, id }) = before {
        conditions.end_at(ts.saturating_add(1));
        let (ts, id) = (conditions.bind(ts), conditions.bind(id));
        bound = format!(" AND (+ts < {ts} OR +id < {id})");
    }
    let columns = Request::COLUMNS;
    let found = match plan::newest(source, &mut conditions)? {
        AccessPath::Sessions(sessions) => {
            return of_sessions(source, &mut conditions, &bound, limit, &sessions);
        }
        AccessPath::Trace(seek) => {
            let checks = conditions.checks();
            let limit = conditions.bind(limit as i64);
            let order = format!("ORDER BY ts DESC, id DESC LIMIT {limit}");
            let found = format!("requests WHERE {seek} AND {checks}{bound} {order}");
            return select(
                source,
                &conditions,
                &format!("SELECT {columns} FROM {found}"),
            );
        }
        AccessPath::Index(place) => conditions.by_index(place),
        AccessPath::Time | AccessPath::LatencyClasses | AccessPath::LatencyOfServer => {
            vec![conditions.by_time()]
        }
    };
    let count = conditions.bind(limit as i64);
    let order = format!("ORDER BY hit_ts DESC, hit DESC LIMIT {count}");
    let mut rows: Vec<Request> = Vec::new();
    for hits in &found {
        let sql = format!("SELECT {columns} FROM {hits}{bound} {order}");
        rows.extend(select(source, &conditions, &sql)?);
        if found.len() > 1 {
            rows.sort_unstable_by_key(|row| Reverse(row.position()));
            rows.dedup_by_key(|row| row.id);
            rows.truncate(limit);
        }
        if let Some(oldest) = rows.last().filter(|_| rows.len() == limit) {
            conditions.begin_at(oldest.ts);
        }
    }
    Ok(rows)
}

/// Runs a statement that selects [`Request::COLUMNS`].
pub(super) fn select(
    source: &Source<'_>,
    conditions: &Conditions,
    sql: &str,
) -> rusqlite::Result<Vec<Request>> {
    source
        .conn
        .prepare_cached(sql)?
        .query_map(params_from_iter(conditions.values()), Request::from_row)?
        .collect()
}

/// Reads session after session, latest first, until no older one can have a newer row.
fn of_sessions(
    source: &Source<'_>,
    conditions: &mut Conditions,
    bound: &str,
    limit: usize,
    sessions: &Sessions,
) -> rusqlite::Result<Vec<Request>> {
    let columns = Request::COLUMNS;
    let checks = conditions.checks();
    let count = conditions.bind(limit as i64);
    let session = conditions.bind(String::new());
    let seek = SessionRequests::seek(&session);
    let sql = format!(
        "SELECT {columns} FROM requests WHERE {seek} AND {checks}{bound}
         ORDER BY ts DESC, id DESC LIMIT {count}"
    );
    let mut found: Vec<Request> = Vec::new();
    sessions.each(source, |session| {
        if found.len() >= limit && found.last().is_some_and(|row| row.ts > session.last_seen) {
            return Ok(ControlFlow::Break(()));
        }
        conditions.set_last(session.session);
        found.extend(select(source, conditions, &sql)?);
        found.sort_unstable_by_key(|row| Reverse(row.position()));
        found.truncate(limit);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}
