//! The clients of sessions.

use rusqlite::params;

use super::Reader;
use super::error::QueryError;
use super::filter::ClientFilter;
use super::reader::Source;
use crate::db::row::{number, optional_text};

/// All sessions of clients with one name on one platform.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Client {
    /// The name that the client gives; `None` for clients that give none.
    pub client_name: Option<String>,
    /// The product behind the name.
    pub client_platform: Option<String>,
    /// The number of its versions.
    pub versions: i64,
    /// The number of its sessions.
    pub sessions: i64,
    /// The number of sessions that have not ended.
    pub active_sessions: i64,
    /// The number of requests.
    pub total_calls: i64,
    /// The number of requests that ended in an error or a timeout.
    pub total_errors: i64,
    /// When the first session began, in unix milliseconds.
    pub first_seen_at: i64,
    /// When the last request came, in unix milliseconds.
    pub last_seen_at: i64,
}

impl Reader {
    /// Returns the clients that had a session open during the window of the filter,
    /// busiest first. Their sessions are counted as a whole.
    pub fn clients(&self, filter: &ClientFilter) -> Result<Vec<Client>, QueryError> {
        self.read(|source| clients(source, filter))
    }
}

fn clients(source: &Source<'_>, filter: &ClientFilter) -> rusqlite::Result<Vec<Client>> {
    let ClientFilter {
        window,
        server_name,
    } = filter;
    let of_proxy = match server_name {
        Some(_) => "AND proxy = ?3",
        None => "AND ?3 IS NULL",
    };
    source
        .conn
        .prepare_cached(&format!(
            "SELECT client_name, client_platform, count(DISTINCT client_version), count(*),
                 sum(ended_at IS NULL), sum(total_calls), sum(total_errors), min(started_at),
                 max(last_seen_at)
             FROM sessions WHERE +last_seen_at >= ?1 AND started_at < ?2 {of_proxy}
             GROUP BY client_name, client_platform
             ORDER BY 6 DESC, 4 DESC, client_name, client_platform"
        ))?
        .query_map(params![window.since, window.until, server_name], |row| {
            Ok(Client {
                client_name: optional_text(row, 0)?,
                client_platform: optional_text(row, 1)?,
                versions: number(row, 2)?,
                sessions: number(row, 3)?,
                active_sessions: number(row, 4)?,
                total_calls: number(row, 5)?,
                total_errors: number(row, 6)?,
                first_seen_at: number(row, 7)?,
                last_seen_at: number(row, 8)?,
            })
        })?
        .collect()
}
