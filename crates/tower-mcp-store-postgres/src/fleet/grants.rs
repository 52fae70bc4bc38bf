//! The rights of roles.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::error::PostgresError;
use crate::schema::NAMES;

/// What a shipper does to each table. It needs SELECT for `ON CONFLICT`.
const SHIPPER: &str = "\
    GRANT SELECT ON {all} TO {role};
    GRANT INSERT ON requests, store_sessions, sources, tasks, losses, writers, server_schema,
        schema_changes, listing_payloads, listing_views, request_rollups, rollup_buckets
        TO {role};
    GRANT UPDATE ON store_sessions, sources, tasks, losses, writers, server_schema,
        listing_views, request_rollups, rollup_buckets TO {role};
    GRANT UPDATE (operation_id, leg, operation_us, task_status) ON requests TO {role};";
const READER: &str = "GRANT SELECT ON {all} TO {role};";

pub(super) async fn to_shipper(tx: &Transaction<'_>, role: &str) -> Result<(), PostgresError> {
    grant(tx, SHIPPER, role).await
}

pub(super) async fn to_reader(tx: &Transaction<'_>, role: &str) -> Result<(), PostgresError> {
    grant(tx, READER, role).await
}

/// A statement that grants takes no parameters, so PostgreSQL quotes the role.
async fn grant(tx: &Transaction<'_>, sql: &str, role: &str) -> Result<(), PostgresError> {
    let quoted = tx
        .query_typed_one("SELECT quote_ident($1)", &[(&role, Type::TEXT)])
        .await
        .map_err(PostgresError::of)?;
    let all = format!("mcp_store_meta, {}", NAMES.join(", "));
    let sql = sql.replace("{all}", &all).replace("{role}", quoted.get(0));
    tx.batch_execute(&sql).await.map_err(PostgresError::of)
}
