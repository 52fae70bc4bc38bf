//! The numbers of an operation's legs, and the sum of their latencies.

use rusqlite::{Connection, Result, Row, params};

/// The legs of an operation, in order.
const ORDERED: &str = concat!(
    "SELECT id, latency_us, operation_us, ",
    is_final!(),
    " FROM requests WHERE operation_id = ?1 ORDER BY request_id <> ?1, ts, id"
);

/// A leg, as its row is before the legs are numbered.
struct Leg {
    id: i64,
    latency_us: i64,
    operation_us: Option<i64>,
    is_final: bool,
}

impl Leg {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            latency_us: row.get(1)?,
            operation_us: row.get(2)?,
            is_final: row.get(3)?,
        })
    }
}

/// Numbers the legs by time, and stores the sum of their latencies in the first
/// final one.
///
/// The rows up to `rolled_up_to` are in their cells, which count the end of the operation
/// where `operation_us` is. So the end stays there.
pub(in crate::db) fn number_legs(
    conn: &Connection,
    operation: &str,
    rolled_up_to: i64,
) -> Result<()> {
    let mut legs = conn.prepare_cached(ORDERED)?;
    let legs = legs.query_map([operation], Leg::from_row)?;
    let legs: Vec<Leg> = legs.collect::<Result<_>>()?;
    let mut number = conn.prepare_cached(
        "UPDATE requests SET leg = ?2, operation_us = ?3 WHERE id = ?1
         AND (leg IS NOT ?2 OR operation_us IS NOT ?3)",
    )?;
    let is_counted = |leg: &Leg| leg.id <= rolled_up_to;
    let mut has_ended = legs
        .iter()
        .any(|leg| is_counted(leg) && leg.operation_us.is_some());
    let mut sum = 0_i64;
    for (place, leg) in (1_i64..).zip(legs) {
        sum = sum.saturating_add(leg.latency_us);
        let operation_us = if is_counted(&leg) {
            leg.operation_us
        } else if leg.is_final && !has_ended {
            has_ended = true;
            Some(sum)
        } else {
            None
        };
        number.execute(params![leg.id, place, operation_us])?;
    }
    Ok(())
}

/// Adds `change` to the operations of the row's session.
pub(super) fn count_operation(conn: &Connection, row: i64, change: i64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE sessions SET operations = operations + ?2
         WHERE session_id = (SELECT session_id FROM requests WHERE id = ?1)",
    )?
    .execute([row, change])
    .map(drop)
}
