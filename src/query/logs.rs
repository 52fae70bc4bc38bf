//! Requests by time.

use std::ops::ControlFlow;

use rusqlite::params_from_iter;

use super::Reader;
use super::calls::{Calls, Sessions};
use super::filter::{Conditions, Filter, PROBE, Path};
use super::reader::Source;
use super::request::Request;
use crate::error::QueryError;

/// From how many calls on a session is found by time and not by its id, whose
/// index does not tell which of them are the newest.
const LONG_SESSION: i64 = 5_000;

/// A place in the order of [`Reader::logs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// When the request came.
    pub ts: i64,
    /// The row's number, which orders what came in the same millisecond.
    pub id: i64,
}

impl Request {
    /// Where it stands in the order of [`Reader::logs`].
    pub fn position(&self) -> Position {
        Position {
            ts: self.ts,
            id: self.id,
        }
    }
}

impl Reader {
    /// The newest `limit` requests that the filter takes, newest first, of
    /// those that stand before a position where one is given: the
    /// [`position`](Request::position) of the last row of a page leads to the next.
    ///
    /// ```
    /// use tower_mcp_store::query::{Filter, Reader};
    ///
    /// # fn pages(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// let first = reader.logs(&Filter::default(), 50, None)?;
    /// let second = reader.logs(&Filter::default(), 50, first.last().map(|row| row.position()))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn logs(
        &self,
        filter: &Filter,
        limit: usize,
        before: Option<Position>,
    ) -> Result<Vec<Request>, QueryError> {
        self.read(|source| logs(source, filter, limit, before))
    }
}

fn logs(
    source: &Source<'_>,
    filter: &Filter,
    limit: usize,
    before: Option<Position>,
) -> rusqlite::Result<Vec<Request>> {
    let mut conditions = Conditions::new(filter, source);
    let mut bound = String::new();
    if let Some(Position { ts, id }) = before {
        conditions.end_at(ts.saturating_add(1));
        let (ts, id) = (conditions.bind(ts), conditions.bind(id));
        bound = format!(" AND (+ts < {ts} OR +id < {id})");
    }
    let path = match way(source, &mut conditions, filter)? {
        Way::Rows(path) => path,
        Way::Sessions(sessions) => {
            return of_sessions(source, &mut conditions, &bound, limit, sessions);
        }
    };
    let columns = Request::COLUMNS;
    let limit = conditions.bind(limit as i64);
    let found = conditions.by(path);
    select(
        source,
        &conditions,
        &format!(
            "SELECT {columns} FROM {found}{bound} ORDER BY hit_ts DESC, hit DESC LIMIT {limit}"
        ),
    )
}

/// How the newest requests are come to.
enum Way<'f> {
    Rows(Path),
    /// Those of these sessions, latest first.
    Sessions(Sessions<'f>),
}

fn way<'f>(
    source: &Source<'_>,
    conditions: &mut Conditions,
    filter: &'f Filter,
) -> rusqlite::Result<Way<'f>> {
    let is_of_sessions = filter.session.is_some() || filter.client.is_some();
    if let Some(path) = conditions.only_index()
        && !is_of_sessions
    {
        return Ok(Way::Rows(path));
    }
    let (rarity, path) = conditions.rarest(source, PROBE)?;
    if rarity.is_few() {
        return Ok(Way::Rows(path));
    }
    let Some(sessions) = Sessions::of(filter) else {
        return Ok(Way::Rows(path));
    };
    let latest = sessions.latest(source, PROBE)?;
    if let Some(first) = latest.sessions.first()
        && first.count > LONG_SESSION
    {
        conditions.end_at(first.last_seen.saturating_add(1));
        return Ok(Way::Rows(conditions.rarest(source, PROBE)?.1));
    }
    Ok(match rarity < latest.rarity() {
        true => Way::Rows(path),
        false => Way::Sessions(sessions),
    })
}

/// Runs a statement that selects [`Request::columns`].
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

/// The newest requests of sessions, latest first.
fn of_sessions(
    source: &Source<'_>,
    conditions: &mut Conditions,
    bound: &str,
    limit: usize,
    sessions: Sessions<'_>,
) -> rusqlite::Result<Vec<Request>> {
    let columns = Request::COLUMNS;
    let checks = conditions.checks();
    let count = conditions.bind(limit as i64);
    let session = conditions.bind(String::new());
    let seek = Calls::seek(&session);
    let sql = format!(
        "SELECT {columns} FROM requests WHERE {seek} AND {checks}{bound}
         ORDER BY ts DESC, id DESC LIMIT {count}"
    );
    let mut found: Vec<Request> = Vec::new();
    sessions.each(source, |calls| {
        if found.len() >= limit && found.last().is_some_and(|row| row.ts > calls.last_seen) {
            return Ok(ControlFlow::Break(()));
        }
        conditions.set_last(calls.session);
        found.extend(select(source, conditions, &sql)?);
        found.sort_unstable_by_key(|row| std::cmp::Reverse(row.position()));
        found.truncate(limit);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}
