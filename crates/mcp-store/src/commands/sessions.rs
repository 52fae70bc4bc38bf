//! `mcp-store sessions`.

use std::path::Path;

use tower_mcp_store::query::{Session, SessionFilter, SessionOrder};

use crate::args::{Sessions, SessionsSort};
use crate::error::{self, CliError};
use crate::output::{self, Align, Cell, Column, Output, Tone};
use crate::time;

const COLUMNS: [Column; 11] = [
    Column::new("STARTED", Align::Moment),
    Column::new("LAST SEEN", Align::Moment).from(110),
    Column::new("LASTED", Align::Right),
    Column::new("STATE", Align::Left),
    Column::new("CLIENT", Align::Cut),
    Column::new("PLATFORM", Align::Left).from(130),
    Column::new("SERVER", Align::Cut).from(100),
    Column::new("CALLS", Align::Right),
    Column::new("REQUESTS", Align::Right).from(120),
    Column::new("ERRORS", Align::Right),
    Column::new("SESSION", Align::Cut),
];

pub(crate) fn run(db: &Path, args: &Sessions, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let filter = filter(args)?;
    let rows = match args.sort {
        Some(sort) => reader.sessions_by(&filter, order(sort), args.limit)?,
        None => {
            let mut rows = reader.sessions(&filter, args.limit)?;
            rows.reverse();
            rows
        }
    };
    write(output, &rows)
}

/// Returns the filter from the command line.
pub(crate) fn filter(args: &Sessions) -> Result<SessionFilter, CliError> {
    let mut filter = SessionFilter::new().window(args.window.window()?);
    filter.server_name.clone_from(&args.server);
    filter.client.clone_from(&args.client);
    filter.protocol.clone_from(&args.protocol);
    filter.active = args.active;
    Ok(filter)
}

/// Writes sessions, in this order.
pub(crate) fn write(output: &mut Output, rows: &[Session]) -> Result<(), CliError> {
    Ok(output.list(rows, "sessions", &COLUMNS, cells)?)
}

pub(crate) fn order(sort: SessionsSort) -> SessionOrder {
    match sort {
        SessionsSort::LastSeen => SessionOrder::LastSeen,
        SessionsSort::Calls => SessionOrder::Calls,
        SessionsSort::Errors => SessionOrder::Errors,
        SessionsSort::Lasted => SessionOrder::Longest,
    }
}

fn cells(row: &Session) -> Vec<Cell> {
    let until = row.ended_at.unwrap_or(row.last_seen_at);
    let (state, tone) = match row.ended_at {
        None => ("open", Tone::Good),
        Some(_) => ("ended", Tone::Plain),
    };
    let failed = match row.total_errors {
        0 => Tone::Plain,
        _ => Tone::Bad,
    };
    vec![
        Cell::second(row.started_at),
        Cell::second(row.last_seen_at),
        Cell::new(time::span(until.saturating_sub(row.started_at))),
        Cell::toned(state, tone),
        Cell::of(client(row), |name| name),
        Cell::of(row.client_platform.as_ref(), String::clone),
        Cell::new(&row.proxy),
        Cell::new(output::count(row.operations)),
        Cell::new(output::count(row.total_calls)),
        Cell::toned(output::count(row.total_errors), failed),
        Cell::new(&row.session_id),
    ]
}

/// Returns the client's name and version.
pub(crate) fn client(row: &Session) -> Option<String> {
    let name = row.client_name.as_ref()?;
    Some(match &row.client_version {
        Some(version) => format!("{name} {version}"),
        None => name.clone(),
    })
}
