//! Links legs that were written before the leg that they follow.
//!
//! A new state may show to which operation such a leg belongs. It may also show that
//! the writer has linked a leg to one of two possible operations; that link is then
//! undone.
//!
//! The cells of the statistics count a row as it was when it was rolled up. So a row
//! that is in its cells neither joins nor leaves an operation.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::numbers::{count_operation, number_legs};
use super::search::Search;
use super::{Place, SAME_STATE};
use crate::db::rollup;
use crate::event::{Leg, RequestEvent};

/// The requests that sent a state back and were received at ?3 or later, among the
/// newest ?4 rows that sent it. So the time does not grow with the number of rows that
/// share a state.
const LATE: &str = "SELECT id, request_id, ts FROM (
         SELECT id, request_id, ts, proxy FROM requests
         WHERE state_in = ?1 ORDER BY id DESC LIMIT ?4)
     WHERE proxy = ?2 AND ts >= ?3 ORDER BY ts, id";

/// Removes a row from its operation.
const DETACH: &str = concat!(
    "UPDATE requests SET operation_us = NULL, operation_id = CASE WHEN ",
    is_final!(),
    " THEN NULL ELSE request_id END, leg = CASE WHEN ",
    is_final!(),
    " THEN NULL ELSE 1 END WHERE id = ?1"
);

/// Whether a leg of an operation, or the end of its task, is in a cell.
const IS_COUNTED: &str = "SELECT
     EXISTS (SELECT 1 FROM requests WHERE operation_id = ?1 AND id <= ?2)
     OR EXISTS (SELECT 1 FROM tasks WHERE operation_id = ?1 AND rolled_up_as IS NOT NULL)";

/// The legs that sent a state back, and that were written before the row with that
/// state in its answer.
#[derive(Debug)]
pub(in crate::db) struct LateLegs {
    legs: Vec<LateLeg>,
    /// The last row that is in its cells.
    rolled_up_to: i64,
}

#[derive(Debug)]
struct LateLeg {
    id: i64,
    request_id: String,
    ts: i64,
}

impl LateLegs {
    /// Returns the legs that may follow `event`, because they were received later;
    /// `None` if there are none.
    pub(in crate::db) fn of(
        conn: &Connection,
        event: &RequestEvent,
        place: &Place,
    ) -> Result<Option<Self>> {
        let Some(hash) = place.state_out else {
            return Ok(None);
        };
        let mut late = conn.prepare_cached(LATE)?;
        let values = params![hash, event.proxy, event.ts, SAME_STATE];
        let legs = late.query_map(values, |row| {
            Ok(LateLeg {
                id: row.get(0)?,
                request_id: row.get(1)?,
                ts: row.get(2)?,
            })
        })?;
        let mut legs = legs.collect::<Result<Vec<_>>>()?;
        if legs.is_empty() {
            return Ok(None);
        }
        let rolled_up_to = rollup::rolled_up_to(conn)?;
        legs.retain(|leg| leg.id > rolled_up_to);
        Ok((!legs.is_empty()).then_some(Self { legs, rolled_up_to }))
    }

    /// Links the legs to the operation of `event`, which is at `place`, if they can
    /// belong to no other operation. The row of `event` must be written.
    pub(in crate::db) fn link(
        &self,
        conn: &Connection,
        event: &RequestEvent,
        leg: &Leg,
        place: &Place,
    ) -> Result<()> {
        let (Some(hash), Some(digest), Some(own)) =
            (place.state_out, leg.state_out, &place.operation_id)
        else {
            return Ok(());
        };
        for row in &self.legs {
            // The row is read again, because an earlier iteration may have moved it.
            let Some(at) = Standing::read(conn, row.id)? else {
                continue;
            };
            if at.operation_id.as_ref() == Some(own) {
                continue;
            }
            let search = Search {
                hash,
                digest,
                proxy: &event.proxy,
                ts: row.ts,
            };
            let heads_own = at.operation_id.as_ref() == Some(&row.request_id);
            let except = heads_own.then_some(&*row.request_id);
            let found = search.only_but(conn, except, Some(row.id))?;
            let found = found.map(|(operation_id, _)| operation_id);
            let is_linked = at.operation_id.is_some() && !heads_own;
            if is_linked && found != at.operation_id {
                // When the writer linked the row, it did not know that `own` gave the same
                // state, or that the other operation had ended.
                self.detach(conn, &at)?;
            }
            if found.as_ref() == Some(own) {
                match Standing::read(conn, row.id)?.and_then(|at| at.operation_id) {
                    None => self.attach(conn, row.id, own)?,
                    Some(id) if id == row.request_id => self.merge(conn, &id, own)?,
                    Some(_) => {}
                }
            }
        }
        Ok(())
    }

