//! Rolls up the ends of tasks. A task ends long after the request that created it,
//! and no row of `requests` holds its end.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, params};

use super::cell::{Cell, Key};
use super::names::Names;
use super::totals;
use crate::db::bucket_width::BucketWidth;
use crate::db::contribution::Contribution;
use crate::db::row::{Lenient, number};
use crate::event::Outcome;

/// The most tasks in one slice.
const SLICE_TASKS: i64 = 256;

/// Tasks whose end is not in its cells, or whose outcome has been refined since.
/// Each comes with its first request, if that still exists.
const ENDED: &str = "SELECT t.operation_id, t.outcome, t.rolled_up_as, t.ended_ts, r.ts, r.proxy,
        r.method, r.tool
     FROM tasks AS t LEFT JOIN requests AS r ON r.request_id = t.operation_id
     WHERE t.ended_ts IS NOT NULL AND t.rolled_up_as IS NOT t.outcome LIMIT ?1";
const ROLLED_UP: &str = "UPDATE tasks SET rolled_up_as = outcome WHERE operation_id = ?1";
/// The end moves from one outcome to another. Its latency is not moved, because
/// statistics add up the latencies of all outcomes.
const MOVE_AWAY: &str = "UPDATE request_rollups SET ended = ended - 1
     WHERE width = ?1 AND start = ?2 AND proxy = ?3 AND method = ?4 AND tool = ?5
        AND outcome = ?6 AND ended > 0";
const COUNT: &str = "SELECT count(*) FROM tasks
     WHERE ended_ts IS NOT NULL AND rolled_up_as IS NOT outcome";

/// Returns the number of tasks whose end is not in its cells.
pub(crate) fn not_rolled_up(conn: &Connection) -> Result<i64> {
    conn.prepare_cached(COUNT)?.query_row([], |row| row.get(0))
}

/// The end of a task to roll up.
struct End {
    operation_id: String,
    /// The cell and the contribution, if the first request and the outcome are known.
    counted: Option<(Key, Contribution)>,
    /// The outcome as which it was counted before.
    before: Option<Outcome>,
}

/// Rolls the ends of some tasks up into their cells. Returns their number, and
/// whether there are no more.
pub(super) fn roll_up(conn: &Connection, names: &mut Names<'_>) -> Result<(u64, bool)> {
    let mut ended = conn.prepare_cached(ENDED)?;
    let mut rows = ended.query([SLICE_TASKS])?;
    // A row that changes while it is read may be returned again.
    let mut found: Vec<End> = Vec::new();
    while let Some(row) = rows.next()? {
        let outcome: Option<Outcome> = Lenient::read(row.get_ref(1)?);
        let before: Option<Outcome> = Lenient::read(row.get_ref(2)?);
        let has_first = row.get_ref(4)? != ValueRef::Null;
        let counted = match outcome.filter(|_| has_first) {
            Some(outcome) => {
                let ended_ts = number(row, 3)?;
                let key = Key::read(row, 5, ended_ts, outcome)?;
                let contribution = Contribution::of_task(outcome, number(row, 4)?, ended_ts);
                Some((key, contribution))
            }
            None => None,
        };
        found.push(End {
            operation_id: row.get(0)?,
            counted,
            before,
        });
    }
    let count = found.len();
    for end in found {
        if let Some((key, contribution)) = end.counted {
            let mut cell = Cell::default();
            match end.before {
                None => cell.add(contribution),
                Some(_) => cell.add_moved(),
            }
            let key = names.admit(conn, key, &cell)?;
            for width in BucketWidth::ALL {
                if let Some(before) = end.before {
                    let (ms, start) = (width.ms(), width.start(key.hour));
                    let outcome = before.as_str();
                    let moved = conn
                        .prepare_cached(MOVE_AWAY)?
                        .execute(params![ms, start, key.proxy, key.method, key.tool, outcome])?;
                    if moved > 0 {
                        totals::move_away(conn, width, &key, before)?;
                    }
                }
                cell.write(conn, width, &key)?;
            }
            totals::add(conn, [(&key, &cell)])?;
        }
        conn.prepare_cached(ROLLED_UP)?
            .execute([end.operation_id])?;
    }
    Ok((count as u64, count < SLICE_TASKS as usize))
}
