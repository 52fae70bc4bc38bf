//! `mcp-store clients`.

use std::path::Path;

use tower_mcp_store::query::{Client, ClientFilter};

use crate::args::Clients;
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

pub(crate) fn run(db: &Path, args: Clients, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let mut filter = ClientFilter::new().window(args.window.window()?);
    filter.server_name = args.server;
    let rows = reader.clients(&filter)?;
    Ok(output.list(&rows, "clients", &COLUMNS, cells)?)
}

fn cells(row: &Client) -> Vec<Cell> {
    let tone = if row.request_errors > 0 {
        Tone::Bad
    } else {
        Tone::Plain
    };
    vec![
        Cell::of(row.client_name.as_ref(), String::clone),
        Cell::of(row.client_platform.as_ref(), String::clone),
        Cell::new(output::count(row.versions)),
        Cell::new(output::count(row.sessions)),
        Cell::new(output::count(row.active_sessions)),
        Cell::new(output::count(row.calls)),
        Cell::new(output::count(row.requests)),
        Cell::toned(output::percent(row.request_errors, row.requests), tone),
        Cell::second(row.first_seen_at),
        Cell::second(row.last_seen_at),
    ]
}
