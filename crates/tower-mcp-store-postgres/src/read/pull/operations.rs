//! Operations and tasks, which change after their requests were pulled.
//!
//! A file links the requests that it has itself. Those that reached several replicas are linked
//! as in the view `operations` of the database.

use std::collections::{BTreeSet, HashMap};

use tower_mcp_store::outbox::OutboxTable;
use tower_mcp_store::pull::PullTransaction;
use tower_mcp_store::query::Value;

use super::super::PLACED;
use super::super::snapshot::Snapshot;
use super::super::statement::Statement;
use super::{number, text, try_each, unwritable};
use crate::error::PostgresError;

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

/// Brings the operations and tasks of the file up to date.
pub(super) fn pull(
    snapshot: &Snapshot<'_>,
    tx: &PullTransaction<'_>,
    since: i64,
) -> Result<(), PostgresError> {
    let mut from = Statement::new();
    from.bind(since);
    // The operations of requests that follow another one.
    let mut roots = HashMap::new();
    // The requests whose place may change: their places in their files, and over all files.
    let places = format!(
        "SELECT request_id, task_status, operation_id, leg, operation_us,
             fleet_operation, fleet_leg, fleet_us, state_in IS NOT NULL
         FROM {PLACED} WHERE (operation_id IS NOT NULL OR state_in IS NOT NULL) AND ts >= $1"
    );
    try_each(snapshot, &places, &from, |values| {
        let request_id = text(values, 0).unwrap_or_default();
        let root = text(values, 5);
        let follows = number(values, 6).is_some_and(|leg| leg > 1);
        let is_of_fleet = values.get(8) == Some(&Value::Integer(1));
        // The place in its file is that of a request whose operation began before the window.
        let is_whole = !follows || tx.has_request(root.unwrap_or_default())?;
        let (operation_id, numbers) = match is_of_fleet && is_whole {
            true => (root, [number(values, 6), number(values, 7)]),
            false => (text(values, 2), [number(values, 3), number(values, 4)]),
        };
        if let Some(root) = root.filter(|_| follows && is_whole) {
            roots.insert(request_id.to_owned(), root.to_owned());
        }
        tx.place(request_id, operation_id, numbers, text(values, 1))
    })?;
    for root in roots.values().collect::<BTreeSet<_>>() {
        tx.number_legs(root).map_err(unwritable)?;
    }
    let mut insert = tx.insert(OutboxTable::Tasks).map_err(unwritable)?;
    try_each(snapshot, TASKS, &from, |values| {
        let root = text(values, 0).and_then(|operation_id| roots.get(operation_id));
        let Some((root, (_, others))) = root.zip(values.split_first()) else {
            return insert.put(values).map(drop);
        };
        let mut moved = vec![Value::Text(root.to_owned())];
        moved.extend_from_slice(others);
        insert.put(&moved).map(drop)
    })
}
