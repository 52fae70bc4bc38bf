//! The steps that bring a file from any older version to ours.
//!
//! A step that was released is never edited: a file of its version exists
//! somewhere. A fresh file takes the same way.

use rusqlite::{Connection, Result};

use super::SCHEMA_VERSION;
use super::names::Names;

/// `STEPS[n]` leads from version `n` to `n + 1`.
const STEPS: [&str; SCHEMA_VERSION as usize] = [
    include_str!("migrations/0001_requests_sessions.sql"),
    include_str!("migrations/0002_schema_listings.sql"),
    include_str!("migrations/0003_schema_proxy.sql"),
    include_str!("migrations/0004_latency_us.sql"),
    include_str!("migrations/0005_outcomes_losses.sql"),
];

/// Makes the tables of version `to` out of those of version `from`.
///
/// The caller holds the transaction that makes it all or nothing, and writes
/// the new version into `meta`.
pub(super) fn migrate(conn: &Connection, from: i64, to: i64) -> Result<()> {
    let names = Names::given(conn, from, to)?;
    for (version, step) in (1..).zip(STEPS) {
        if (from + 1..=to).contains(&version) {
            conn.execute_batch(&names.applied(step))?;
            if version == 3 {
                restore_additions(conn)?;
            }
        }
    }
    Ok(())
}

/// The user's columns and their definitions. A column of a table with rows takes
/// only a constant default, and is not NULL only with one.
const KEPT_COLUMNS: &str = "SELECT name, type || CASE
        WHEN dflt_value IS NULL OR dflt_value LIKE '%(%' OR dflt_value LIKE 'CURRENT_%' THEN ''
        ELSE iif(\"notnull\" AND upper(dflt_value) <> 'NULL', ' NOT NULL', '')
            || ' DEFAULT ' || dflt_value
    END FROM temp.kept_schema_columns";

/// Gives the rebuilt `server_schema` back the columns, indexes and triggers
/// that were no part of its version.
fn restore_additions(conn: &Connection) -> Result<()> {
    for (name, definition) in rows(conn, KEPT_COLUMNS)? {
        let name = quoted(&name);
        conn.execute_batch(&format!(
            "ALTER TABLE main.server_schema ADD COLUMN {name} {definition};
             UPDATE main.server_schema SET {name} =
                 (SELECT kept.{name} FROM temp.kept_schema kept WHERE kept.id = server_schema.id);"
        ))?;
    }
    for (sql, _) in rows(conn, "SELECT sql, '' FROM temp.kept_schema_sql")? {
        conn.execute_batch(&sql)?;
    }
    conn.execute_batch(
        "DROP TABLE temp.kept_schema;
         DROP TABLE temp.kept_schema_columns;
         DROP TABLE temp.kept_schema_sql;",
    )
}

fn rows(conn: &Connection, sql: &str) -> Result<Vec<(String, String)>> {
    conn.prepare(sql)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// `name` as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
