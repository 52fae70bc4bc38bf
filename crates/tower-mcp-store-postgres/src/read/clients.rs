//! The clients of sessions, and the callers of requests.

use tower_mcp_store::query::foreign::Counted;
use tower_mcp_store::query::{Caller, Client, ClientFilter, ClientRevision};

use super::statement::Statement;
use super::{FleetReader, PLACED};
use crate::error::PostgresError;

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
        let requests = format!(
            "(SELECT principal, session_id, status, ts, proxy, protocol_version,
                 CASE WHEN state_in IS NULL THEN leg ELSE fleet_leg END AS leg
             FROM {PLACED}) AS requests"
        );
        self.count(statement, filter, &requests)
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