    /// Makes a row without an operation a leg of `operation`.
    fn attach(&self, conn: &Connection, row: i64, operation: &str) -> Result<()> {
        conn.prepare_cached("UPDATE requests SET operation_id = ?2 WHERE id = ?1")?
            .execute(params![row, operation])?;
        count_operation(conn, row, -1)?;
        number_legs(conn, operation, self.rolled_up_to)
    }

    /// Moves the legs of an operation, whose first leg turned out to be a later one, to
    /// another operation.
    fn merge(&self, conn: &Connection, from: &str, into: &str) -> Result<()> {
        let mut is_counted = conn.prepare_cached(IS_COUNTED)?;
        if is_counted.query_row(params![from, self.rolled_up_to], |row| row.get(0))? {
            return Ok(());
        }
        let head = "SELECT id FROM requests WHERE request_id = ?1";
        if let Some(head) = conn.query_row(head, [from], |row| row.get(0)).optional()? {
            count_operation(conn, head, -1)?;
        }
        for change in [
            "UPDATE requests SET operation_id = ?2 WHERE operation_id = ?1",
            "UPDATE OR IGNORE tasks SET operation_id = ?2 WHERE operation_id = ?1",
        ] {
            conn.prepare_cached(change)?.execute([from, into])?;
        }
        conn.prepare_cached("DELETE FROM tasks WHERE operation_id = ?1")?
            .execute([from])?;
        number_legs(conn, into, self.rolled_up_to)
    }

    /// Removes a leg and all legs after it from their operation, because the later ones
    /// may not belong there either. Those that were received later count as well: if rows
    /// are committed out of order, they can have a lower number.
    fn detach(&self, conn: &Connection, at: &Standing) -> Result<()> {
        let Standing {
            operation_id: Some(operation),
            leg: Some(leg),
            ts,
        } = at
        else {
            return Ok(());
        };
        let mut later = conn.prepare_cached(
            "SELECT id, request_id, task_id FROM requests
             WHERE operation_id = ?1 AND request_id <> ?1 AND (leg >= ?2 OR ts >= ?3)
                 AND id > ?4",
        )?;
        let rows = later.query_map(params![operation, leg, ts, self.rolled_up_to], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        let rows: Vec<(i64, String, Option<String>)> = rows.collect::<Result<_>>()?;
        for (id, request_id, task_id) in rows {
            conn.prepare_cached(DETACH)?.execute([id])?;
            conn.prepare_cached(
                "UPDATE OR IGNORE tasks SET operation_id = ?2
                 WHERE operation_id = ?1 AND task_id = ?3",
            )?
            .execute(params![operation, request_id, task_id])?;
            count_operation(conn, id, 1)?;
        }
        number_legs(conn, operation, self.rolled_up_to)
    }
}

/// The current state of a row.
struct Standing {
    operation_id: Option<String>,
    leg: Option<i64>,
    ts: i64,
}

impl Standing {
    fn read(conn: &Connection, id: i64) -> Result<Option<Self>> {
        let mut standing =
            conn.prepare_cached("SELECT operation_id, leg, ts FROM requests WHERE id = ?1")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Self {
                operation_id: row.get(0)?,
                leg: row.get(1)?,
                ts: row.get(2)?,
            })
        };
        standing.query_row([id], read).optional()
    }
}
