//! Requests by time.

use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::Reader;
use super::filter::{Conditions, Filter, PROBE, Path, Rarity};
use super::reader::Source;
use super::request::Request;
use super::row::{number, text};
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
    let columns = Request::columns(source.has_outcomes());
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
enum Way {
    Rows(Path),
    /// Those of these sessions, latest first.
    Sessions(Vec<Calls>),
}

/// The calls of a session.
struct Calls {
    session: String,
    count: i64,
    /// None of them is newer.
    last_seen: i64,
}

fn way(source: &Source<'_>, conditions: &mut Conditions, filter: &Filter) -> rusqlite::Result<Way> {
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
    let sessions = match (&filter.session, &filter.client) {
        (Some(session), _) => vec![calls_of(source, session)?],
        (None, Some(client)) => sessions_of(source, client, filter.window.since)?,
        (None, None) => return Ok(Way::Rows(path)),
    };
    if let Some(latest) = sessions.first()
        && latest.count > LONG_SESSION
    {
        conditions.end_at(latest.last_seen.saturating_add(1));
        return Ok(Way::Rows(conditions.rarest(source, PROBE)?.1));
    }
    Ok(match rarity < rarity_of(&sessions) {
        true => Way::Rows(path),
        false => Way::Sessions(sessions),
    })
}

/// How rare the calls of sessions are, latest first.
fn rarity_of(sessions: &[Calls]) -> Rarity {
    let mut count: i64 = 0;
    for calls in sessions {
        count = count.saturating_add(calls.count);
        if count >= PROBE {
            return Rarity::Since(calls.last_seen);
        }
    }
    Rarity::Few(count)
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
    sessions: Vec<Calls>,
) -> rusqlite::Result<Vec<Request>> {
    let columns = Request::columns(source.has_outcomes());
    let checks = conditions.checks();
    let count = conditions.bind(limit as i64);
    let session = conditions.bind(String::new());
    let seek = session_seek(source.has_outcomes(), &session);
    let sql = format!(
        "SELECT {columns} FROM requests WHERE {seek} AND {checks}{bound}
         ORDER BY ts DESC, id DESC LIMIT {count}"
    );
    let mut found: Vec<Request> = Vec::new();
    for calls in sessions {
        if found.len() >= limit && found.last().is_some_and(|row| row.ts > calls.last_seen) {
            break;
        }
        conditions.set_last(calls.session);
        found.extend(select(source, conditions, &sql)?);
        found.sort_unstable_by_key(|row| std::cmp::Reverse(row.position()));
        found.truncate(limit);
    }
    Ok(found)
}

/// The condition by which a session's requests are found in the index, in each
/// part of it.
pub(super) fn session_seek(has_outcomes: bool, session: &str) -> String {
    if has_outcomes {
        format!(
            "id / 65536 IN (
                 WITH RECURSIVE part (n) AS (
                     SELECT min(id) / 65536 FROM requests UNION ALL
                     SELECT n + 1 FROM part WHERE n < (SELECT max(id) / 65536 FROM requests))
                 SELECT n FROM part)
             AND substr(session_id, -6) = substr({session}, -6) AND session_id = {session}"
        )
    } else {
        format!("session_id = {session}")
    }
}

fn calls_of(source: &Source<'_>, session: &str) -> rusqlite::Result<Calls> {
    let found = source
        .conn
        .prepare_cached(
            "SELECT session_id, total_calls, last_seen_at FROM sessions WHERE session_id = ?1",
        )?
        .query_row([session], Calls::from_row)
        .optional()?;
    Ok(found.unwrap_or_else(|| Calls {
        session: session.to_owned(),
        count: 0,
        last_seen: i64::MAX,
    }))
}

/// The sessions of a client that were seen since a moment, latest first.
fn sessions_of(source: &Source<'_>, client: &str, since: i64) -> rusqlite::Result<Vec<Calls>> {
    source
        .conn
        .prepare_cached(
            "SELECT session_id, total_calls, last_seen_at FROM sessions
             WHERE client_name = ?1 AND last_seen_at >= ?2 ORDER BY last_seen_at DESC",
        )?
        .query_map((client, since), Calls::from_row)?
        .collect()
}

impl Calls {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            session: text(row, 0)?,
            count: number(row, 1)?,
            last_seen: number(row, 2)?,
        })
    }
}
