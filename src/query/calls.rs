//! The requests of sessions, which their index leads to.

use rusqlite::{OptionalExtension, Row};

use super::filter::{Filter, PROBE, Rarity};
use super::reader::Source;
use super::row::{number, text};

/// The requests of one session.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) session: String,
    pub(super) count: i64,
    /// None of them is newer.
    pub(super) last_seen: i64,
}

impl Calls {
    /// Of the sessions that a filter names, latest first; `None` where it names none.
    pub(super) fn of(source: &Source<'_>, filter: &Filter) -> rusqlite::Result<Option<Vec<Self>>> {
        Ok(match (&filter.session, &filter.client) {
            (Some(session), _) => Some(vec![Self::of_session(source, session)?]),
            (None, Some(client)) => Some(Self::of_client(source, client, filter.window.since)?),
            (None, None) => None,
        })
    }

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

    fn of_client(source: &Source<'_>, client: &str, since: i64) -> rusqlite::Result<Vec<Self>> {
        source
            .conn
            .prepare_cached(
                "SELECT session_id, total_calls, last_seen_at FROM sessions
                 WHERE client_name = ?1 AND last_seen_at >= ?2 ORDER BY last_seen_at DESC",
            )?
            .query_map((client, since), Self::from_row)?
            .collect()
    }

    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            session: text(row, 0)?,
            count: number(row, 1)?,
            last_seen: number(row, 2)?,
        })
    }

    /// How rare those of all these sessions are.
    pub(super) fn rarity(sessions: &[Self]) -> Rarity {
        let mut count: i64 = 0;
        for calls in sessions {
            count = count.saturating_add(calls.count);
            if count >= PROBE {
                return Rarity::Since(calls.last_seen);
            }
        }
        Rarity::Few(count)
    }

    /// The condition by which a session's requests are found in the index, in
    /// each part of it.
    pub(super) fn seek(has_outcomes: bool, session: &str) -> String {
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
}
