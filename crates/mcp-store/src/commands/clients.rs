//! `mcp-store clients`.

use std::cmp::Reverse;
use std::path::Path;

use tower_mcp_store::query::{Caller, Client, ClientFilter, ClientRevision};

use crate::args::{Clients, ClientsBy, ClientsSort};
use crate::error::{self, CliError};
use crate::output::{self, Align, Cell, Column, Output, Tone};

const CLIENT: Column = Column::new("CLIENT", Align::Cut);
const VERSIONS: Column = Column::new("VERSIONS", Align::Right).from(100);
const SESSIONS: Column = Column::new("SESSIONS", Align::Right);
const OPEN: Column = Column::new("OPEN", Align::Right).from(90);
const CALLS: Column = Column::new("CALLS", Align::Right);
const REQUESTS: Column = Column::new("REQUESTS", Align::Right).from(100);
const ERRORS: Column = Column::new("ERRORS", Align::Right);
const FIRST_SEEN: Column = Column::new("FIRST SEEN", Align::Moment);
const LAST_SEEN: Column = Column::new("LAST SEEN", Align::Moment);

const OF_CLIENTS: [Column; 10] = [
    CLIENT,
    Column::new("PLATFORM", Align::Cut),
    VERSIONS,
    SESSIONS,
    OPEN,
    CALLS,
    REQUESTS,
    ERRORS,
    FIRST_SEEN.from(110),
    LAST_SEEN,
];

const OF_REVISIONS: [Column; 10] = [
    Column::new("PROTOCOL", Align::Left),
    CLIENT,
    VERSIONS,
    SESSIONS,
    OPEN,
    CALLS,
    REQUESTS,
    ERRORS,
    FIRST_SEEN.from(110),
    LAST_SEEN,
];

const OF_PRINCIPALS: [Column; 7] = [
    Column::new("PRINCIPAL", Align::Cut),
    SESSIONS,
    CALLS,
    REQUESTS,
    ERRORS,
    FIRST_SEEN.from(90),
    LAST_SEEN,
];

pub(crate) fn run(db: &Path, args: &Clients, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let filter = filter(args)?;
    match args.by {
        ClientsBy::Client => write_clients(reader.clients(&filter)?, args, output),
        ClientsBy::Protocol => write_revisions(reader.client_revisions(&filter)?, args, output),
        ClientsBy::Principal => write_callers(reader.callers(&filter)?, args, output),
    }
}

/// Returns the filter from the command line.
pub(crate) fn filter(args: &Clients) -> Result<ClientFilter, CliError> {
    let mut filter = ClientFilter::new().window(args.window.window()?);
    filter.server_name.clone_from(&args.server);
    filter.protocol.clone_from(&args.protocol);
    Ok(filter)
}

pub(crate) fn write_clients(
    mut rows: Vec<Client>,
    args: &Clients,
    output: &mut Output,
) -> Result<(), CliError> {
    sort_by(&mut rows, args.sort, |row| Figures {
        calls: row.calls,
        errors: row.request_errors,
        sessions: row.sessions,
        last_seen: row.last_seen_at,
        name: row.client_name.clone(),
    });
    rows.truncate(args.limit);
    Ok(output.list(&rows, "clients", &OF_CLIENTS, client)?)
}

pub(crate) fn write_revisions(
    mut rows: Vec<ClientRevision>,
    args: &Clients,
    output: &mut Output,
) -> Result<(), CliError> {
    sort_by(&mut rows, args.sort, |row| Figures {
        calls: row.calls,
        errors: row.request_errors,
        sessions: row.sessions,
        last_seen: row.last_seen_at,
        name: row.client_name.clone(),
    });
    rows.truncate(args.limit);
    Ok(output.list(&rows, "clients", &OF_REVISIONS, revision)?)
}

pub(crate) fn write_callers(
    mut rows: Vec<Caller>,
    args: &Clients,
    output: &mut Output,
) -> Result<(), CliError> {
    sort_by(&mut rows, args.sort, |row| Figures {
        calls: row.calls,
        errors: row.request_errors,
        sessions: row.sessions,
        last_seen: row.last_seen_at,
        name: Some(row.principal.clone()),
    });
    rows.truncate(args.limit);
    Ok(output.list(&rows, "principals", &OF_PRINCIPALS, caller)?)
}

/// The figures by which clients are sorted.
struct Figures {
    calls: i64,
    errors: i64,
    sessions: i64,
    last_seen: i64,
    name: Option<String>,
}

/// Sorts rows, if an order is given. Equal rows keep their order.
fn sort_by<T>(rows: &mut [T], sort: Option<ClientsSort>, figures: fn(&T) -> Figures) {
    let Some(sort) = sort else { return };
    rows.sort_by_cached_key(|row| {
        let of = figures(row);
        let (highest, name) = match sort {
            ClientsSort::Calls => (of.calls, None),
            ClientsSort::Errors => (of.errors, None),
            ClientsSort::Sessions => (of.sessions, None),
            ClientsSort::LastSeen => (of.last_seen, None),
            ClientsSort::Name => (0, of.name),
        };
        (Reverse(highest), name)
    });
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

fn client(row: &Client) -> Vec<Cell> {
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
