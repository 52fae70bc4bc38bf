//! The totals of the cells: the sums over all methods and tools but polls, for each server and
//! outcome. Calls over time are read from them, because there are far fewer than cells.
//!
//! Each transaction that changes cells changes the totals too.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::cell::{Cell, Key, highest, with};
use crate::db::bucket_width::BucketWidth;
use crate::db::pruned::POLLS;
use crate::event::Outcome;

const LATENCIES: &str = "SELECT latencies FROM rollup_totals
     WHERE width = ?1 AND start = ?2 AND proxy = ?3 AND outcome = ?4";
const ADD: &str = "INSERT INTO rollup_totals (width, start, proxy, outcome, calls, ended,
        max_latency_us, latencies)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
     ON CONFLICT DO UPDATE SET
        calls = calls + excluded.calls,
        ended = ended + excluded.ended,
        max_latency_us = max(max_latency_us, excluded.max_latency_us),
        latencies = excluded.latencies";
const MOVE_AWAY: &str = "UPDATE rollup_totals SET ended = ended - 1
     WHERE width = ?1 AND start = ?2 AND proxy = ?3 AND outcome = ?4 AND ended > 0";
const DELETE: &str = "DELETE FROM rollup_totals WHERE width = ?1 AND start BETWEEN ?2 AND ?3";

#[derive(Debug, Default)]
struct Total {
    calls: i64,
    ended: i64,
    server_us: Vec<u64>,
}

/// Adds what was added to cells.
pub(super) fn add<'a>(
    conn: &Connection,
    cells: impl IntoIterator<Item = (&'a Key, &'a Cell)>,
) -> Result<()> {
    let mut totals: HashMap<_, Total> = HashMap::new();
    for (key, cell) in cells.into_iter().filter(|(key, _)| has_total(key)) {
        let total = totals
            .entry((key.hour, &*key.proxy, key.outcome))
            .or_default();
        total.calls += cell.calls;
        total.ended += cell.ended;
        total.server_us.extend(&cell.server_us);
    }
    for ((hour, proxy, outcome), total) in &totals {
        for width in BucketWidth::ALL {
            let (ms, start, outcome) = (width.ms(), width.start(*hour), outcome.as_str());
            let before: Option<Vec<u8>> = conn
                .prepare_cached(LATENCIES)?
                .query_row(params![ms, start, proxy, outcome], |row| row.get(0))
                .optional()?;
            conn.prepare_cached(ADD)?.execute(params![
                ms,
                start,
                proxy,
                outcome,
                total.calls,
                total.ended,
                highest(&total.server_us),
                with(&before.unwrap_or_default(), &total.server_us),
            ])?;
        }
    }
    Ok(())
}

/// Subtracts an end that was subtracted from the cell of `key` with another outcome.
pub(super) fn move_away(
    conn: &Connection,
    width: BucketWidth,
    key: &Key,
    outcome: Outcome,
) -> Result<()> {
    if has_total(key) {
        let (ms, start) = (width.ms(), width.start(key.hour));
        let mut update = conn.prepare_cached(MOVE_AWAY)?;
        update.execute(params![ms, start, key.proxy, outcome.as_str()])?;
    }
    Ok(())
}

/// Deletes the totals of one width that began between two times.
pub(super) fn remove(conn: &Connection, width: BucketWidth, from: i64, to: i64) -> Result<()> {
    let mut delete = conn.prepare_cached(DELETE)?;
    delete.execute([width.ms(), from, to]).map(drop)
}

/// Polls have no totals, because a timeline counts them only if its filter names them.
fn has_total(key: &Key) -> bool {
    !POLLS.contains(&key.method.as_str())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::histogram::Histogram;

    /// Asserts that the totals are the sums of the cells.
    #[track_caller]
    pub(crate) fn assert_sums_of_cells(conn: &Connection) {
        let rows = |sql: &str| {
            let mut totals = HashMap::new();
            let mut statement = conn.prepare(sql).unwrap();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let key: (i64, i64, String, String) = (
                    row.get(0).unwrap(),
                    row.get(1).unwrap(),
                    row.get(2).unwrap(),
                    row.get(3).unwrap(),
                );
                let (calls, ended, max, latencies): &mut (i64, i64, i64, Histogram) =
                    totals.entry(key).or_default();
                *calls += row.get::<_, i64>(4).unwrap();
                *ended += row.get::<_, i64>(5).unwrap();
                *max = row.get::<_, i64>(6).unwrap().max(*max);
                latencies.merge(row.get_ref(7).unwrap().as_blob().unwrap());
            }
            totals
        };
        let columns = "width, start, proxy, outcome, calls, ended, max_latency_us, latencies";
        let cells = rows(&format!(
            "SELECT {columns} FROM request_rollups
             WHERE method NOT IN ('ping', 'tasks/get', 'tasks/list')"
        ));
        assert_eq!(rows(&format!("SELECT {columns} FROM rollup_totals")), cells);
    }
}
