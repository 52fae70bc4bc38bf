//! The schema of a fleet's database, and its version.

use tokio_postgres::Client;

use crate::error::{PostgresError, PostgresErrorKind};

/// The version of the schema that this release makes.
pub const SCHEMA_VERSION: i32 = STEPS.len() as i32;

/// `STEPS[n]` leads from version `n` to `n + 1`. A released step is never edited.
pub(crate) const STEPS: [&str; 1] = [include_str!("schema/0001.sql")];

/// The oldest version that this release ships to and reads from.
const OLDEST: i32 = 1;

/// The tables and views of the schema.
pub(crate) const NAMES: [&str; 18] = [
    "sources",
    "requests",
    "store_sessions",
    "tasks",
    "losses",
    "writers",
    "server_schema",
    "schema_changes",
    "listing_payloads",
    "listing_views",
    "request_rollups",
    "rollup_buckets",
    "sessions",
    "calls",
    "operations",
    "tool_stats",
    "hourly_stats",
    "client_stats",
];

/// Returns the version of the schema; `None` if the database has none.
pub(crate) async fn version(client: &Client) -> Result<Option<i32>, PostgresError> {
    let sql = "SELECT to_regclass('mcp_store_meta') IS NOT NULL";
    let found = client.query_typed_one(sql, &[]).await;
    if !found.map_err(PostgresError::of)?.get::<_, bool>(0) {
        return Ok(None);
    }
    let sql = "SELECT version FROM mcp_store_meta";
    let row = client.query_typed_one(sql, &[]).await;
    Ok(Some(row.map_err(PostgresError::of)?.get(0)))
}

/// Fails unless this release knows the schema of the database.
pub(crate) async fn check(client: &Client) -> Result<(), PostgresError> {
    match version(client).await? {
        None => Err(PostgresError::new(
            PostgresErrorKind::NoSchema,
            "the database has no tables of mcp-store, or the user may not see them; \
             its owner creates them with `mcp-store fleet init`",
        )),
        Some(version) if version > SCHEMA_VERSION => Err(newer(version)),
        Some(version) if version < OLDEST => Err(PostgresError::new(
            PostgresErrorKind::NoSchema,
            format!(
                "the schema of the database has version {version}, this release needs \
                 {OLDEST}; the owner migrates it with `mcp-store fleet migrate`"
            ),
        )),
        Some(_) => Ok(()),
    }
}

/// Returns the error for a schema of a newer release.
pub(crate) fn newer(version: i32) -> PostgresError {
    PostgresError::new(
        PostgresErrorKind::NewerSchema,
        format!(
            "the schema of the database has version {version}, this release knows versions \
             up to {SCHEMA_VERSION}; use the newer release that created it"
        ),
    )
}
