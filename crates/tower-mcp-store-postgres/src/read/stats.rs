//! What statistics are counted from.

use tower_mcp_store::query::foreign::{Engine, Names, PrunedTo, Rows, Selection};
use tower_mcp_store::query::{Loss, Value, Window};

use super::snapshot::Snapshot;
use super::statement::Statement;
use super::{LEG, OPERATION_US, PLACED, losses};
use crate::error::PostgresError;

/// The first columns of `Rows::Requests`.
const REQUESTS: &str = "method, tool, bytes_in, bytes_out, status, tool_error, end_reason,
    error_code, http_status, latency_us";

/// The last columns of `Rows::NotRolledUp`. Each file counts its requests in cells as if it had
/// all requests of an operation, and so are these counted.
const IN_FILES: &str = "leg, operation_us,
    CASE WHEN leg > 1 AND operation_us IS NOT NULL THEN ts - mcp_store_began(operation_id) END";

/// The last rows of each file, by the index of rows: `OFFSET` keeps the subquery, and the upper
/// bound makes PostgreSQL expect few rows.
const NOT_ROLLED_UP: &str = "sources CROSS JOIN LATERAL (
        SELECT * FROM requests
        WHERE store_id = sources.store_id AND id > rolled_up_to AND id < 9223372036854775807
        OFFSET 0
    ) AS requests";

const TASKS: &str = "method, tool, outcome, ts, ended_ts, rolled_up_as";

const OF_TASKS: &str = "tasks JOIN requests
    ON requests.request_id = tasks.operation_id AND requests.store_id = tasks.store_id";

const CELLS: &str = "method, tool, outcome, mcp_store_bounded(sum(calls)),
    mcp_store_bounded(sum(ended)), mcp_store_bounded(sum(bytes_in)),
    mcp_store_bounded(sum(bytes_out)), max(max_latency_us), max(max_wall_us)";

const BUCKETS: &str = "method, tool, bucket, mcp_store_bounded(sum(server)),
    mcp_store_bounded(sum(wall))";

impl Engine for Snapshot<'_> {
    type Error = PostgresError;

    fn pruned_to(&mut self) -> Result<PrunedTo, PostgresError> {
        // Rows are complete from the time on from which those of all files are.
        let row = self.row(
            "SELECT greatest(m.requests_pruned_to, s.requests), s.polls,
                 greatest(m.hours_pruned_to, s.hours), greatest(m.days_pruned_to, s.days)
             FROM mcp_store_meta AS m, (
                 SELECT max(requests_pruned_to) AS requests, max(polls_pruned_to) AS polls,
                     max(hours_pruned_to) AS hours, max(days_pruned_to) AS days
                 FROM sources
             ) AS s",
            &Statement::new(),
        )?;
        let to = |at| match row.get(at) {
            Some(Value::Integer(to)) => *to,
            _ => i64::MIN,
        };
        Ok(PrunedTo {
            requests: to(0),
            polls: to(1),
            hours: to(2),
            days: to(3),
        })
    }

    fn has_cells(&mut self) -> Result<bool, PostgresError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM sources WHERE rolled_up_to > 0)";
        Ok(self.row(sql, &Statement::new())? == [Value::Integer(1)])
    }

    fn has_more(&mut self, window: Window, limit: i64) -> Result<bool, PostgresError> {
        let mut statement = Statement::new();
        add_window(&mut statement, "ts", window);
        let limit = statement.bind(limit);
        let conditions = statement.conditions();
        let sql = format!("SELECT 1 FROM requests {conditions} OFFSET {limit} LIMIT 1");
        let sql = format!("SELECT EXISTS ({sql})");
        Ok(self.row(&sql, &statement)? == [Value::Integer(1)])
    }

    fn select(
        &mut self,
        selection: &Selection,
        each: &mut dyn FnMut(&[Value]),
    ) -> Result<(), PostgresError> {
        let mut statement = Statement::new();
        // Requests of an operation may be in several files.
        let placed = format!(
            "{REQUESTS}, {LEG}, {OPERATION_US},
             CASE WHEN fleet_us IS NOT NULL THEN ts - fleet_first_ts END"
        );
        let in_files = format!("{REQUESTS}, {IN_FILES}");
        let (columns, from, time, groups) = match selection.rows {
            Rows::Requests => (&*placed, PLACED, "ts", ""),
            Rows::NotRolledUp => (&*in_files, NOT_ROLLED_UP, "ts", ""),
            Rows::Tasks => (TASKS, OF_TASKS, "ended_ts", ""),
            Rows::TasksNotRolledUp => {
                statement.add("rolled_up_as IS DISTINCT FROM outcome");
                // A file removes a task after it counted it in a cell, and both may happen
                // before it is shipped again.
                statement.add(
                    "EXISTS (SELECT 1 FROM sources AS s WHERE s.store_id = tasks.store_id
                         AND requests.ts >= coalesce(s.requests_pruned_to, requests.ts))",
                );
                (TASKS, OF_TASKS, "ended_ts", "")
            }
            Rows::Cells { width } => {
                statement.add_equality("width", width);
                (
                    CELLS,
                    "request_rollups",
                    "start",
                    "GROUP BY method, tool, outcome",
                )
            }
            Rows::Buckets { width } => {
                statement.add_equality("width", width);
                (
                    BUCKETS,
                    "rollup_buckets",
                    "start",
                    "GROUP BY method, tool, bucket",
                )
            }
        };
        add_window(&mut statement, time, selection.window);
        for Names {
            column,
            names,
            is_one,
        } in &selection.names
        {
            let names = statement.bind(names.clone());
            statement.add(&match is_one {
                true => format!("{column} = ANY ({names})"),
                false => format!("{column} <> ALL ({names})"),
            });
        }
        let conditions = statement.conditions();
        let sql = format!("SELECT {columns} FROM {from} {conditions} {groups}");
        self.each(&sql, &statement, each)
    }

    fn losses(&mut self, window: Window) -> Result<Vec<Loss>, PostgresError> {
        losses(self, window)
    }
}

fn add_window(statement: &mut Statement, column: &str, window: Window) {
    let (since, until) = (statement.bind(window.since), statement.bind(window.until));
    statement.add(&format!("{column} >= {since} AND {column} < {until}"));
}
