//! The statement that writes rows of a table, and their values.
//!
//! Each statement takes one array for each column. So one round trip writes any number of
//! rows, and the text of the statement does not depend on their number.

use std::ops::Range;

use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};
use tower_mcp_store::outbox::{OutboxRows, OutboxTable, OutboxValues};

use super::array::Array;

/// Replaces U+0000, which PostgreSQL stores in no text.
const REPLACEMENT: &str = "\u{fffd}";

/// Where the rows of a table go.
struct Place {
    table: &'static str,
    /// What happens to a row whose key exists.
    on_conflict: &'static str,
}

/// Values are those of the file at a later moment than the ones before, so they replace them.
/// Where they only grow, they never shrink either, in case an older copy comes late.
fn place(table: OutboxTable) -> Option<Place> {
    let place = |table, on_conflict| Some(Place { table, on_conflict });
    match table {
        OutboxTable::Requests => place("requests", "DO NOTHING"),
        OutboxTable::SchemaChanges => place("schema_changes", "DO NOTHING"),
        OutboxTable::ListingPayloads => place("listing_payloads", "DO NOTHING"),
        OutboxTable::Sessions => place(
            "store_sessions",
            "(session_id, store_id) DO UPDATE SET
                last_seen_at = greatest(store_sessions.last_seen_at, excluded.last_seen_at),
                ended_at = coalesce(store_sessions.ended_at, excluded.ended_at),
                total_calls = greatest(store_sessions.total_calls, excluded.total_calls),
                total_errors = greatest(store_sessions.total_errors, excluded.total_errors),
                operations = excluded.operations,
                proxy = excluded.proxy, started_at = excluded.started_at,
                client_name = excluded.client_name, client_version = excluded.client_version,
                client_platform = excluded.client_platform, source = excluded.source,
                protocol_version = excluded.protocol_version,
                server_name = excluded.server_name, server_version = excluded.server_version,
                caller = excluded.caller, is_guest = 0",
        ),
        OutboxTable::GuestSessions => place(
            "store_sessions",
            "(session_id, store_id) DO UPDATE SET
                last_seen_at = greatest(store_sessions.last_seen_at, excluded.last_seen_at),
                total_calls = greatest(store_sessions.total_calls, excluded.total_calls),
                total_errors = greatest(store_sessions.total_errors, excluded.total_errors),
                operations = greatest(store_sessions.operations, excluded.operations)",
        ),
        OutboxTable::Tasks => place(
            "tasks",
            "(operation_id, store_id) DO UPDATE SET
                status = excluded.status, updated_ts = excluded.updated_ts,
                ended_ts = excluded.ended_ts, outcome = excluded.outcome,
                error_code = excluded.error_code, error_msg = excluded.error_msg,
                polls = greatest(tasks.polls, excluded.polls), rolled_up_as = excluded.rolled_up_as",
        ),
        OutboxTable::Losses => place(
            "losses",
            "(store_id, id) DO UPDATE SET
                from_ts = least(losses.from_ts, excluded.from_ts),
                to_ts = greatest(losses.to_ts, excluded.to_ts),
                dropped = greatest(losses.dropped, excluded.dropped)",
        ),
        OutboxTable::Writers => place(
            "writers",
            "(store_id, id) DO UPDATE SET
                seen_at = greatest(writers.seen_at, excluded.seen_at),
                ended_at = excluded.ended_at,
                submitted = greatest(writers.submitted, excluded.submitted),
                written = greatest(writers.written, excluded.written),
                failed = greatest(writers.failed, excluded.failed),
                dropped = greatest(writers.dropped, excluded.dropped),
                unlinked = greatest(writers.unlinked, excluded.unlinked),
                posts = greatest(writers.posts, excluded.posts),
                skipped = greatest(writers.skipped, excluded.skipped),
                truncated = greatest(writers.truncated, excluded.truncated),
                unidentified = greatest(writers.unidentified, excluded.unidentified),
                other_media = greatest(writers.other_media, excluded.other_media),
                mismatched = greatest(writers.mismatched, excluded.mismatched),
                listings_too_long =
                    greatest(writers.listings_too_long, excluded.listings_too_long),
                listings_malformed =
                    greatest(writers.listings_malformed, excluded.listings_malformed),
                in_flight = excluded.in_flight",
        ),
        OutboxTable::ServerSchema => place(
            "server_schema",
            "(store_id, id) DO UPDATE SET
                payload = excluded.payload, captured_at = excluded.captured_at,
                schema_hash = excluded.schema_hash",
        ),
        OutboxTable::ListingViews => place(
            "listing_views",
            "(store_id, id) DO UPDATE SET
                meta_hash = excluded.meta_hash, seen_at = excluded.seen_at",
        ),
        OutboxTable::Cells => place(
            "request_rollups",
            "(width, start, proxy, method, tool, outcome, store_id) DO UPDATE SET
                calls = excluded.calls, ended = excluded.ended,
                bytes_in = excluded.bytes_in, bytes_out = excluded.bytes_out,
                max_latency_us = excluded.max_latency_us, max_wall_us = excluded.max_wall_us",
        ),
        OutboxTable::Buckets => place(
            "rollup_buckets",
            "(width, start, proxy, method, tool, outcome, store_id, bucket) DO UPDATE SET
                server = excluded.server, wall = excluded.wall",
        ),
        // Columns of rows that exist; and tables of a later release.
        _ => None,
    }
}

