//! The clients of sessions.

use rusqlite::{Row, params};

use super::Reader;
use super::error::QueryError;
use super::filter::ClientFilter;
use super::reader::Source;
use super::window::Window;
use crate::db::row::{number, optional_text, text};

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
    /// The number of calls. A call counts once, however many requests it takes.
    pub calls: i64,
    /// The number of requests.
    pub requests: i64,
    /// The number of requests that ended in an error or a timeout.
    pub request_errors: i64,
    /// When the first session began, in unix milliseconds.
    pub first_seen_at: i64,
    /// When the last request was received, in unix milliseconds.
    pub last_seen_at: i64,
}

/// All sessions of clients with one name under one revision of MCP.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct ClientRevision {
    /// The negotiated MCP revision, if it is known.
    pub protocol_version: Option<String>,
    /// The name that the client gives; `None` for clients that give none.
    pub client_name: Option<String>,
    /// The number of its versions.
    pub versions: i64,
    /// The number of its sessions.
    pub sessions: i64,
    /// The number of sessions that have not ended.
    pub active_sessions: i64,
    /// The number of calls. A call counts once, however many requests it takes.
    pub calls: i64,
    /// The number of requests.
    pub requests: i64,
    /// The number of requests that ended in an error or a timeout.
    pub request_errors: i64,
    /// When the first session began, in unix milliseconds.
    pub first_seen_at: i64,
    /// When the last request was received, in unix milliseconds.
    pub last_seen_at: i64,
}

/// The calls of one authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Caller {
    /// The caller, as the server's authentication names it.
    pub principal: String,
    /// The number of sessions with these requests.
    pub sessions: i64,
    /// The number of calls. A call counts once, however many requests it takes.
    pub calls: i64,
    /// The number of requests.
    pub requests: i64,
    /// The number of requests that ended in an error or a timeout.
    pub request_errors: i64,
    /// When the first request was received, in unix milliseconds.
    pub first_seen_at: i64,
    /// When the last request was received, in unix milliseconds.
    pub last_seen_at: i64,
}

impl Reader {
    /// Returns the clients that had a session open during the window of the filter,
    /// busiest first. Their sessions are counted as a whole.
    pub fn clients(&self, filter: &ClientFilter) -> Result<Vec<Client>, QueryError> {
        self.read(|source| {
            let columns = ["client_name", "client_platform"];
            sessions_by(source, filter, columns, "6 DESC, 4 DESC, 1, 2", |row| {
                Ok(Client {
                    client_name: optional_text(row, 0)?,
                    client_platform: optional_text(row, 1)?,
                    versions: number(row, 2)?,
                    sessions: number(row, 3)?,
                    active_sessions: number(row, 4)?,
                    calls: number(row, 5)?,
                    requests: number(row, 6)?,
                    request_errors: number(row, 7)?,
                    first_seen_at: number(row, 8)?,
                    last_seen_at: number(row, 9)?,
                })
            })
        })
    }

    /// Returns the same sessions as [`clients`](Self::clients) by revision of MCP, oldest
    /// first, and by name of the client, busiest first.
    pub fn client_revisions(
        &self,
        filter: &ClientFilter,
    ) -> Result<Vec<ClientRevision>, QueryError> {
        self.read(|source| {
            let columns = ["protocol_version", "client_name"];
            sessions_by(source, filter, columns, "1, 6 DESC, 4 DESC, 2", |row| {
                Ok(ClientRevision {
                    protocol_version: optional_text(row, 0)?,
                    client_name: optional_text(row, 1)?,
                    versions: number(row, 2)?,
                    sessions: number(row, 3)?,
                    active_sessions: number(row, 4)?,
                    calls: number(row, 5)?,
                    requests: number(row, 6)?,
                    request_errors: number(row, 7)?,
                    first_seen_at: number(row, 8)?,
                    last_seen_at: number(row, 9)?,
                })
            })
        })
    }

    /// Returns the authenticated callers of the requests in the window of the filter,
    /// busiest first. It reads each of these requests.
    pub fn callers(&self, filter: &ClientFilter) -> Result<Vec<Caller>, QueryError> {
        self.read(|source| callers(source, filter))
    }
}

/// Groups sessions by two columns.
fn sessions_by<T>(
    source: &Source<'_>,
    filter: &ClientFilter,
    columns: [&str; 2],
    order: &str,
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let [first, second] = columns;
    let of_server = of_server(filter);
    let Window { since, until } = filter.window;
    source
        .conn
        .prepare_cached(&format!(
            "SELECT {first}, {second}, count(DISTINCT client_version), count(*),
                 sum(ended_at IS NULL), sum(operations), sum(total_calls), sum(total_errors),
                 min(started_at), max(last_seen_at)
             FROM sessions WHERE +last_seen_at >= ?1 AND started_at < ?2 AND {of_server}
                 AND (?4 IS NULL OR protocol_version = ?4)
             GROUP BY {first}, {second} ORDER BY {order}"
        ))?
        .query_map(
            params![since, until, filter.server_name, filter.protocol],
            read,
        )?
        .collect()
}

/// Returns the condition on the server. It uses an index only if there is one.
fn of_server(filter: &ClientFilter) -> &'static str {
    match filter.server_name {
        Some(_) => "proxy = ?3",
        None => "?3 IS NULL",
    }
}

fn callers(source: &Source<'_>, filter: &ClientFilter) -> rusqlite::Result<Vec<Caller>> {
    let Window { since, until } = filter.window;
    let of_server = of_server(filter);
    // All requests are read in order of their callers.
    let sign = if filter.window == Window::ALL {
        "+"
    } else {
        ""
    };
    source
        .conn
        .prepare_cached(&format!(
            "SELECT principal, count(DISTINCT session_id), sum(coalesce(leg, 1) = 1), count(*),
                 sum(status <> 'ok'), min(ts), max(ts)
             FROM requests WHERE principal IS NOT NULL AND {sign}ts >= ?1 AND {sign}ts < ?2
                 AND {of_server} AND (?4 IS NULL OR protocol_version = ?4)
             GROUP BY principal ORDER BY 3 DESC, 1"
        ))?
        .query_map(
            params![since, until, filter.server_name, filter.protocol],
            |row| {
                Ok(Caller {
                    principal: text(row, 0)?,
                    sessions: number(row, 1)?,
                    calls: number(row, 2)?,
                    requests: number(row, 3)?,
                    request_errors: number(row, 4)?,
                    first_seen_at: number(row, 5)?,
                    last_seen_at: number(row, 6)?,
                })
            },
        )?
        .collect()
}
