//! `mcp-store sessions` of a fleet.

use tower_mcp_store_postgres::{FleetReader, Target};

use super::super::sessions;
use super::note_keys;
use crate::args::Sessions;
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(target: &Target, args: &Sessions, output: &mut Output) -> Result<(), CliError> {
    let mut reader = FleetReader::open(target)?;
    let filter = sessions::filter(args)?;
    let rows = match args.sort {
        Some(sort) => reader.sessions_by(&filter, sessions::order(sort), args.limit)?,
        None => {
            let mut rows = reader.sessions(&filter, args.limit)?;
            rows.reverse();
            rows
        }
    };
    sessions::write(output, &rows)?;
    note_keys(&mut reader, output)
}
