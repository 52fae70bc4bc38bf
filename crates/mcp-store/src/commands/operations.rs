//! Whole operations: `mcp-store logs --operations`, and those of a request or a session.

use serde::Serialize;
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Operation, Request, Task};

use super::{legs, logs};
use crate::error::CliError;
use crate::output::{Align, Cell, Column, Fields, Format, Output, Table};
use crate::time;

const COLUMNS: [Column; 13] = [
    Column::new("#", Align::Right),
    Column::new("TIME", Align::Moment),
    Column::new("SERVER", Align::Cut).from(150),
    Column::new("CLIENT", Align::Cut).from(100),
    Column::new("METHOD", Align::Cut),
    Column::new("TARGET", Align::Cut),
    Column::new("OUTCOME", Align::Left),
    Column::new("REQUESTS", Align::Right),
    Column::new("WALL", Align::Right),
    Column::new("SERVER TIME", Align::Right).from(100),
    Column::new("CLIENT TIME", Align::Right).from(100),
    Column::new("SESSION", Align::Cut).from(140),
    Column::new("OPERATION", Align::Left).from(160),
];

const LEGS: [Column; 6] = [
    Column::new("LEG", Align::Right),
    Column::new("TIME", Align::Moment),
    Column::new("CLIENT TOOK", Align::Right),
    Column::new("LATENCY", Align::Right),
    Column::new("OUTCOME", Align::Left),
    Column::new("REQUEST", Align::Left),
];

/// Writes operations, in this order.
pub(crate) fn write<R: AsRef<Request> + Serialize>(
    output: &mut Output,
    operations: &[Operation<R>],
    name: impl Fn(&R) -> String,
) -> Result<(), CliError> {
    if output.format() != Format::Table {
        return Ok(operations
            .iter()
            .try_for_each(|operation| output.record(operation))?);
    }
    let cells = operations.iter().filter_map(|of| cells(of, &name));
    let cells: Vec<Vec<Cell>> = cells.collect();
    Ok(output.table(&COLUMNS, &cells, "operations")?)
}

fn cells<R: AsRef<Request>>(
    operation: &Operation<R>,
    name: impl Fn(&R) -> String,
) -> Option<Vec<Cell>> {
    let named = &operation.legs.first()?.request;
    let first = named.as_ref();
    let Request {
        tool,
        target,
        session_id,
        client_name,
        ..
    } = first;
    let outcome = operation.outcome;
    Some(vec![
        Cell::new(name(named)),
        Cell::moment(operation.ts),
        Cell::new(&first.proxy),
        Cell::of(client_name.as_ref(), String::clone),
        Cell::new(&first.method),
        Cell::of(tool.as_ref().or(target.as_ref()), String::clone),
        Cell::toned(outcome.as_str(), logs::tone(outcome)),
        Cell::new(legs::size(operation)),
        Cell::of(operation.wall_us, time::latency),
        Cell::of(operation.server_us, time::latency),
        Cell::of(operation.client_us, time::latency),
        Cell::of(session_id.as_ref(), String::clone),
        Cell::new(&operation.operation_id),
    ])
}

/// Writes an operation with its requests, and the time that the client took before each.
pub(crate) fn write_whole<R: AsRef<Request>>(
    output: &mut Output,
    operation: &Operation<R>,
) -> Result<(), CliError> {
    let task = operation.task.as_ref();
    let status = |task: &Task| task.status.as_ref().map(ToString::to_string);
    let outcome: Outcome = operation.outcome;
    Fields::default()
        .field("operation", &operation.operation_id)
        .field("outcome", outcome.as_str())
        .maybe("ended", operation.ended_ts.map(time::local))
        .maybe("wall time", operation.wall_us.map(time::latency))
        .maybe("server time", operation.server_us.map(time::latency))
        .maybe("client time", operation.client_us.map(time::latency))
        .maybe("task", task.map(|task| &task.task_id))
        .maybe("task status", task.and_then(status))
        .maybe("polls", task.map(|task| task.polls.to_string()))
        .write(output)?;
    output.line("")?;
    let rows = operation.legs.iter().zip(1_i64..).map(|(leg, place)| {
        let request = leg.request.as_ref();
        let (outcome, tone) = logs::status(request);
        vec![
            Cell::new(request.leg.unwrap_or(place).to_string()),
            Cell::moment(request.ts),
            Cell::new(legs::pause(leg.client_us)),
            Cell::new(time::latency(request.latency_us)),
            Cell::toned(outcome, tone),
            Cell::new(&request.request_id),
        ]
    });
    Ok(Table::new(&LEGS, output).write(output, &Vec::from_iter(rows))?)
}
