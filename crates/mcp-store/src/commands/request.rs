//! `mcp-store request`.

use std::path::Path;

use tower_mcp_store::query::Request;

use super::logs;
use crate::args::RequestArgs;
use crate::error::{self, CliError};
use crate::output::{self, Fields, Output};
use crate::time;

pub(crate) fn run(db: &Path, args: &RequestArgs, output: &mut Output) -> Result<(), CliError> {
    let found = error::open(db)?.find_request(&args.id)?;
    let hint = "`mcp-store logs --json` shows ids";
    let request = super::require_one("request", &args.id, found, hint)?;
    if output.is_json() {
        return Ok(output.json(&request)?);
    }
    Ok(fields(&request).write(output)?)
}

fn fields(request: &Request) -> Fields {
    let number = |value: Option<i64>| value.map(|value| value.to_string());
    Fields::default()
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
        .maybe("protocol", request.protocol_version.as_ref())
        .maybe("principal", request.principal.as_ref())
        .maybe("trace", request.trace_id.as_ref())
        .field("row", request.id.to_string())
}
