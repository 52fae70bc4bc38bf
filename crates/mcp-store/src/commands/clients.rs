//! `mcp-store clients`.

use std::path::Path;

use tower_mcp_store::query::{Caller, Client, ClientFilter, ClientRevision};

use crate::args::{Clients, ClientsBy};
use crate::error::{self, CliError};
use crate::output::{self, Align, Cell, Column, Output, Tone};

const COLUMNS: [Column; 10] = [
    Column::new("CLIENT", Align::Cut),
    Column::new("PLATFORM", Align::Cut),
    Column::new("VERSIONS", Align::Right).from(100),
    Column::new("SESSIONS", Align::Right),
    Column::new("OPEN", Align::Right).from(90),
    Column::new("CALLS", Align::Right),
    Column::new("REQUESTS", Align::Right).from(100),
    Column::new("ERRORS", Align::Right),
    Column::new("FIRST SEEN", Align::Moment).from(110),
    Column::new("LAST SEEN", Align::Moment),
];

const OF_REVISIONS: [Column; 10] = [
    Column::new("PROTOCOL", Align::Left),
    Column::new("CLIENT", Align::Cut),
    Column::new("VERSIONS", Align::Right).from(100),
    Column::new("SESSIONS", Align::Right),
    Column::new("OPEN", Align::Right).from(90),
    Column::new("CALLS", Align::Right),
    Column::new("REQUESTS", Align::Right).from(100),
    Column::new("ERRORS", Align::Right),
    Column::new("FIRST SEEN", Align::Moment).from(110),
    Column::new("LAST SEEN", Align::Moment),
];

const OF_PRINCIPALS: [Column; 7] = [
    Column::new("PRINCIPAL", Align::Cut),
    Column::new("SESSIONS", Align::Right),
    Column::new("CALLS", Align::Right),
    Column::new("REQUESTS", Align::Right).from(100),
    Column::new("ERRORS", Align::Right),
    Column::new("FIRST SEEN", Align::Moment).from(90),
    Column::new("LAST SEEN", Align::Moment),
];

pub(crate) fn run(db: &Path, args: Clients, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let mut filter = ClientFilter::new().window(args.window.window()?);
    filter.server_name = args.server;
    filter.protocol = args.protocol;
    match args.by {
        ClientsBy::Client => {
            let mut rows = reader.clients(&filter)?;
            rows.truncate(args.limit);
            output.list(&rows, "clients", &COLUMNS, cells)?;
        }
        ClientsBy::Protocol => {
            let mut rows = reader.client_revisions(&filter)?;
            rows.truncate(args.limit);
            output.list(&rows, "clients", &OF_REVISIONS, revision)?;
        }
        ClientsBy::Principal => {
            let mut rows = reader.callers(&filter)?;
            rows.truncate(args.limit);
            output.list(&rows, "principals", &OF_PRINCIPALS, caller)?;
        }
    }
    Ok(())
}

/// Returns the share of requests that failed.
fn errors(errors: i64, calls: i64) -> Cell {
    let tone = if errors > 0 { Tone::Bad } else { Tone::Plain };
    Cell::toned(output::percent(errors, calls), tone)
}

fn revision(row: &ClientRevision) -> Vec<Cell> {
    vec![
        Cell::of(row.protocol_version.as_ref(), String::clone),
        Cell::of(row.client_name.as_ref(), String::clone),
        Cell::new(output::count(row.versions)),
        Cell::new(output::count(row.sessions)),
        Cell::new(output::count(row.active_sessions)),
        Cell::new(output::count(row.calls)),
        Cell::new(output::count(row.requests)),
        errors(row.request_errors, row.requests),
        Cell::second(row.first_seen_at),
        Cell::second(row.last_seen_at),
    ]
}

fn caller(row: &Caller) -> Vec<Cell> {
    vec![
        Cell::new(&row.principal),
        Cell::new(output::count(row.sessions)),
        Cell::new(output::count(row.calls)),
        Cell::new(output::count(row.requests)),
        errors(row.request_errors, row.requests),
        Cell::second(row.first_seen_at),
        Cell::second(row.last_seen_at),
    ]
}

fn cells(row: &Client) -> Vec<Cell> {
    vec![
        Cell::of(row.client_name.as_ref(), String::clone),
        Cell::of(row.client_platform.as_ref(), String::clone),
        Cell::new(output::count(row.versions)),
        Cell::new(output::count(row.sessions)),
        Cell::new(output::count(row.active_sessions)),
        Cell::new(output::count(row.calls)),
        Cell::new(output::count(row.requests)),
        errors(row.request_errors, row.requests),
        Cell::second(row.first_seen_at),
        Cell::second(row.last_seen_at),
    ]
}
