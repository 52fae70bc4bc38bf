//! The requests of sessions, which their index leads to.

use std::ops::ControlFlow;

use rusqlite::{OptionalExtension, Row};

use super::filter::{Filter, Rarity};
use super::reader::Source;
use crate::db::row::{number, text};

/// The requests of one session.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) session: String,
    pub(super) count: i64,
    /// None of them is newer.
    pub(super) last_seen: i64,
}

/// The sessions that a filter names, of which a client may have any number: they
/// are read one after the other, latest first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sessions<'f> {
    One(&'f str),
    OfClient {
        client: &'f str,
        /// Only those that were seen since.
        since: i64,
    },
}

impl<'f> Sessions<'f> {
    /// `None` where the filter names none.
    pub(super) fn of(filter: &'f Filter) -> Option<Self> {
        let since = filter.window.since;
        match (&filter.session, &filter.client) {
            (Some(session), _) => Some(Self::One(session)),
            (None, Some(client)) => Some(Self::OfClient { client, since }),
            (None, None) => None,
        }
    }

    /// Gives one after the other to `each`, latest first, until that breaks off.
    pub(super) fn each(
        self,
        source: &Source<'_>,
        mut each: impl FnMut(Calls) -> rusqlite::Result<ControlFlow<()>>,
    ) -> rusqlite::Result<()> {
        match self {
            Self::One(session) => each(Calls::of_session(source, session)?).map(drop),
            Self::OfClient { client, since } => {
                let mut statement = source.conn.prepare_cached(OF_CLIENT)?;
                let mut rows = statement.query((client, since))?;
                while let Some(row) = rows.next()? {
                    if each(Calls::from_row(row)?)?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// The latest of them that have `count` requests together, or all.
    pub(super) fn latest(self, source: &Source<'_>, count: i64) -> rusqlite::Result<Latest> {
        let mut latest = Latest {
            sessions: Vec::new(),
            count: 0,
            is_all: true,
        };
        self.each(source, |calls| {
            // A session without a request counts, too: there may be any number.
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

/// Both parts come by time from the index, and SQLite merges them.
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
    pub(super) sessions: Vec<Calls>,
    /// How many requests they have.
    count: i64,
    /// Whether there are no more sessions.
    pub(super) is_all: bool,
}

impl Latest {
    /// How rare the requests of these sessions are.
    pub(super) fn rarity(&self) -> Rarity {
        match self.sessions.last() {
            Some(last) if !self.is_all => Rarity::Since(last.last_seen),
            _ => Rarity::Few(self.count),
        }
    }
}

impl Calls {
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

    /// The condition by which a session's requests are found in the index, in
    /// each part of it.
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
