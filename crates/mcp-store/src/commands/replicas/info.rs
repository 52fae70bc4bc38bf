//! `mcp-store info` of a fleet.

use tower_mcp_store::query::Window;
use tower_mcp_store_postgres::{FleetInfo, FleetReader, FleetStore, Handles, Target};

use super::super::stats;
use super::{note_keys, refused};
use crate::args;
use crate::error::CliError;
use crate::output::{self, Align, Cell, Column, Fields, Format, Output, Table};
use crate::time;

pub(super) fn run(target: &Target, args: &args::Info, output: &mut Output) -> Result<(), CliError> {
    if args.compare.is_some() {
        return Err(refused("info --compare"));
    }
    let mut reader = FleetReader::open(target)?;
    let info = reader.info()?;
    if output.format() != Format::Table {
        output.record(&info)?;
        return note_keys(&mut reader, output);
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
    for line in stats::loss_lines(&reader.losses(Window::ALL)?) {
        output.line(&line)?;
    }
    note_keys(&mut reader, output)
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
