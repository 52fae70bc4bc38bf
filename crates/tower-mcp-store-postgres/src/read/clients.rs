//! The clients of sessions, and the callers of requests.

use tower_mcp_store::query::foreign::Counted;
use tower_mcp_store::query::{Caller, Client, ClientFilter, ClientRevision};

use super::FleetReader;
use super::statement::Statement;
use crate::error::PostgresError;

/// Requests with the `leg` that they have in the operations of all files. A request that
/// continues an operation of another file is the first one in its own.
const REQUESTS: &str = "(SELECT principal, session_id, status, ts, proxy, protocol_version,
        CASE
            WHEN coalesce(leg, 1) = 1 AND state_in IS NOT NULL
                AND mcp_store_giver(request_id, ts, proxy, state_in) IS NOT NULL
            THEN 2
            ELSE leg
        END AS leg
    FROM requests) AS requests";

impl FleetReader {
    /// Returns the clients that had a session open during the window of the filter, busiest
    /// first. Their sessions are counted as a whole.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn clients(&mut self, filter: &ClientFilter) -> Result<Vec<Client>, PostgresError> {
        self.of_sessions(filter)
    }

    /// Returns the same sessions as [`clients`](Self::clients) by revision of MCP, oldest first,
    /// and by name of the client, busiest first.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn client_revisions(
        &mut self,
        filter: &ClientFilter,
    ) -> Result<Vec<ClientRevision>, PostgresError> {
        self.of_sessions(filter)
    }

    /// Returns the authenticated callers of the requests in the window of the filter, busiest
    /// first. It reads each of these requests.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn callers(&mut self, filter: &ClientFilter) -> Result<Vec<Caller>, PostgresError> {
        let mut statement = Statement::new();
        statement.add("principal IS NOT NULL");
        statement.add_window("ts", filter.window);
        self.count(statement, filter, REQUESTS)
    }

    fn of_sessions<T: Counted>(&mut self, filter: &ClientFilter) -> Result<Vec<T>, PostgresError> {
        let mut statement = Statement::new();
        let since = statement.bind(filter.window.since);
        let until = statement.bind(filter.window.until);
        statement.add(&format!("last_seen_at >= {since} AND started_at < {until}"));
        self.count(statement, filter, "sessions")
    }

    fn count<T: Counted>(
        &mut self,
        mut statement: Statement,
        filter: &ClientFilter,
        from: &str,
    ) -> Result<Vec<T>, PostgresError> {
        for (column, value) in [
            ("proxy", &filter.server_name),
            ("protocol_version", &filter.protocol),
        ] {
            if let Some(value) = value {
                statement.add_equality(column, &**value);
            }
        }
        let (columns, groups) = (T::COLUMNS, T::GROUPS);
        let conditions = statement.conditions();
        let sql = format!("SELECT {columns} FROM {from} {conditions} {groups}");
        self.snapshot()?.records(&sql, &statement)
    }
}
