//! `mcp-store slow` of a fleet.

use tower_mcp_store_postgres::{FleetReader, Target};

use super::super::{logs, slow};
use super::{filter, suggest};
use crate::args::Slow;
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(target: &Target, args: Slow, output: &mut Output) -> Result<(), CliError> {
    let mut reader = FleetReader::open(target)?;
    let filter = filter(&mut reader, args.filters)?;
    let rows = reader.slow(&filter, args.limit)?;
    let handles = reader.handles()?;
    match args.context {
        Some(count) if !rows.is_empty() => {
            let groups = rows.iter().map(|of| reader.neighbours(of, count));
            let groups = groups.collect::<Result<Vec<_>, _>>()?;
            slow::in_context(&rows, &groups, output, |row| handles.of(row))?;
        }
        _ => logs::write(output, &rows, |row| handles.of(row))?,
    }
    suggest(&mut reader, &filter, rows.is_empty())
}
