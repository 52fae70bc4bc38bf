//! One request, and the call that it is a part of.

use maud::{Markup, html};
use tower_mcp_store::query::{Lookup, Operation, Reader, Request, StateHash};

use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{self, Name, Own, View};

const LEGS: [Column; 6] = [
    Column::number("Leg"),
    Column::text("Time"),
    Column::number("Client took"),
    Column::number("Latency"),
    Column::text("Outcome"),
    Column::text("Request"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let id = view.own(Own::Id).ok_or_else(|| {
        Fault::BadRequest("id: expected the number or id of a request".to_owned())
    })?;
    let request = find(reader, id)?;
    let operation = match request.operation_id {
        Some(_) => reader.find_operation(&request.request_id)?.one(),
        None => None,
    };
    Ok(html! {
        h1 { "Request " (request.id) }
        (fields(view, &request))
        @if let Some(operation) = operation { (whole(view, &operation)) }
    })
}

/// Finds a request by the number of its row, or by its id. An id is a UUID of version 7, which
/// begins with 0 for many centuries.
fn find(reader: &Reader, id: &str) -> Result<Request, Fault> {
    let is_number = !id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit());
    let found = match id.parse().ok().filter(|_| is_number) {
        Some(row) => reader.request(row)?,
        None => match reader.find_request(id)? {
            Lookup::Several(ids) => return Err(view::several("request", id, &ids)),
            found => found.one(),
        },
    };
    found.ok_or_else(|| {
        Fault::NotFound(format!(
            "There is no request {id}. It may have been removed."
        ))
    })
}

fn fields(view: &View, request: &Request) -> Markup {
    let session = request.session_id.as_deref().map(|session| {
        let href = view.to(Page::Session).with(Name::Session, session).href();
        html::link(&href, session)
    });
    let tool = request.tool.as_deref().map(|tool| {
        let href = view.to(Page::Tool).with(Name::Tool, tool).href();
        html::link(&href, tool)
    });
    let text = |text: &Option<String>| text.as_deref().map(html::name);
    let hash = |hash: Option<StateHash>| hash.map(|hash| html::name(&hash.to_string()));
    html::fields(&[
        ("request", Some(html::name(&request.request_id))),
        ("JSON-RPC id", text(&request.rpc_id)),
        ("time", Some(html::moment(request.ts))),
        ("server", Some(html::name(&request.proxy))),
        ("method", Some(html::name(&request.method))),
        ("tool", tool),
        ("target", text(&request.target)),
        ("outcome", Some(html::outcome(request.outcome()))),
        (
            "end reason",
            request
                .end_reason
                .as_ref()
                .map(|reason| html::name(reason.as_str())),
        ),
        ("error code", text(&request.error_code)),
        ("error", text(&request.error_msg)),
        ("http status", request.http_status.map(html::count)),
        ("latency", Some(html::latency(Some(request.latency_us)))),
        (
            "first byte",
            request.ttfb_us.map(|us| html::latency(Some(us))),
        ),
        ("bytes in", request.bytes_in.map(html::count)),
        ("bytes out", request.bytes_out.map(html::count)),
        ("session", session),
        ("client", text(&request.client_name)),
        ("protocol", text(&request.protocol_version)),
        ("principal", text(&request.principal)),
        ("trace", text(&request.trace_id)),
        ("parent span", text(&request.parent_span_id)),
        ("call", text(&request.operation_id)),
        ("leg", request.leg.map(html::count)),
        ("state received", hash(request.state_in)),
        ("state returned", hash(request.state_out)),
        ("task", text(&request.task_id)),
        (
            "task status",
            request
                .task_status
                .as_ref()
                .map(|status| html::name(status.as_str())),
        ),
        (
            "time of the call",
            request.operation_us.map(|us| html::latency(Some(us))),
        ),
    ])
}

/// Returns the call that the request is a part of.
fn whole(view: &View, operation: &Operation) -> Markup {
    let task = operation.task.as_ref();
    let fields = html::fields(&[
        ("outcome", Some(html::outcome(operation.outcome))),
        ("ended", operation.ended_ts.map(html::moment)),
        (
            "wall time",
            operation.wall_us.map(|us| html::latency(Some(us))),
        ),
        (
            "server time",
            operation.server_us.map(|us| html::latency(Some(us))),
        ),
        (
            "client time",
            operation.client_us.map(|us| html::latency(Some(us))),
        ),
        ("task", task.map(|task| html::name(&task.task_id))),
        (
            "task status",
            task.and_then(|task| task.status.as_ref())
                .map(|status| html::name(status.as_str())),
        ),
        ("polls", task.map(|task| html::count(task.polls))),
    ]);
    let rows = operation.legs.iter().zip(1_i64..).map(|(leg, place)| {
        let request = &leg.request;
        let id = request.id.to_string();
        let href = view.to(Page::Request).own(Own::Id, &*id).href();
        vec![
            html::count(request.leg.unwrap_or(place)),
            html::moment(request.ts),
            html::latency(leg.client_us),
            html::latency(Some(request.latency_us)),
            html::outcome(request.outcome()),
            html::link(&href, &id),
        ]
    });
    let rows: Vec<Vec<Markup>> = rows.collect();
    html! {
        h2 { "The whole call" }
        (fields)
        (html::table("Requests of the call", &LEGS, &rows))
    }
}
