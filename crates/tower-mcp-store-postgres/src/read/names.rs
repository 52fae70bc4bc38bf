//! The distinct names by which requests are chosen.

use tower_mcp_store::query::NameKind;

use super::FleetReader;
use super::statement::Statement;
use crate::error::PostgresError;

impl FleetReader {
    /// Returns the distinct names of a kind, at most `limit`, in order of their bytes. Names of
    /// servers, methods and tools may be of requests that were removed.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn names(&mut self, kind: NameKind, limit: usize) -> Result<Vec<String>, PostgresError> {
        let mut statement = Statement::new();
        let limit = statement.bind_limit(limit);
        let sql = match kind {
            NameKind::Server => counted("proxy"),
            NameKind::Method => counted("method"),
            NameKind::Tool => counted("tool"),
            NameKind::Principal => PRINCIPALS.to_owned(),
            NameKind::Client => CLIENTS.to_owned(),
            _ => return Ok(Vec::new()),
        };
        let sql = format!("SELECT name FROM ({sql}) AS names (name) ORDER BY name LIMIT {limit}");
        self.snapshot()?.texts(&sql, &statement)
    }
}

const CLIENTS: &str = "SELECT DISTINCT client_name FROM store_sessions
    WHERE client_name IS NOT NULL";

/// Seeks from one name to the next in the index of principals.
const PRINCIPALS: &str = "WITH RECURSIVE seek (name) AS (
        (SELECT principal FROM requests WHERE principal IS NOT NULL
            ORDER BY principal LIMIT 1)
        UNION ALL
        SELECT (SELECT principal FROM requests WHERE principal > seek.name
            ORDER BY principal LIMIT 1)
        FROM seek WHERE seek.name IS NOT NULL
    )
    SELECT name FROM seek WHERE name IS NOT NULL";

/// Returns the names of a column: those that the statistics count, and those of requests that
/// they do not count yet. No index has all methods and servers.
fn counted(column: &str) -> String {
    format!(
        "SELECT {column} FROM request_rollups WHERE {column} <> ''
         UNION
         SELECT {column} FROM requests JOIN sources ON sources.store_id = requests.store_id
         WHERE requests.id > sources.rolled_up_to AND {column} <> ''"
    )
}
