//! `mcp-store logs` of a fleet.

use tower_mcp_store_postgres::{FleetReader, Target};

use super::super::{legs, logs};
use super::{Line, filter, refused};
use crate::args::Logs;
use crate::error::CliError;
use crate::output::{Cell, Format, Output};

pub(super) fn run(target: &Target, args: Logs, output: &mut Output) -> Result<(), CliError> {
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
