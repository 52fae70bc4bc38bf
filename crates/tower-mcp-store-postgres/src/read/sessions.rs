//! Sessions, each added up over the files with requests of it.

use tower_mcp_store::query::foreign::{Record as _, order_of_sessions, time_of_sessions};
use tower_mcp_store::query::{Lookup, Session, SessionFilter, SessionOrder};

use super::statement::Statement;
use super::{FleetReader, NAMED, conditions, one};
use crate::error::PostgresError;

impl FleetReader {
    /// Returns the latest `limit` sessions that the filter takes, latest first: by their
    /// beginning, or by their last request if only active ones are asked for.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn sessions(
        &mut self,
        filter: &SessionFilter,
        limit: usize,
    ) -> Result<Vec<Session>, PostgresError> {
        self.in_order(filter, None, limit)
    }

    /// Returns the first `limit` sessions that the filter takes, in this order.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn sessions_by(
        &mut self,
        filter: &SessionFilter,
        order: SessionOrder,
        limit: usize,
    ) -> Result<Vec<Session>, PostgresError> {
        self.in_order(filter, Some(order), limit)
    }

    fn in_order(
        &mut self,
        filter: &SessionFilter,
        order: Option<SessionOrder>,
        limit: usize,
    ) -> Result<Vec<Session>, PostgresError> {
        let snapshot = self.snapshot()?;
        let mut statement = Statement::new();
        statement.add_window(time_of_sessions(filter), filter.window);
        if filter.active {
            statement.add("ended_at IS NULL");
        }
        for (column, value) in [
            ("proxy", &filter.server_name),
            ("protocol_version", &filter.protocol),
        ] {
            if let Some(value) = value {
                statement.add_equality(column, &**value);
            }
        }
        if let Some(client) = &filter.client {
            let is_client =
                conditions::is_client(&mut statement, "client_name", client, &snapshot)?;
            statement.add(&is_client);
        }
        let (columns, order) = (Session::COLUMNS, order_of_sessions(filter, order));
        let limit = statement.bind_limit(limit);
        let conditions = statement.conditions();
        let sql =
            format!("SELECT {columns} FROM sessions {conditions} ORDER BY {order} LIMIT {limit}");
        snapshot.records(&sql, &statement)
    }

    /// Returns the session with this whole id.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn session(&mut self, id: &str) -> Result<Option<Session>, PostgresError> {
        let mut statement = Statement::new();
        statement.add_equality("session_id", id);
        let (columns, conditions) = (Session::COLUMNS, statement.conditions());
        let sql = format!("SELECT {columns} FROM sessions {conditions}");
        let mut found = self.snapshot()?.records(&sql, &statement)?;
        Ok(found.pop())
    }

    /// Returns the whole id of the session whose id is, or begins with, `id`. If only requests
    /// have this id, and no row of a session does, it returns the id.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn find_session_id(&mut self, id: &str) -> Result<Lookup<String>, PostgresError> {
        let snapshot = self.snapshot()?;
        let mut statement = Statement::new();
        statement.add_beginning("session_id", id);
        let sql = format!(
            "SELECT DISTINCT session_id FROM store_sessions {} ORDER BY session_id LIMIT {NAMED}",
            statement.conditions()
        );
        let found = one(snapshot.texts(&sql, &statement)?, id, |found| found);
        if found == Lookup::One(id.to_owned()) {
            return Ok(found);
        }
        // A whole id has precedence over the beginning of another one.
        let mut statement = Statement::new();
        statement.add_equality("session_id", id);
        let conditions = statement.conditions();
        let sql = format!("SELECT session_id FROM requests {conditions} LIMIT 1");
        let of_requests = snapshot.texts(&sql, &statement)?.pop();
        Ok(of_requests.map_or(found, Lookup::One))
    }
}
