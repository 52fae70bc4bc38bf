//! The clients of sessions.

use rusqlite::{Row, params};

use super::Reader;
use super::error::QueryError;
use super::filter::ClientFilter;
use super::reader::Source;
use super::record::record;
use super::window::Window;

record! {
    /// All sessions of clients with one name on one platform.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct Client {
        /// The name that the client gives; `None` for clients that give none.
        pub client_name: Option<String>,
        /// The product behind the name.
        pub client_platform: Option<String>,
        /// The number of its versions.
        pub versions: i64 = "count(DISTINCT client_version)",
        /// The number of its sessions.
        pub sessions: i64 = "count(*)",
        /// The number of sessions that have not ended.
        pub active_sessions: i64 = "count(*) FILTER (WHERE ended_at IS NULL)",
        /// The number of calls. A call counts once, however many requests it takes.
        pub calls: i64 = "CAST(sum(operations) AS BIGINT)",
        /// The number of requests.
        pub requests: i64 = "CAST(sum(total_calls) AS BIGINT)",
        /// The number of requests that ended in an error or a timeout.
        pub request_errors: i64 = "CAST(sum(total_errors) AS BIGINT)",
        /// When the first session began, in unix milliseconds.
        pub first_seen_at: i64 = "min(started_at)",
        /// When the last request was received, in unix milliseconds.
        pub last_seen_at: i64 = "max(last_seen_at)",
    }
}

record! {
    /// All sessions of clients with one name under one revision of MCP.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct ClientRevision {
        /// The negotiated MCP revision, if it is known.
        pub protocol_version: Option<String>,
        /// The name that the client gives; `None` for clients that give none.
        pub client_name: Option<String>,
        /// The number of its versions.
        pub versions: i64 = "count(DISTINCT client_version)",
        /// The number of its sessions.
        pub sessions: i64 = "count(*)",
        /// The number of sessions that have not ended.
        pub active_sessions: i64 = "count(*) FILTER (WHERE ended_at IS NULL)",
        /// The number of calls. A call counts once, however many requests it takes.
        pub calls: i64 = "CAST(sum(operations) AS BIGINT)",
        /// The number of requests.
        pub requests: i64 = "CAST(sum(total_calls) AS BIGINT)",
        /// The number of requests that ended in an error or a timeout.
        pub request_errors: i64 = "CAST(sum(total_errors) AS BIGINT)",
        /// When the first session began, in unix milliseconds.
        pub first_seen_at: i64 = "min(started_at)",
        /// When the last request was received, in unix milliseconds.
        pub last_seen_at: i64 = "max(last_seen_at)",
    }
}

record! {
    /// The calls of one authenticated caller.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct Caller {
        /// The caller, as the server's authentication names it.
        pub principal: String,
        /// The number of sessions with these requests.
        pub sessions: i64 = "count(DISTINCT session_id)",
        /// The number of calls. A call counts once, however many requests it takes.
        pub calls: i64 = "count(*) FILTER (WHERE coalesce(leg, 1) = 1)",
        /// The number of requests.
        pub requests: i64 = "count(*)",
        /// The number of requests that ended in an error or a timeout.
        pub request_errors: i64 = "count(*) FILTER (WHERE status <> 'ok')",
        /// When the first request was received, in unix milliseconds.
        pub first_seen_at: i64 = "min(ts)",
        /// When the last request was received, in unix milliseconds.
        pub last_seen_at: i64 = "max(ts)",
    }
}

impl Client {
    /// Groups sessions.
    pub(super) const GROUPS: &'static str =
        "GROUP BY 1, 2 ORDER BY 6 DESC, 4 DESC, 1 NULLS FIRST, 2 NULLS FIRST";
}

impl ClientRevision {
    /// Groups sessions.
    pub(super) const GROUPS: &'static str =
        "GROUP BY 1, 2 ORDER BY 1 NULLS FIRST, 6 DESC, 4 DESC, 2 NULLS FIRST";
}

impl Caller {
    /// Groups requests.
    pub(super) const GROUPS: &'static str = "GROUP BY 1 ORDER BY 3 DESC, 1";
}

impl Reader {
    /// Returns the clients that had a session open during the window of the filter,
    /// busiest first. Their sessions are counted as a whole.
    pub fn clients(&self, filter: &ClientFilter) -> Result<Vec<Client>, QueryError> {
        let parts = (Client::COLUMNS, Client::GROUPS);
        self.read(|source| of_sessions(source, filter, parts, Client::from_row))
    }

    /// Returns the same sessions as [`clients`](Self::clients) by revision of MCP, oldest
    /// first, and by name of the client, busiest first.
    pub fn client_revisions(
        &self,
        filter: &ClientFilter,
    ) -> Result<Vec<ClientRevision>, QueryError> {
        let parts = (ClientRevision::COLUMNS, ClientRevision::GROUPS);
        self.read(|source| of_sessions(source, filter, parts, ClientRevision::from_row))
    }

    /// Returns the authenticated callers of the requests in the window of the filter,
    /// busiest first. It reads each of these requests.
    pub fn callers(&self, filter: &ClientFilter) -> Result<Vec<Caller>, QueryError> {
        self.read(|source| callers(source, filter))
    }
}

/// Selects columns of groups of sessions.
fn of_sessions<T>(
    source: &Source<'_>,
    filter: &ClientFilter,
    (columns, groups): (&str, &str),
    read: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let of_server = of_server(filter);
    let Window { since, until } = filter.window;
    source
        .conn
        .prepare_cached(&format!(
            "SELECT {columns} FROM sessions
             WHERE +last_seen_at >= ?1 AND started_at < ?2 AND {of_server}
                 AND (?4 IS NULL OR protocol_version = ?4) {groups}"
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
    let (columns, groups) = (Caller::COLUMNS, Caller::GROUPS);
    source
        .conn
        .prepare_cached(&format!(
            "SELECT {columns} FROM requests
             WHERE principal IS NOT NULL AND {sign}ts >= ?1 AND {sign}ts < ?2
                 AND {of_server} AND (?4 IS NULL OR protocol_version = ?4) {groups}"
        ))?
        .query_map(
            params![since, until, filter.server_name, filter.protocol],
            Caller::from_row,
        )?
        .collect()
}
