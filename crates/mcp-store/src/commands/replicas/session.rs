//! `mcp-store session` of a fleet.

use tower_mcp_store::query::RequestFilter;
use tower_mcp_store_postgres::{FleetReader, Target};

use super::super::{require_one, session};
use super::{find_session_id, note_keys};
use crate::args;
use crate::error::CliError;
use crate::output::Output;

pub(super) fn run(
    target: &Target,
    args: &args::Session,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut reader = FleetReader::open(target)?;
    let found = find_session_id(&mut reader, &args.id, args.shared_key.is_given())?;
    let hint = "`mcp-store sessions` lists them";
    let id = require_one("session", &args.id, found, hint)?;
    let filter = RequestFilter::new().session(&*id);
    let mut requests = reader.requests(&filter, args.newest.limit)?;
    requests.reverse();
    let handles = reader.handles()?;
    let found = session::Found {
        session: reader.session(&id)?,
        id,
        requests,
    };
    found.write(
        output,
        |row| handles.of(row),
        |request| Ok(reader.find_operation(&request.request.request_id)?),
    )?;
    note_keys(&mut reader, output)
}
