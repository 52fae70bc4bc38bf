//! The commands that read the database of a fleet.

use std::io::Write as _;

use serde::Serialize;
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Lookup, RequestFilter, Window};
use tower_mcp_store_postgres::{FleetInfo, FleetReader, FleetRequest, FleetStore, Handles, Target};

use super::{fleet, legs, logs, request, stats};
use crate::args::{self, Command, Filters, Logs, RequestArgs};
use crate::error::CliError;
use crate::output::{self, Align, Cell, Column, Fields, Format, Output, Table};
use crate::time;

/// How many names of rows an error shows.
const SHOWN: usize = 5;

/// A request as a record of JSON or CSV.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    request: &'a FleetRequest,
    outcome: Outcome,
}

impl<'a> Line<'a> {
    fn of(request: &'a FleetRequest) -> Self {
        Self {
            request,
            outcome: request.request.outcome(),
        }
    }
}

pub(crate) fn run(target: &Target, command: Command, output: &mut Output) -> Result<(), CliError> {
    match command {
        Command::Logs(args) => logs_of(target, args, output),
        Command::Stats(args) => stats_of(target, args, output),
        Command::Request(args) => request_of(target, &args, output),
        Command::Info(args) => info_of(target, &args, output),
        // These need no record.
        Command::Fleet(args) => fleet::run(&args, output),
        Command::Completions(args) => super::completions::completions(&args, output),
        Command::Man(args) => super::completions::man(&args, output),
        Command::Proxy(_) => Err(CliError::Message(
            "the proxy records into a file, which `mcp-store ship` copies to a database: give \
             --db a path"
                .to_owned(),
        )),
        _ => Err(refused("this command")),
    }
}

/// Returns the error for a question that only files answer.
fn refused(what: &str) -> CliError {
    CliError::Message(format!(
        "{what} reads a file only; give --db the file of one server, or query the views of the \
         database with psql"
    ))
}

fn logs_of(target: &Target, args: Logs, output: &mut Output) -> Result<(), CliError> {
    if args.follow {
        return Err(refused("logs --follow"));
    }
    if args.operations {
        return Err(refused("logs --operations"));
    }
    let mut reader = FleetReader::open(target)?;
    let filter = filter(&mut reader, args.filters)?;
    let mut found = reader.requests(&filter, args.newest.limit)?;
    found.reverse();
    if output.format() != Format::Table {
        return Ok(found
            .iter()
            .try_for_each(|found| output.record(&Line::of(found)))?);
    }
    let handles = reader.handles()?;
    legs::group(&mut found, |found| &found.request);
    let cells: Vec<Vec<Cell>> = found
        .iter()
        .map(|found| logs::named_cells(&found.request, handles.of(found)))
        .collect();
    let columns = logs::columns(found.iter().map(|found| &found.request));
    Ok(output.table(&columns, &cells, "requests")?)
}

fn stats_of(target: &Target, args: args::Stats, output: &mut Output) -> Result<(), CliError> {
    if args.plot {
        return Err(refused("stats --plot"));
    }
    let window = args.window()?;
    let mut reader = FleetReader::open(target)?;
    let mut filter = filter(&mut reader, args.filters)?;
    filter.window = window;
    let Some(plain) = stats::plain(&filter, &args.by) else {
        return Err(CliError::Message(
            "statistics of a fleet are chosen by time, --server, --method and --tool only, each a \
             whole name, and grouped by tool; for other conditions give --db the file of one \
             server, or query the view calls of the database with psql"
                .to_owned(),
        ));
    };
    let mut found = reader.stats(&plain)?;
    stats::arrange(&mut found.groups, args.sort, args.limit);
    let newest = || {
        let newest = reader.requests(&RequestFilter::new(), 1)?.pop();
        Ok(newest.map(|newest| newest.request))
    };
    stats::whole(newest, &plain, &found, output)
}

fn request_of(target: &Target, args: &RequestArgs, output: &mut Output) -> Result<(), CliError> {
    let reader = &mut FleetReader::open(target)?;
    let handles = reader.handles()?;
    let found = match (&args.id, &args.rpc_id) {
        (Some(id), _) => by_id(reader, &handles, id)?,
        (None, Some(rpc_id)) => {
            let session = args.session.as_deref().unwrap_or_default();
            let found = reader.find_session_id(session)?;
            let hint = "`mcp-store logs` shows them";
            let session = super::require_one("session", session, found, hint)?;
            by_rpc_id(reader, &handles, &session, rpc_id)?
        }
        (None, None) => Err(CliError::Message(
            "which request? Give STORE:N or its id, or --session and --rpc-id".to_owned(),
        ))?,
    };
    if output.format() != Format::Table {
        return Ok(output.record(&Line::of(&found))?);
    }
    Ok(request::fields(&found.request, handles.of(&found)).write(output)?)
}

