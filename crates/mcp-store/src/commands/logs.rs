//! `mcp-store logs`.

use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use tower_mcp_store::RequestStatus;
use tower_mcp_store::query::{Recorded, Request};

use crate::args::Logs;
use crate::error::{self, CliError};
use crate::output::{self, Align, Cell, Column, Output, Table, Tone};
use crate::time;

/// How often to look for new rows. A look takes some microseconds.
const POLL: Duration = Duration::from_millis(50);

const COLUMNS: [Column; 11] = [
    Column::new("TIME", Align::Moment),
    Column::new("SERVER", Align::Cut).from(150),
    Column::new("METHOD", Align::Cut),
    Column::new("TARGET", Align::Cut),
    Column::new("STATUS", Align::Left),
    Column::new("LATENCY", Align::Right),
    Column::new("IN", Align::Right).from(120),
    Column::new("OUT", Align::Right).from(120),
    Column::new("SESSION", Align::Cut).from(140),
    Column::new("NOTE", Align::Cut),
    Column::new("REQUEST", Align::Left).from(160),
];

pub(crate) fn run(db: &Path, args: Logs, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let filter = super::filter(&reader, args.filters)?;
    if !args.follow {
        let mut rows = reader.requests(&filter, args.tail, None)?;
        rows.reverse();
        return write(output, &rows);
    }
    let mut table = Table::new(&COLUMNS, output);
    // Follows first, so that no row is missed between the two queries. A row in both answers is
    // shown by `follow`.
    let mut follow = reader.follow(filter.clone())?;
    let mut rows = reader.requests(&filter, args.tail, None)?;
    rows.retain(|row| row.id <= follow.last_id());
    rows.reverse();
    if rows.is_empty() {
        // On standard error, because the answer is empty.
        eprintln!("no requests yet");
    }
    write_on(&mut table, output, &rows)?;
    loop {
        output.flush()?;
        let rows = follow.poll()?;
        if rows.is_empty() {
            thread::sleep(POLL);
        } else {
            write_on(&mut table, output, &rows)?;
        }
    }
}

/// Writes all requests, in this order.
pub(crate) fn write(output: &mut Output, rows: &[Request]) -> Result<(), CliError> {
    Ok(output.list(rows, "requests", &COLUMNS, cells)?)
}

/// Writes more requests to a table.
fn write_on(table: &mut Table, output: &mut Output, rows: &[Request]) -> Result<(), CliError> {
    if output.is_json() {
        rows.iter().try_for_each(|row| output.json(row))?;
    } else if !rows.is_empty() {
        let cells: Vec<Vec<Cell>> = rows.iter().map(cells).collect();
        table.write(output, &cells)?;
    }
    Ok(())
}

fn cells(row: &Request) -> Vec<Cell> {
    let (status, tone) = status(row);
    vec![
        Cell::moment(row.ts),
        Cell::new(&row.proxy),
        Cell::new(&row.method),
        Cell::of(row.tool.as_ref().or(row.target.as_ref()), String::clone),
        Cell::toned(status, tone),
        Cell::new(time::latency(row.latency_us)),
        Cell::of(row.bytes_in, output::bytes),
        Cell::of(row.bytes_out, output::bytes),
        Cell::of(row.session_id.as_ref(), String::clone),
        Cell::new(note(row)),
        Cell::new(&row.request_id),
    ]
}

/// Returns how a request ended, in one word.
pub(crate) fn status(row: &Request) -> (&'static str, Tone) {
    match row.status {
        RequestStatus::Ok if row.tool_error => ("tool_error", Tone::Doubtful),
        RequestStatus::Ok => ("ok", Tone::Good),
        RequestStatus::Error | RequestStatus::Timeout => (row.status.as_str(), Tone::Bad),
    }
}

/// Returns the end reason, error code and error text.
pub(crate) fn note(row: &Request) -> String {
    let parts = [
        row.end_reason.as_ref().map(Recorded::as_str),
        row.error_code.as_deref(),
        row.error_msg.as_deref(),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join(" ")
}