/// The columns of a request that change after it was written. If the database does not have
/// the row yet, a later batch brings it with its newest values.
const CHANGED: &str = "UPDATE requests AS r SET operation_id = u.operation_id, leg = u.leg,
        operation_us = u.operation_us, task_status = u.task_status
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[])
        AS u (request_id, ts, operation_id, leg, operation_us, task_status)
    WHERE r.request_id = u.request_id AND r.ts = u.ts";

/// Replaces what PostgreSQL cannot store.
pub(super) fn clean(rows: &mut OutboxRows) {
    for column in &mut rows.columns {
        if let OutboxValues::Texts(texts) = &mut column.values {
            texts.replace('\0', REPLACEMENT);
        }
    }
}

/// Writes some rows of a table. Returns how many of them are new, or have changed.
pub(super) async fn write(
    tx: &Transaction<'_>,
    store_id: &str,
    rows: &OutboxRows,
    range: Range<usize>,
) -> Result<u64, tokio_postgres::Error> {
    let columns = rows.columns.iter();
    let columns = columns.filter_map(|column| Some((column.name, Array::of(column, &range)?)));
    let mut columns: Vec<_> = columns.collect();
    if rows.table == OutboxTable::ChangedRequests {
        let values: Vec<_> = columns.iter().map(|(_, array)| array.parameter()).collect();
        return tx.execute_typed(CHANGED, &values).await;
    }
    let Some(Place { table, on_conflict }) = place(rows.table) else {
        return Ok(0);
    };
    // For most requests many columns have no value. Without these columns, both sides need a
    // third less time (`benches/fleet`).
    columns.retain(|(_, array)| !array.is_null());
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let mut values: Vec<(&(dyn ToSql + Sync), Type)> = Vec::new();
    // Contents are the same for all files.
    let has_store = rows.table != OutboxTable::ListingPayloads;
    let (into, from) = match has_store {
        true => {
            values.push((&store_id, Type::TEXT));
            (format!("store_id, {names}"), "$1::uuid, u.*")
        }
        false => (names, "u.*"),
    };
    let first = values.len() + 1;
    let arrays: Vec<String> = (first..)
        .zip(&columns)
        .map(|(number, (_, array))| format!("${number}::{}", array.type_name()))
        .collect();
    values.extend(columns.iter().map(|(_, array)| array.parameter()));
    let sql = format!(
        "INSERT INTO {table} ({into}) SELECT {from} FROM unnest({}) AS u
         ON CONFLICT {on_conflict}",
        arrays.join(", ")
    );
    tx.execute_typed(&sql, &values).await
}
