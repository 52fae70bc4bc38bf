//! `mcp-store clients` of a fleet.

use tower_mcp_store_postgres::{FleetReader, Target};

use super::super::clients;
use super::note_keys;
use crate::args::{Clients, ClientsBy};
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(target: &Target, args: &Clients, output: &mut Output) -> Result<(), CliError> {
    let mut reader = FleetReader::open(target)?;
    let filter = clients::filter(args)?;
    match args.by {
        ClientsBy::Client => clients::write_clients(reader.clients(&filter)?, args, output)?,
        ClientsBy::Protocol => {
            clients::write_revisions(reader.client_revisions(&filter)?, args, output)?;
        }
        ClientsBy::Principal => clients::write_callers(reader.callers(&filter)?, args, output)?,
    }
    note_keys(&mut reader, output)
}
