//! The columns of `requests` and `sessions`, in the order of their tables.
//!
//! To add a column:
//!
//! 1. add it to the newest migration, or to a new one (`migrations/`, `steps.rs`);
//! 2. add it here, with the version of that migration;
//! 3. add the field to the event (`event/request.rs` or `event/session.rs`); the
//!    compiler then leads to its size in the same file, and to `batch.rs`, which binds it;
//! 4. set it in `capture`;
//! 5. add the field to the row that is read (`query/request.rs` or
//!    `query/sessions.rs`), which selects the column and reads it;
//! 6. document it in `docs/file-format.md`;
//! 7. for `requests`, add it to the table in `crates/tower-mcp-store-postgres/src/schema`.
//!
//! This list does not also make the fields and the values. A macro for them would need
//! the type, the getter and the documentation of each column, for two structs whose
//! other fields have no column.

use std::sync::LazyLock;

/// A column of a table.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    /// The version of the tables that added it.
    pub(crate) since: i64,
    /// The SQL expression that stands for it in files of older versions.
    pub(crate) default: &'static str,
}

const fn original(name: &'static str) -> Column {
    added(name, 1, "NULL")
}

const fn added(name: &'static str, since: i64, default: &'static str) -> Column {
    Column {
        name,
        since,
        default,
    }
}

/// The columns of `requests`.
pub(crate) const REQUESTS: &[Column] = &[
    original("id"),
    original("request_id"),
    original("ts"),
    original("proxy"),
    original("session_id"),
    original("method"),
    original("tool"),
    // Before version 4 it was in milliseconds and had another name.
    added("latency_us", 4, "0"),
    original("status"),
    original("error_code"),
    original("error_msg"),
    original("bytes_in"),
    original("bytes_out"),
    added("target", 5, "NULL"),
    added("http_status", 5, "NULL"),
    added("tool_error", 5, "0"),
    added("end_reason", 5, "NULL"),
    added("ttfb_us", 5, "NULL"),
    added("protocol_version", 5, "NULL"),
    added("principal", 5, "NULL"),
    added("trace_id", 5, "NULL"),
    added("parent_span_id", 5, "NULL"),
    added("rpc_id", 5, "NULL"),
    added("operation_id", 5, "NULL"),
    added("leg", 5, "NULL"),
    added("state_in", 5, "NULL"),
    added("state_out", 5, "NULL"),
    added("task_id", 5, "NULL"),
    added("task_status", 5, "NULL"),
    added("operation_us", 5, "NULL"),
];

/// Adds a row to `requests`: all columns except `id`, which SQLite assigns, in the
/// order of [`REQUESTS`].
pub(super) static INSERT_REQUEST: LazyLock<String> = LazyLock::new(|| {
    let given = REQUESTS.iter().filter(|column| column.name != "id");
    let names: Vec<&str> = given.map(|column| column.name).collect();
    let values = vec!["?"; names.len()].join(", ");
    format!(
        "INSERT INTO requests ({}) VALUES ({values})",
        names.join(", ")
    )
});

/// The columns of `sessions`.
pub(crate) const SESSIONS: &[Column] = &[
    original("session_id"),
    original("proxy"),
    original("started_at"),
    original("last_seen_at"),
    original("ended_at"),
    original("client_name"),
    original("client_version"),
    original("client_platform"),
    original("total_calls"),
    original("total_errors"),
    added("source", 5, "NULL"),
    added("protocol_version", 5, "NULL"),
    added("server_name", 5, "NULL"),
    added("server_version", 5, "NULL"),
    added("caller", 5, "NULL"),
    // Before version 5, each request counts as an operation.
    added("operations", 5, "total_calls"),
];

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    #[test]
    fn each_version_has_the_columns_that_are_listed_for_it() {
        for version in 4..=SCHEMA_VERSION {
            let conn = Connection::open_in_memory().unwrap();
            migrate::migrate(&conn, 0, version).unwrap();
            for (table, columns) in [("requests", REQUESTS), ("sessions", SESSIONS)] {
                let mut found = conn
                    .prepare("SELECT name FROM pragma_table_info(?1)")
                    .unwrap();
                let found = found.query_map([table], |row| row.get(0)).unwrap();
                let found: Vec<String> = found.map(Result::unwrap).collect();
                let expected = columns.iter().filter(|column| column.since <= version);
                let expected: Vec<&str> = expected.map(|column| column.name).collect();
                assert_eq!(found, expected, "{table} of version {version}");
            }
        }
    }
}
