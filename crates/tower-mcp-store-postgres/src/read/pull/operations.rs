//! Operations and tasks, which change after their requests were pulled.
//!
//! A file links the requests that it has itself. Those that reached several replicas are linked
//! here, as the view `operations` of the database does: a request continues the operation of
//! another file that gave the state which it sends back.

use std::collections::{BTreeSet, HashMap};

use tower_mcp_store::outbox::OutboxTable;
use tower_mcp_store::pull::PullTransaction;
use tower_mcp_store::query::Value;

use super::super::snapshot::Snapshot;
use super::super::statement::Statement;
use super::{number, text, try_each, unwritable};
use crate::error::PostgresError;

/// The first requests of operations that continue an operation of another file.
const CONTINUED: &str = "SELECT request_id, giver FROM (
        SELECT request_id, mcp_store_giver(request_id, ts, proxy, state_in) AS giver
        FROM requests WHERE state_in IS NOT NULL AND coalesce(leg, 1) = 1 AND ts >= $1
    ) AS heads WHERE giver IS NOT NULL";

/// The requests whose place in an operation may change.
const PLACES: &str = "SELECT request_id, operation_id, leg, operation_us, task_status
    FROM requests WHERE (operation_id IS NOT NULL OR state_in IS NOT NULL) AND ts >= $1";

/// The tasks, with what other files know about them. It is in the order of the columns of a
/// file's table `tasks`, whose last one says what its cells count.
const TASKS: &str = "SELECT k.operation_id, k.task_id, k.caller,
        CASE WHEN k.ended_ts IS NOT NULL OR o.ended_ts IS NULL THEN k.status
            WHEN o.outcome = 'ok' THEN 'completed'
            WHEN o.outcome = 'gone' THEN 'cancelled'
            ELSE 'failed' END,
        CASE WHEN k.ended_ts IS NULL THEN greatest(k.updated_ts, o.ended_ts)
            ELSE k.updated_ts END,
        coalesce(k.ended_ts, o.ended_ts),
        CASE WHEN k.ended_ts IS NOT NULL THEN k.outcome ELSE o.outcome END,
        k.error_code, k.error_msg, k.polls + o.polls, NULL::text
    FROM requests AS f
    JOIN tasks AS k ON k.operation_id = f.request_id AND k.store_id = f.store_id
    CROSS JOIN LATERAL mcp_store_task_elsewhere(
        k.task_id, k.store_id, f.proxy, f.session_id, k.caller, f.ts) AS o
    WHERE f.operation_id IS NOT NULL AND f.ts >= $1";

/// For each operation that continues another one, the first operation.
struct Roots(HashMap<String, String>);

/// Brings the operations and tasks of the file up to date.
pub(super) fn pull(
    snapshot: &Snapshot<'_>,
    tx: &PullTransaction<'_>,
    since: i64,
) -> Result<(), PostgresError> {
    let mut from = Statement::new();
    from.bind(since);
    let roots = Roots::read(snapshot, tx, &from)?;
    try_each(snapshot, PLACES, &from, |values| {
        let request_id = text(values, 0).unwrap_or_default();
        let operation_id = text(values, 1);
        let root = roots.of(operation_id.unwrap_or(request_id));
        let numbers = [number(values, 2), number(values, 3)];
        tx.place(request_id, root.or(operation_id), numbers, text(values, 4))
    })?;
    for root in roots.0.values().collect::<BTreeSet<_>>() {
        tx.number_legs(root).map_err(unwritable)?;
    }
    let mut insert = tx.insert(OutboxTable::Tasks).map_err(unwritable)?;
    try_each(snapshot, TASKS, &from, |values| {
        let root = text(values, 0).and_then(|operation_id| roots.of(operation_id));
        let Some((root, (_, others))) = root.zip(values.split_first()) else {
            return insert.put(values).map(drop);
        };
        let mut moved = vec![Value::Text(root.to_owned())];
        moved.extend_from_slice(others);
        insert.put(&moved).map(drop)
    })
}

impl Roots {
    fn read(
        snapshot: &Snapshot<'_>,
        tx: &PullTransaction<'_>,
        from: &Statement,
    ) -> Result<Self, PostgresError> {
        let mut givers = HashMap::new();
        snapshot.each(CONTINUED, from, |values| {
            if let Some((head, giver)) = text(values, 0).zip(text(values, 1)) {
                givers.insert(head.to_owned(), giver.to_owned());
            }
        })?;
        let mut roots = HashMap::new();
        for head in givers.keys() {
            let mut root = head;
            // Each step leads to another operation, unless two gave each other's state.
            for _ in 0..givers.len() {
                match givers.get(root) {
                    Some(giver) => root = giver,
                    None => break,
                }
            }
            // An operation that began before the window cannot be shown.
            if !givers.contains_key(root) && tx.has_request(root).map_err(unwritable)? {
                roots.insert(head.clone(), root.clone());
            }
        }
        Ok(Self(roots))
    }

    /// Returns the first operation, if `operation_id` continues another one.
    fn of(&self, operation_id: &str) -> Option<&str> {
        self.0.get(operation_id).map(String::as_str)
    }
}
