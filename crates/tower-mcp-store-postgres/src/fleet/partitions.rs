//! The partitions of `requests`: one for each day, in UTC.
//!
//! Rows whose day has no partition are in `requests_default`. A partition is created before its
//! day begins: to move rows out of the default partition, PostgreSQL has to lock it against
//! writes.

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::error::PostgresError;

pub(super) const DAY_MS: i64 = 86_400_000;

/// How many days ahead partitions are made.
const AHEAD: i64 = 7;

/// How many days before today get a partition if rows of them are in the default one. Older
/// rows stay there.
const BEFORE: i64 = 400;

/// The days that need a partition, as numbers since 1970, with the names of the partitions: the
/// next days, and those of rows in the default partition.
const MISSING: &str = "
    WITH today (day) AS (SELECT floor(extract(epoch FROM now()) / 86400)::bigint),
    days (day) AS (
        SELECT generate_series(day, day + $1) FROM today
        UNION
        SELECT DISTINCT (ts - (ts % 86400000 + 86400000) % 86400000) / 86400000
        FROM requests_default, today
        WHERE ts >= (day - $2) * 86400000 AND ts < (day + $1 + 1) * 86400000
    ),
    named AS (
        SELECT day,
            'requests_' || to_char(to_timestamp(day * 86400) AT TIME ZONE 'UTC', 'YYYYMMDD')
                AS name
        FROM days
    )
    SELECT day, name FROM named WHERE to_regclass(name) IS NULL ORDER BY day";

/// Creates the missing partitions.
pub(super) async fn make(tx: &Transaction<'_>) -> Result<(), PostgresError> {
    let missing = tx.query_typed(MISSING, &[(&AHEAD, Type::INT8), (&BEFORE, Type::INT8)]);
    for row in missing.await.map_err(PostgresError::of)? {
        let (day, name): (i64, String) = (row.get(0), row.get(1));
        let (from, before) = (day * DAY_MS, (day + 1) * DAY_MS);
        // Statements that change tables take no parameters. Both times are numbers, and the
        // name has only digits beside a fixed word.
        let sql = format!(
            "LOCK TABLE requests_default IN ACCESS EXCLUSIVE MODE;
             CREATE TABLE {name} (LIKE requests INCLUDING DEFAULTS);
             WITH moved AS (
                 DELETE FROM requests_default WHERE ts >= {from} AND ts < {before} RETURNING *)
             INSERT INTO {name} SELECT * FROM moved;
             ALTER TABLE requests ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({before})"
        );
        tx.batch_execute(&sql).await.map_err(PostgresError::of)?;
    }
    Ok(())
}

/// Drops the partitions of days that ended before a time. Returns their number.
pub(super) async fn drop_before(tx: &Transaction<'_>, before: i64) -> Result<u64, PostgresError> {
    let sql = "
        SELECT c.relname::text FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'requests'::regclass AND c.relname ~ '^requests_[0-9]{8}$'
            AND 1000 * extract(epoch FROM
                to_date(right(c.relname::text, 8), 'YYYYMMDD') + 1)::bigint <= $1
        ORDER BY 1";
    let due = tx.query_typed(sql, &[(&before, Type::INT8)]).await;
    let due = due.map_err(PostgresError::of)?;
    for row in &due {
        let name: &str = row.get(0);
        let drop = tx.batch_execute(&format!("DROP TABLE {name}")).await;
        drop.map_err(PostgresError::of)?;
    }
    Ok(due.len() as u64)
}
