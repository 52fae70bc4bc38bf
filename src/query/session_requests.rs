//! The requests of sessions, through the index of session ids.

use std::iter;
use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Row, ToSql};

use super::reader::Source;
use crate::db::row::{number, text};

/// The requests of one session.
#[derive(Debug)]
pub(super) struct SessionRequests {
    pub(super) session: String,
    pub(super) count: i64,
    /// None of the requests is newer.
    pub(super) last_seen: i64,
}

/// The sessions that a filter names. A client may have any number, so they are read one
/// after the other, latest first.
#[derive(Debug, Clone)]
pub(super) enum Sessions {
    One(String),
    OfClients {
        names: Vec<String>,
        /// Only sessions with a request at this time or later.
        since: i64,
    },
}

impl Sessions {
    /// Calls `each` with one session after the other, latest first, until it breaks.
    pub(super) fn each(
        &self,
        source: &Source<'_>,
        mut each: impl FnMut(SessionRequests) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<()> {
        match self {
            Self::One(session) => each(SessionRequests::of_session(source, session)?).map(drop),
            Self::OfClients { names, .. } if names.is_empty() => Ok(()),
            Self::OfClients { names, since } => {
                let mut statement = source.conn.prepare_cached(&of_clients(names.len()))?;
                let names = names.iter().map(|name| name as &dyn ToSql);
                let values: Vec<&dyn ToSql> =
                    iter::once(since as &dyn ToSql).chain(names).collect();
                let mut rows = statement.query(&*values)?;
                while let Some(row) = rows.next()? {
                    if each(SessionRequests::from_row(row)?)?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// Returns the latest sessions that together have `count` requests, or all.
    pub(super) fn latest(&self, source: &Source<'_>, count: i64) -> rusqlite::Result<Latest> {
        let mut latest = Latest {
            sessions: Vec::new(),
            count: 0,
            is_all: true,
        };
        self.each(source, |calls| {
            // A session without requests counts as one, because there may be any number.
            latest.count = latest.count.saturating_add(calls.count.max(1));
            latest.sessions.push(calls);
            latest.is_all = latest.count < count;
            Ok(match latest.is_all {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        Ok(latest)
    }
}

/// Returns the statement that reads the sessions of `count` clients. Each part comes from
/// its index in order of time, and SQLite merges them.
fn of_clients(count: usize) -> String {
    let parts = (2..count + 2).flat_map(|parameter| {
        ["IS NULL", "IS NOT NULL"].map(|ended| {
            format!(
                "SELECT session_id, total_calls, last_seen_at FROM sessions
                 WHERE client_name = ?{parameter} AND ended_at {ended} AND last_seen_at >= ?1"
            )
        })
    });
    let parts: Vec<String> = parts.collect();
    format!("{} ORDER BY last_seen_at DESC", parts.join(" UNION ALL "))
}

/// The latest sessions of a filter.
#[derive(Debug)]
pub(super) struct Latest {
    pub(super) sessions: Vec<SessionRequests>,
    /// How many requests they have, at least one each.
    pub(super) count: i64,
    /// Whether these are all sessions of the filter.
    pub(super) is_all: bool,
}

impl SessionRequests {
    fn of_session(source: &Source<'_>, session: &str) -> rusqlite::Result<Self> {
        let found = source
            .conn
            .prepare_cached(
                "SELECT session_id, total_calls, last_seen_at FROM sessions WHERE session_id = ?1",
            )?
            .query_row([session], Self::from_row)
            .optional()?;
        Ok(found.unwrap_or_else(|| Self {
            session: session.to_owned(),
            count: 0,
            last_seen: i64::MAX,
        }))
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            session: text(row, 0)?,
            count: number(row, 1)?,
            last_seen: number(row, 2)?,
        })
    }

    /// Returns the condition that finds a session's requests in the index.
    pub(super) fn seek(session: &str) -> String {
        seek_in_parts("session_id", session)
    }
}

/// Returns the condition that finds the rows with a text in a column by the end of the
/// text. The index has a part for every 65,536 rows, and the condition seeks in each.
pub(super) fn seek_in_parts(column: &str, parameter: &str) -> String {
    format!(
        "id / 65536 IN (
                 WITH RECURSIVE part (n) AS (
                     SELECT min(id) / 65536 FROM requests UNION ALL
                     SELECT n + 1 FROM part WHERE n < (SELECT max(id) / 65536 FROM requests))
                 SELECT n FROM part)
             AND substr({column}, -6) = substr({parameter}, -6) AND {column} = {parameter}"
    )
}
