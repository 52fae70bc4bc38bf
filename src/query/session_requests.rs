//! The requests of sessions, through the index of session ids.

use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Row};

use super::filter::RequestFilter;
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

/// The sessions that a filter names. A client may have any number, so they are read
/// one after the other, latest first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sessions<'f> {
    One(&'f str),
    OfClient {
        client: &'f str,
        /// Only sessions with a request at this time or later.
        since: i64,
    },
}

impl<'f> Sessions<'f> {
    /// Returns the sessions of a filter; `None` if it names none.
    pub(super) fn of(filter: &'f RequestFilter) -> Option<Self> {
        let since = filter.window.since;
        match (&filter.session, &filter.client) {
            (Some(session), _) => Some(Self::One(session)),
            (None, Some(client)) => Some(Self::OfClient { client, since }),
            (None, None) => None,
        }
    }

    /// Calls `each` with one session after the other, latest first, until it breaks.
    pub(super) fn each(
        self,
        source: &Source<'_>,
        mut each: impl FnMut(SessionRequests) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<()> {
        match self {
            Self::One(session) => each(SessionRequests::of_session(source, session)?).map(drop),
            Self::OfClient { client, since } => {
                let mut statement = source.conn.prepare_cached(OF_CLIENT)?;
                let mut rows = statement.query((client, since))?;
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
    pub(super) fn latest(self, source: &Source<'_>, count: i64) -> rusqlite::Result<Latest> {
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

/// Each part comes from its index in order of time, and SQLite merges them.
const OF_CLIENT: &str = "
    SELECT session_id, total_calls, last_seen_at FROM sessions
    WHERE client_name = ?1 AND ended_at IS NULL AND last_seen_at >= ?2
    UNION ALL
    SELECT session_id, total_calls, last_seen_at FROM sessions
    WHERE client_name = ?1 AND ended_at IS NOT NULL AND last_seen_at >= ?2
    ORDER BY last_seen_at DESC";

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

    /// Returns the condition that finds a session's requests in the index. The index has
    /// a part for every 65,536 rows, and the condition seeks in each.
    pub(super) fn seek(session: &str) -> String {
        format!(
            "id / 65536 IN (
                 WITH RECURSIVE part (n) AS (
                     SELECT min(id) / 65536 FROM requests UNION ALL
                     SELECT n + 1 FROM part WHERE n < (SELECT max(id) / 65536 FROM requests))
                 SELECT n FROM part)
             AND substr(session_id, -6) = substr({session}, -6) AND session_id = {session}"
        )
    }
}
