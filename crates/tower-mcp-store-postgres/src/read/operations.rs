//! Calls as clients see them: whole operations with their requests in all files.

use std::collections::HashMap;

use tower_mcp_store::Outcome;
use tower_mcp_store::query::foreign::{self, OperationRow, Record as _};
use tower_mcp_store::query::{Operation, OperationKind, RequestFilter, Task};

use super::snapshot::Snapshot;
use super::statement::Statement;
use super::{FleetReader, FleetRequest, PLACED, conditions, newest_of, select};
use crate::error::PostgresError;

/// The most requests that are read of one operation.
const LEGS: usize = 1_000;

/// How many operations are read at least to find those with an outcome.
const BATCH: usize = 500;

/// A condition that all requests meet with which an operation of the view `operations` begins.
const MAY_BE_FIRST: &str = "(coalesce(leg, 1) = 1 OR state_in IS NOT NULL)";

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
        let outcomes = std::mem::take(&mut of_first.outcomes);
        // An operation of several requests may have any outcome, so that more are read than are
        // returned. Other requests continue an operation of another file.
        let batch = match outcomes.is_empty() {
            true => limit,
            false => limit.max(BATCH),
        };
        let mut found = Vec::new();
        let mut last: Option<FleetRequest> = None;
        loop {
            let mut statement = conditions::of(&of_first, &snapshot)?;
            statement.add(MAY_BE_FIRST);
            add_outcomes(&mut statement, &outcomes);
            if let Some(last) = &last {
                let (ts, id) = (
                    statement.bind(last.request.ts),
                    statement.bind(last.request.id),
                );
                let store = statement.bind(&*last.store_id);
                // PostgreSQL seeks by the first condition only.
                statement.add(&format!(
                    "ts <= {ts} AND (ts, id, requests.store_id) < ({ts}, {id}, {store}::uuid)"
                ));
            }
            // The view is asked only about operations that were found. Asked for all that meet
            // the conditions, PostgreSQL joins it with all requests.
            let first = newest_of(&snapshot, statement, batch)?;
            let is_all = first.len() < batch;
            last = first.last().cloned();
            let mut rows = rows(&snapshot, &first)?;
            if !outcomes.is_empty() {
                rows.retain(|_, row| outcomes.contains(&row.outcome()));
            }
            let first = first.into_iter().filter_map(|first| {
                let row = rows.remove(&first.request.request_id)?;
                Some((first, row))
            });
            for (first, row) in first.take(limit - found.len()) {
                found.push(whole(&snapshot, first, row)?);
            }
            if is_all || found.len() == limit {
                return Ok(found);
            }
        }
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
        let Some(row) = snapshot.records::<OperationRow>(&sql, &statement)?.pop() else {
            return Ok(None);
        };
        let mut statement = Statement::new();
        statement.add_equality("request_id", &*row.operation_id);
        let first = select(&snapshot, statement, "LIMIT 1")?.pop();
        first.map(|first| whole(&snapshot, first, row)).transpose()
    }
}

/// Adds the condition that an operation of one request has one of these outcomes, if there are
/// any.
fn add_outcomes(statement: &mut Statement, outcomes: &[Outcome]) {
    if outcomes.is_empty() {
        return;
    }
    let words = outcomes.iter().map(|outcome| outcome.as_str().to_owned());
    let words = statement.bind(Vec::from_iter(words));
    let is_one = conditions::outcome_is_one_of(&words);
    statement.add(&format!("(leg IS NOT NULL OR {is_one})"));
}

/// Returns the operation that begins with a request.
fn whole(
    snapshot: &Snapshot<'_>,
    first: FleetRequest,
    row: OperationRow,
) -> Result<Operation<FleetRequest>, PostgresError> {
    let (task, requests) = match row.kind {
        OperationKind::Single => (None, vec![first]),
        _ => (
            task(snapshot, &row.operation_id)?,
            legs(snapshot, &row.operation_id)?,
        ),
    };
    Ok(foreign::operation(row, task, requests))
}

/// Returns what the view `operations` has about the operations that begin with these requests.
fn rows(
    snapshot: &Snapshot<'_>,
    first: &[FleetRequest],
) -> Result<HashMap<String, OperationRow>, PostgresError> {
    let times = first.iter().map(|first| first.request.ts);
    let (Some(from), Some(to)) = (times.clone().min(), times.max()) else {
        return Ok(HashMap::new());
    };
    let mut statement = Statement::new();
    let ids = first.iter().map(|first| first.request.request_id.clone());
    let ids = statement.bind(Vec::from_iter(ids));
    // With the times, only their partitions are read.
    let (from, to) = (statement.bind(from), statement.bind(to));
    let sql = format!(
        "SELECT {} FROM operations
         WHERE operation_id = ANY ({ids}) AND ts >= {from} AND ts <= {to}",
        OperationRow::COLUMNS
    );
    let found = snapshot.records::<OperationRow>(&sql, &statement)?;
    let found = found.into_iter();
    Ok(found.map(|row| (row.operation_id.clone(), row)).collect())
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
