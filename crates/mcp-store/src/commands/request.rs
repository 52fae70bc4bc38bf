//! `mcp-store request`.

use std::path::Path;

use serde_json::Number;
use tower_mcp_store::RpcId;
use tower_mcp_store::query::{Reader, Request, RequestFilter};

use super::logs::{self, Line};
use super::operations;
use crate::args::RequestArgs;
use crate::error::{self, CliError};
use crate::output::{self, Fields, Format, Output};
use crate::time;

/// How many row numbers an error names.
const SHOWN: usize = 5;

pub(crate) fn run(db: &Path, args: &RequestArgs, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let request = match (&args.id, &args.rpc_id) {
        (Some(id), _) => by_id(&reader, id)?,
        (None, Some(rpc_id)) => {
            let session = args.session.as_deref().unwrap_or_default();
            by_rpc_id(&args.shared_key.give(&reader)?, session, rpc_id)?
        }
        (None, None) => Err(CliError::Message(
            "which request? Give its row number or id, or --session and --rpc-id".to_owned(),
        ))?,
    };
    if output.format() != Format::Table {
        return Ok(output.record(&Line::of(&request))?);
    }
    fields(&request, request.id.to_string()).write(output)?;
    if request.operation_id.is_some()
        && let Some(operation) = reader.find_operation(&request.request_id)?.one()
    {
        output.line("")?;
        operations::write_whole(output, &operation)?;
    }
    Ok(())
}

/// Returns the request with this row number or id.
fn by_id(reader: &Reader, id: &str) -> Result<Request, CliError> {
    if let Some(row) = row_number(id) {
        return reader.request(row)?.ok_or_else(|| {
            CliError::NotFound(format!(
                "no request has the row number {row}; `mcp-store logs` shows them"
            ))
        });
    }
    let hint = "`mcp-store logs` shows row numbers";
    super::require_one("request", id, reader.find_request(id)?, hint)
}

/// Returns the request of a session to which its client gave this id.
fn by_rpc_id(reader: &Reader, session: &str, rpc_id: &str) -> Result<Request, CliError> {
    let found = reader.find_session_id(session)?;
    let hint = "`mcp-store sessions` lists them";
    let session = super::require_one("session", session, found, hint)?;
    let filter = RequestFilter::new().session(&*session).rpc_id(rpc_id);
    let mut found = reader.requests(&filter, SHOWN + 1, None)?;
    if found.len() > 1 {
        let rows = found.iter().take(SHOWN).map(|row| row.id.to_string());
        let more = if found.len() > SHOWN { ", ..." } else { "" };
        return Err(CliError::Message(format!(
            "more than one request of the session has the JSON-RPC id {rpc_id}; give a row \
             number: {}{more}",
            Vec::from_iter(rows).join(", ")
        )));
    }
    found.pop().ok_or_else(|| {
        CliError::NotFound(format!(
            "no request of the session {session} has the JSON-RPC id {rpc_id}{}",
            unrecorded(rpc_id)
        ))
    })
}

/// Returns why no row has an id of this form, or nothing if a row may have it.
fn unrecorded(rpc_id: &str) -> &'static str {
    let number: Option<Number> = serde_json::from_str(rpc_id).ok();
    let is_other_number = number.is_some() && rpc_id.parse::<i64>().is_err();
    match is_other_number || RpcId::text(rpc_id).is_none() {
        true => {
            "; the record has only integers of 64 bits, in plain digits, and texts of at most 36 \
             bytes"
        }
        false => "",
    }
}

/// Returns the number of a row. An id is a UUID of version 7, which begins with 0 for
/// many centuries.
pub(crate) fn row_number(text: &str) -> Option<i64> {
    let is_number = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Returns all that is known of a request. `row` names its row.
pub(crate) fn fields(request: &Request, row: String) -> Fields {
    let number = |value: Option<i64>| value.map(|value| value.to_string());
    Fields::default()
        .field("row", row)
        .field("request", &request.request_id)
        .field("time", time::local(request.ts))
        .field("server", &request.proxy)
        .field("method", &request.method)
        .maybe("tool", request.tool.as_ref())
        .maybe("target", request.target.as_ref())
        .field("status", logs::status(request).0)
        .maybe("end reason", request.end_reason.as_ref())
        .maybe("error code", request.error_code.as_ref())
        .maybe("error", request.error_msg.as_ref())
        .maybe("http status", number(request.http_status))
        .field("latency", time::latency(request.latency_us))
        .maybe("first byte", request.ttfb_us.map(time::latency))
        .maybe("bytes in", request.bytes_in.map(output::count))
        .maybe("bytes out", request.bytes_out.map(output::count))
        .maybe("session", request.session_id.as_ref())
        .maybe("client", request.client_name.as_ref())
        .maybe("protocol", request.protocol_version.as_ref())
        .maybe("principal", request.principal.as_ref())
        .maybe("trace", request.trace_id.as_ref())
        .maybe("JSON-RPC id", request.rpc_id.as_ref())
}
