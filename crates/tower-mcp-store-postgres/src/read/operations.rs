//! Calls as clients see them: whole operations with their requests in all files.

use std::collections::HashMap;

use tower_mcp_store::query::foreign::{self, OperationRow, Record as _};
use tower_mcp_store::query::{Operation, OperationKind, RequestFilter, Task};

use super::snapshot::Snapshot;
use super::statement::Statement;
use super::{FleetReader, FleetRequest, PLACED, conditions, select};
use crate::error::PostgresError;

/// The most requests that are read of one operation.
const LEGS: usize = 1_000;

impl FleetReader {
    /// Returns the newest `limit` operations that the filter takes, newest first.
    ///
    /// [`RequestFilter::outcomes`] are outcomes of the whole operation. All other conditions are
    /// about its first request.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn operations(
        &mut self,
        filter: &RequestFilter,
        limit: usize,
    ) -> Result<Vec<Operation<FleetRequest>>, PostgresError> {
        let snapshot = self.snapshot()?;
        let mut of_first = filter.clone();
        let outcomes = std::mem::take(&mut of_first.outcomes).into_iter();
        let mut statement = conditions::of(&of_first, &snapshot)?;
        let first = statement.conditions();
        let outcomes = Vec::from_iter(outcomes.map(|outcome| outcome.as_str().to_owned()));
        let has_outcome = match outcomes.is_empty() {
            true => "true".to_owned(),
            false => format!("outcome = ANY ({})", statement.bind(outcomes)),
        };
        let limit = statement.bind_limit(limit);
        let columns = OperationRow::COLUMNS;
        let sql = format!(
            "SELECT {columns}
             FROM (SELECT request_id AS first_id, ts AS first_ts, id AS row, store_id AS store
                   FROM requests {first}) AS first
             JOIN operations ON operation_id = first_id AND ts = first_ts
             WHERE {has_outcome} ORDER BY ts DESC, row DESC, store DESC LIMIT {limit}"
        );
        whole(&snapshot, snapshot.records(&sql, &statement)?)
    }

    /// Returns the operation of the request with this whole id. Any request of the operation, in
    /// any file, finds it. `None` if there is no such request, or the first one of the operation
    /// was removed.
    ///
    /// A poll of a task is an operation by itself.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn find_operation(
        &mut self,
        request_id: &str,
    ) -> Result<Option<Operation<FleetRequest>>, PostgresError> {
        let snapshot = self.snapshot()?;
        let mut statement = Statement::new();
        let id = statement.bind(request_id);
        let columns = OperationRow::COLUMNS;
        // Only the first request of all files is in `operations`.
        let sql = format!(
            "SELECT {columns} FROM operations WHERE operation_id = (
                 SELECT coalesce(
                     CASE WHEN state_in IS NULL THEN operation_id ELSE fleet_operation END,
                     request_id)
                 FROM {PLACED} WHERE request_id = {id} LIMIT 1)"
        );
        let found = snapshot.records(&sql, &statement)?;
        Ok(whole(&snapshot, found)?.pop())
    }
}

/// Adds the requests and tasks of operations.
fn whole(
    snapshot: &Snapshot<'_>,
    rows: Vec<OperationRow>,
) -> Result<Vec<Operation<FleetRequest>>, PostgresError> {
    let mut singles = singles(snapshot, &rows)?;
    let whole = rows.into_iter().map(|row| {
        let (task, requests) = match singles.remove(&row.operation_id) {
            Some(single) => (None, vec![single]),
            None => (
                task(snapshot, &row.operation_id)?,
                legs(snapshot, &row.operation_id)?,
            ),
        };
        Ok(foreign::operation(row, task, requests))
    });
    whole.collect()
}

/// Returns the requests of operations that have one.
fn singles(
    snapshot: &Snapshot<'_>,
    rows: &[OperationRow],
) -> Result<HashMap<String, FleetRequest>, PostgresError> {
    let rows = rows.iter().filter(|row| row.kind == OperationKind::Single);
    let times = rows.clone().map(|row| row.ts);
    let (Some(from), Some(to)) = (times.clone().min(), times.max()) else {
        return Ok(HashMap::new());
    };
    let mut statement = Statement::new();
    let ids = statement.bind(Vec::from_iter(rows.map(|row| row.operation_id.clone())));
    let (from, to) = (statement.bind(from), statement.bind(to));
    statement.add(&format!(
        "request_id = ANY ({ids}) AND ts BETWEEN {from} AND {to}"
    ));
    let found = select(snapshot, statement, "")?.into_iter();
    Ok(found
        .map(|found| (found.request.request_id.clone(), found))
        .collect())
}

/// Returns the requests of an operation in all files, first to last.
fn legs(snapshot: &Snapshot<'_>, operation_id: &str) -> Result<Vec<FleetRequest>, PostgresError> {
    let mut statement = Statement::new();
    let id = statement.bind(operation_id);
    let limit = statement.bind_limit(LEGS);
    statement.add(&format!(
        "(request_id, ts) IN (SELECT request_id, ts FROM mcp_store_legs({id}))"
    ));
    let order = format!("ORDER BY ts, leg NULLS FIRST, id, requests.store_id LIMIT {limit}");
    select(snapshot, statement, &order)
}

/// Returns the task of an operation. Its end may be in the requests of another file.
fn task(snapshot: &Snapshot<'_>, operation_id: &str) -> Result<Option<Task>, PostgresError> {
    let mut statement = Statement::new();
    let id = statement.bind(operation_id);
    let columns = Task::COLUMNS;
    let sql = format!(
        "SELECT {columns} FROM (
             SELECT k.task_id,
                 CASE
                     WHEN k.ended_ts IS NOT NULL OR o.ended_ts IS NULL THEN k.status
                     WHEN o.outcome = 'ok' THEN 'completed'
                     WHEN o.outcome = 'error' THEN 'failed'
                     ELSE 'cancelled'
                 END AS status,
                 CASE
                     WHEN k.ended_ts IS NULL THEN coalesce(o.ended_ts, k.updated_ts)
                     ELSE k.updated_ts
                 END AS updated_ts,
                 coalesce(k.ended_ts, o.ended_ts) AS ended_ts,
                 CASE WHEN k.ended_ts IS NOT NULL THEN k.outcome ELSE o.outcome END AS outcome,
                 k.error_code, k.error_msg, k.polls + o.polls AS polls
             FROM tasks AS k
             JOIN requests AS f ON f.request_id = k.operation_id AND f.store_id = k.store_id
             CROSS JOIN LATERAL mcp_store_task_elsewhere(
                 k.task_id, k.store_id, f.proxy, f.session_id, k.caller, f.ts) AS o
             WHERE k.operation_id = {id}
         ) AS tasks"
    );
    Ok(snapshot.records(&sql, &statement)?.pop())
}
