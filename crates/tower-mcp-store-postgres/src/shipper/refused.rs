//! Rows that the database refuses. A binary search finds them, so that all others are shipped.

use std::ops::Range;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use tower_mcp_store::outbox::{OutboxRows, OutboxTable, OutboxValues};

use super::statement;
use crate::error::PostgresError;

/// A request that was refused. Its id is that of the request below 0, so that a second copy of
/// the batch enters it once.
const LOST: &str = "INSERT INTO losses (store_id, id, from_ts, to_ts, dropped, reason)
    VALUES ($1::uuid, -$2, $3, $3, 1, 'refused') ON CONFLICT DO NOTHING";

/// Returns whether the values of a row are the cause (PostgreSQL manual, appendix A): data
/// exceptions, integrity constraints, and rows that are too large for an index.
pub(super) fn is_of_row(error: &tokio_postgres::Error) -> bool {
    let class = error.code().and_then(|code| code.code().get(..2));
    matches!(class, Some("22" | "23" | "54"))
}

/// Writes rows like [`statement::write`], without those that are refused. Returns how many are
/// new, and how many were refused.
pub(super) async fn write_others(
    tx: &mut Transaction<'_>,
    store_id: &str,
    rows: &OutboxRows,
) -> Result<(u64, u64), PostgresError> {
    let (mut written, mut refused) = (0, 0);
    let mut ranges: Vec<Range<usize>> = std::iter::once(0..rows.len()).collect();
    while let Some(range) = ranges.pop() {
        let savepoint = tx.savepoint("rows").await.map_err(PostgresError::of)?;
        match statement::write(&savepoint, store_id, rows, range.clone()).await {
            Ok(new) => {
                savepoint.commit().await.map_err(PostgresError::of)?;
                written += new;
            }
            Err(error) if is_of_row(&error) => {
                savepoint.rollback().await.map_err(PostgresError::of)?;
                let middle = range.start + range.len() / 2;
                if range.len() > 1 {
                    ranges.extend([middle..range.end, range.start..middle]);
                } else {
                    let cause = PostgresError::of(error);
                    tracing::warn!(table = ?rows.table, "the database refused a row: {cause}");
                    refused += 1;
                    report(tx, store_id, rows, range.start).await?;
                }
            }
            Err(error) => return Err(PostgresError::of(error)),
        }
    }
    Ok((written, refused))
}

/// Adds a refused request to `losses` of the database.
async fn report(
    tx: &Transaction<'_>,
    store_id: &str,
    rows: &OutboxRows,
    at: usize,
) -> Result<(), PostgresError> {
    if rows.table != OutboxTable::Requests {
        return Ok(());
    }
    let (id, ts) = (integer(rows, "id", at), integer(rows, "ts", at));
    let values = [
        (&store_id as _, Type::TEXT),
        (&id as _, Type::INT8),
        (&ts as _, Type::INT8),
    ];
    let reported = tx.execute_typed(LOST, &values).await;
    reported.map(drop).map_err(PostgresError::of)
}

fn integer(rows: &OutboxRows, name: &str, at: usize) -> i64 {
    let column = rows.columns.iter().find(|column| column.name == name);
    match column.map(|column| &column.values) {
        Some(OutboxValues::Integers(values)) => values.get(at).copied().flatten().unwrap_or(0),
        _ => 0,
    }
}
