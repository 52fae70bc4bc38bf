//! Sessions, listings, losses and runs of writers.

use tower_mcp_store::outbox::OutboxTable;
use tower_mcp_store::pull::{PullTransaction, columns};

use super::super::snapshot::Snapshot;
use super::super::statement::Statement;
use super::{try_each, unwritable};
use crate::error::PostgresError;

/// Of which rows a table consists, and their order, which is also that of their new numbers.
const ALL: [(OutboxTable, &str); 7] = [
    (
        OutboxTable::Sessions,
        "FROM sessions WHERE last_seen_at >= $1",
    ),
    (
        OutboxTable::Losses,
        "FROM losses WHERE to_ts >= $1 ORDER BY from_ts, store_id, id",
    ),
    // Two files have one run if they were copies when they were first shipped.
    (
        OutboxTable::Writers,
        "FROM (SELECT DISTINCT ON (id) * FROM writers ORDER BY id, written DESC, store_id) AS w",
    ),
    // A file has the newest content of each listing.
    (
        OutboxTable::ServerSchema,
        "FROM (
             SELECT DISTINCT ON (proxy, upstream_url, method) * FROM server_schema
             ORDER BY proxy, upstream_url, method, captured_at DESC, store_id, id
         ) AS s ORDER BY captured_at, store_id, id",
    ),
    (
        OutboxTable::SchemaChanges,
        "FROM schema_changes ORDER BY detected_at, store_id, id",
    ),
    (
        OutboxTable::ListingViews,
        "FROM listing_views ORDER BY seen_at, store_id, id",
    ),
    (
        OutboxTable::ListingPayloads,
        "FROM listing_payloads WHERE content_hash <> ALL ($1)",
    ),
];

/// Brings these tables of the file up to date.
pub(super) fn pull(
    snapshot: &Snapshot<'_>,
    tx: &PullTransaction<'_>,
    since: i64,
) -> Result<(), PostgresError> {
    for (table, from) in ALL {
        let mut statement = Statement::new();
        if table == OutboxTable::ListingPayloads {
            statement.bind(tx.payloads().map_err(unwritable)?);
        } else if from.contains("$1") {
            statement.bind(since);
        }
        let sql = format!("SELECT {} {from}", columns(table).join(", "));
        let mut insert = tx.insert(table).map_err(unwritable)?;
        try_each(snapshot, &sql, &statement, |values| {
            insert.put(values).map(drop)
        })?;
    }
    Ok(())
}
