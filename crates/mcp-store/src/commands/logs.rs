//! `mcp-store logs`.

use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use tower_mcp_store::query::{Reader, Recorded, Request};
use tower_mcp_store::{OpenErrorKind, Outcome};

use super::{legs, operations, suggest};
use crate::args::Logs;
use crate::error::{self, CliError};
use crate::output::{self, Align, Cell, Column, Format, Output, Table, Tone};
use crate::sanitize::escape_control;
use crate::time;

/// How often to look for new rows. A look takes some microseconds.
const POLL: Duration = Duration::from_millis(50);

const COLUMNS: [Column; 14] = [
    Column::new("#", Align::Right),
    Column::new("TIME", Align::Moment),
    Column::new("SERVER", Align::Cut).from(150),
    Column::new("CLIENT", Align::Cut).from(100),
    Column::new("PRINCIPAL", Align::Cut).from(100),
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

/// A request as a record of JSON or CSV.
#[derive(Debug, Serialize)]
pub(crate) struct Line<'a, R = Request> {
    #[serde(flatten)]
    request: &'a R,
    outcome: Outcome,
}

impl<'a, R: AsRef<Request>> Line<'a, R> {
    pub(crate) fn of(request: &'a R) -> Self {
        Self {
            request,
            outcome: request.as_ref().outcome(),
        }
    }
}

/// Returns the name of a request of a file.
pub(crate) fn row_number(row: &Request) -> String {
    row.id.to_string()
}

pub(crate) fn run(db: &Path, args: Logs, output: &mut Output) -> Result<(), CliError> {
    if args.follow {
        return follow(db, args, output);
    }
    let reader = error::open(db)?;
    let filter = super::filter(&reader, args.filters)?;
    if args.operations {
        let mut found = reader.operations(&filter, args.newest.limit, None)?;
        found.reverse();
        operations::write(output, &found, row_number)?;
        return suggest::names(&reader, &filter, found.is_empty());
    }
    let mut rows = reader.requests(&filter, args.newest.limit, None)?;
    rows.reverse();
    if output.format() == Format::Table {
        legs::group(&mut rows, |row| row);
    }
    write(output, &rows, row_number)?;
    suggest::names(&reader, &filter, rows.is_empty())
}

fn follow(db: &Path, args: Logs, output: &mut Output) -> Result<(), CliError> {
    let reader = wait_for(db)?;
    let filter = super::filter(&reader, args.filters)?;
    // Follows first, so that no row is missed between the two queries. A row in both answers is
    // shown by `follow`.
    let mut follow = reader.follow(filter.clone())?;
    let mut rows = reader.requests(&filter, args.newest.limit, None)?;
    rows.retain(|row| row.id <= follow.last_id());
    rows.reverse();
    if rows.is_empty() {
        note_none();
    }
    let mut table = Table::new(&columns(&rows), output);
    write_on(&mut table, output, &rows, row_number)?;
    loop {
        output.flush()?;
        let rows = follow.poll()?;
        if rows.is_empty() {
            thread::sleep(POLL);
        } else {
            write_on(&mut table, output, &rows, row_number)?;
        }
    }
}

/// Opens the file, once there is one.
fn wait_for(db: &Path) -> Result<Reader, CliError> {
    let mut is_announced = false;
    loop {
        match Reader::open(db) {
            Err(error) if error.kind() == OpenErrorKind::NotFound => {
                if !is_announced {
                    eprintln!("waiting for {}", escape_control(&db.to_string_lossy()));
                    is_announced = true;
                }
                thread::sleep(POLL);
            }
            opened => return opened.map_err(|error| error::not_opened(db, error)),
        }
    }
}

/// Writes all requests, in this order.
pub(crate) fn write<R: AsRef<Request> + Serialize>(
    output: &mut Output,
    rows: &[R],
    name: impl Fn(&R) -> String,
) -> Result<(), CliError> {
    if output.format() != Format::Table {
        return Ok(rows
            .iter()
            .try_for_each(|row| output.record(&Line::of(row)))?);
    }
    let cells = rows.iter().map(|row| cells(row.as_ref(), name(row)));
    let cells: Vec<Vec<Cell>> = cells.collect();
    let columns = columns(rows.iter().map(R::as_ref));
    Ok(output.table(&columns, &cells, "requests")?)
}

/// Returns the columns for these rows. On a bounded line, principals are shown only if
/// there are any.
pub(crate) fn columns<'r>(rows: impl IntoIterator<Item = &'r Request>) -> Vec<Column> {
    let has_principal = rows.into_iter().any(|row| row.principal.is_some());
    let columns = COLUMNS.into_iter().map(|column| match &*column.title {
        "PRINCIPAL" if !has_principal => column.from(u16::MAX),
        _ => column,
    });
    columns.collect()
}

/// Says that a page to follow is empty, on standard error, because the answer has no rows.
pub(crate) fn note_none() {
    eprintln!("no requests yet");
}

/// Writes more requests to a table.
pub(crate) fn write_on<R: AsRef<Request> + Serialize>(
    table: &mut Table,
    output: &mut Output,
    rows: &[R],
    name: impl Fn(&R) -> String,
) -> Result<(), CliError> {
    if output.format() != Format::Table {
        rows.iter()
            .try_for_each(|row| output.record(&Line::of(row)))?;
    } else if !rows.is_empty() {
        let cells = rows.iter().map(|row| cells(row.as_ref(), name(row)));
        table.write(output, &Vec::from_iter(cells))?;
    }
    Ok(())
}

/// Returns the cells of [`columns`] for a row with this name.
pub(crate) fn cells(row: &Request, name: String) -> Vec<Cell> {
    let (status, tone) = status(row);
    vec![
        Cell::new(name),
        Cell::moment(row.ts),
        Cell::new(&row.proxy),
        Cell::of(row.client_name.as_ref(), String::clone),
        Cell::of(row.principal.as_ref(), String::clone),
        Cell::new(legs::method(row)),
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

/// Returns the outcome of a request.
pub(crate) fn status(row: &Request) -> (&'static str, Tone) {
    let outcome = row.outcome();
    (outcome.as_str(), tone(outcome))
}

/// Returns the tone of an outcome.
pub(crate) fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Ok => Tone::Good,
        Outcome::InputRequired | Outcome::Working => Tone::Plain,
        Outcome::ToolError => Tone::Doubtful,
        _ => Tone::Bad,
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
