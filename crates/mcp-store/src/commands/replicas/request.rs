//! `mcp-store request` of a fleet.

use tower_mcp_store::query::{Request, RequestFilter};
use tower_mcp_store_postgres::{FleetReader, FleetRequest, Handles, Target};

use super::super::{operations, request, require_one};
use super::{Line, SHOWN};
use crate::args::RequestArgs;
use crate::error::CliError;
use crate::output::{Format, Output};

pub(super) fn run(
    target: &Target,
    args: &RequestArgs,
    output: &mut Output,
) -> Result<(), CliError> {
    let reader = &mut FleetReader::open(target)?;
    let handles = reader.handles()?;
    let found = match (&args.id, &args.rpc_id) {
        (Some(id), _) => by_id(reader, &handles, id)?,
        (None, Some(rpc_id)) => {
            let session = args.session.as_deref().unwrap_or_default();
            let found = reader.find_session_id(session)?;
            let hint = "`mcp-store logs` shows them";
            let session = require_one("session", session, found, hint)?;
            by_rpc_id(reader, &handles, &session, rpc_id)?
        }
        (None, None) => Err(CliError::Message(
            "which request? Give STORE:N or its id, or --session and --rpc-id".to_owned(),
        ))?,
    };
    if output.format() != Format::Table {
        return Ok(output.record(&Line::of(&found))?);
    }
    request::fields(&found.request, handles.of(&found)).write(output)?;
    let Request {
        request_id,
        operation_id,
        state_in,
        ..
    } = &found.request;
    // A request that continues an operation of another file has no `operation_id`.
    if (operation_id.is_some() || state_in.is_some())
        && let Some(operation) = reader.find_operation(request_id)?
    {
        output.line("")?;
        operations::write_whole(output, &operation)?;
    }
    Ok(())
}

/// Returns the request that `STORE:N`, or the beginning of its id, names.
fn by_id(reader: &mut FleetReader, handles: &Handles, id: &str) -> Result<FleetRequest, CliError> {
    let hint = "`mcp-store logs` names requests as STORE:N";
    if let Some((store, row)) = id.split_once(':') {
        let Some(row) = request::row_number(row).filter(|_| !store.is_empty()) else {
            return Err(CliError::Message(format!(
                "{id} is not the beginning of a file's id and the number of a row; {hint}"
            )));
        };
        let store_id = require_one("file", store, handles.find_store(store), hint)?;
        return reader.request(&store_id, row)?.ok_or_else(|| {
            CliError::NotFound(format!("no request is the row {row} of the file {store}"))
        });
    }
    if request::row_number(id).is_some_and(|row| row.to_string().len() == id.len()) {
        return Err(CliError::Message(format!(
            "each file has a row {id}; {hint}"
        )));
    }
    require_one("request", id, reader.find_request(id)?, hint)
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