/// Returns the request that `STORE:N`, or the beginning of its id, names.
fn by_id(reader: &mut FleetReader, handles: &Handles, id: &str) -> Result<FleetRequest, CliError> {
    let hint = "`mcp-store logs` names requests as STORE:N";
    if let Some((store, row)) = id.split_once(':') {
        let store_id = super::require_one("file", store, handles.find_store(store), hint)?;
        let found = match request::row_number(row) {
            Some(row) => reader.request(&store_id, row)?,
            None => None,
        };
        return found.ok_or_else(|| {
            CliError::NotFound(format!("no request is the row {row} of the file {store}"))
        });
    }
    if request::row_number(id).is_some_and(|row| row.to_string().len() == id.len()) {
        return Err(CliError::Message(format!(
            "each file has a row {id}; {hint}"
        )));
    }
    super::require_one("request", id, reader.find_request(id)?, hint)
}

/// Returns the request of a session to which its client gave this id.
fn by_rpc_id(
    reader: &mut FleetReader,
    handles: &Handles,
    session: &str,
    rpc_id: &str,
) -> Result<FleetRequest, CliError> {
    let filter = RequestFilter::new().session(session).rpc_id(rpc_id);
    let mut found = reader.requests(&filter, SHOWN + 1)?;
    if found.len() > 1 {
        let names = found.iter().take(SHOWN).map(|found| handles.of(found));
        let more = if found.len() > SHOWN { ", ..." } else { "" };
        return Err(CliError::Message(format!(
            "more than one request of the session has the JSON-RPC id {rpc_id}; name one: {}{more}",
            Vec::from_iter(names).join(", ")
        )));
    }
    found.pop().ok_or_else(|| {
        CliError::NotFound(format!(
            "no request of the session {session} has the JSON-RPC id {rpc_id}"
        ))
    })
}

fn info_of(target: &Target, args: &args::Info, output: &mut Output) -> Result<(), CliError> {
    if args.compare.is_some() {
        return Err(refused("info --compare"));
    }
    let mut reader = FleetReader::open(target)?;
    let info = reader.info()?;
    if output.format() != Format::Table {
        return Ok(output.record(&info)?);
    }
    let handles = reader.handles()?;
    fields(&info).write(output)?;
    output.line("")?;
    let rows: Vec<Vec<Cell>> = info
        .stores
        .iter()
        .map(|store| store_cells(store, &handles))
        .collect();
    Table::new(&STORES, output).write(output, &rows)?;
    if !info.has_one_key() {
        output.flush()?;
        eprintln!(
            "the files have different keys, or none: a call whose requests reached several \
             servers counts once for each"
        );
    }
    for loss in reader.losses(Window::ALL)? {
        output.line(&stats::format_loss(&loss))?;
    }
    Ok(())
}

fn fields(info: &FleetInfo) -> Fields {
    Fields::default()
        .field("schema version", info.fleet_schema_version.to_string())
        .field("requests", output::count(info.requests))
        .maybe("oldest", info.oldest_ts.map(time::local))
        .maybe("newest", info.newest_ts.map(time::local))
        .field("sessions", output::count(info.sessions))
        .field("not ended", output::count(info.active_sessions))
        .field("losses", output::count(info.losses))
        .field("events lost", output::count(info.dropped))
        .field("files", info.stores.len().to_string())
}

const STORES: [Column; 6] = [
    Column::new("STORE", Align::Left),
    Column::new("INSTANCE", Align::Cut),
    Column::new("VERSION", Align::Left),
    Column::new("SHIPPED TO", Align::Right),
    Column::new("LAST SEEN", Align::Moment),
    Column::new("KEY", Align::Left).from(100),
];

fn store_cells(store: &FleetStore, handles: &Handles) -> Vec<Cell> {
    vec![
        Cell::new(handles.store(&store.store_id)),
        Cell::of(store.instance.as_ref(), String::clone),
        Cell::of(store.writer_version.as_ref(), String::clone),
        Cell::new(store.shipped_to.to_string()),
        Cell::moment(store.seen_at),
        Cell::of(store.key_fingerprints.last(), String::clone),
    ]
}

/// Returns the filter from the command line, with the whole id of its session.
fn filter(reader: &mut FleetReader, mut filters: Filters) -> Result<RequestFilter, CliError> {
    let session = match filters.session.take() {
        Some(id) => {
            let found = reader.find_session_id(&id)?;
            if found == Lookup::Nothing && filters.shared_key.is_given() {
                return Err(CliError::Message(format!(
                    "no session of the fleet has the id {id}; an id that is hashed with the key \
                     is found by its hash only, which `mcp-store logs` shows"
                )));
            }
            Some(super::at_most_one("session", &id, found)?.unwrap_or(id))
        }
        None => None,
    };
    let mut filter = filters.filter()?;
    filter.session = session;
    Ok(filter)
}
