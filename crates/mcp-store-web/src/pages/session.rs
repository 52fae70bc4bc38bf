//! One session: its calls in order, each with the requests that it took.

use maud::{Markup, html};
use tower_mcp_store::query::{Lookup, Operation, OperationKind, Reader, RequestFilter, Session};

use super::{requests, sessions};
use crate::charts;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{self, Name, Own, View};

/// How many calls the page shows by default.
const CALLS: usize = 200;

const COLUMNS: [Column; 9] = [
    Column::number("#"),
    Column::text("Time"),
    Column::text("Method"),
    Column::text("Target"),
    Column::text("Outcome"),
    Column::number("Requests"),
    Column::number("Wall time"),
    Column::number("Server time"),
    Column::text("Note"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let given = view
        .text(Name::Session)
        .ok_or_else(|| Fault::BadRequest("session: expected the id of a session".to_owned()))?;
    let session = match reader.find_session(given)? {
        Lookup::One(session) => Some(session),
        Lookup::Several(ids) => return Err(view::several("session", given, &ids)),
        _ => None,
    };
    // A session without a row may have requests.
    let id = match &session {
        Some(session) => session.session_id.clone(),
        None => match reader.find_session_id(given)? {
            Lookup::One(id) => id,
            Lookup::Several(ids) => return Err(view::several("session", given, &ids)),
            _ => {
                let text = format!("There is no session {given}. It may have been removed.");
                return Err(Fault::NotFound(text));
            }
        },
    };
    let limit = view.limit(CALLS)?;
    let filter = RequestFilter::new().session(&*id);
    let mut calls = reader.operations(&filter, limit, None)?;
    calls.reverse();
    let rows: Vec<Vec<Markup>> = calls.iter().flat_map(|call| rows(view, call)).collect();
    Ok(html! {
        h1 { "Session " bdi { (id) } }
        @if let Some(session) = &session { (fields(session)) }
        (charts::waterfall(&calls))
        (html::table("Calls in order, each with the requests that it took", &COLUMNS, &rows))
        @if calls.len() == limit { p { "The newest " (limit) " calls are shown." } }
    })
}

fn fields(session: &Session) -> Markup {
    let server = session.server_name.as_ref().map(|name| {
        let version = session.server_version.as_deref().unwrap_or_default();
        format!("{name} {version}")
    });
    let text = |text: Option<&str>| text.map(html::name);
    html::fields(&[
        ("client", text(sessions::client(session).as_deref())),
        ("platform", text(session.client_platform.as_deref())),
        ("server info", text(server.as_deref())),
        ("server", text(Some(&session.proxy))),
        ("protocol", text(session.protocol_version.as_deref())),
        (
            "source of the id",
            session
                .source
                .as_ref()
                .map(|source| html::name(source.as_str())),
        ),
        ("started", Some(html::moment(session.started_at))),
        ("last seen", Some(html::moment(session.last_seen_at))),
        ("ended", session.ended_at.map(html::moment)),
        ("calls", Some(html::count(session.operations))),
        ("requests", Some(html::count(session.total_calls))),
        ("errors", Some(html::bad_count(session.total_errors))),
    ])
}

/// Returns the row of a call, and one for each of its requests if it took several.
fn rows(view: &View, call: &Operation) -> Vec<Vec<Markup>> {
    let Some(first) = call.legs.first().map(|leg| &leg.request) else {
        return Vec::new();
    };
    let last = call.legs.last().map(|leg| &leg.request);
    let polls = call.task.as_ref().map_or(0, |task| task.polls);
    let requests = i64::try_from(call.legs.len())
        .unwrap_or(i64::MAX)
        .saturating_add(polls);
    let target = match first.tool.as_deref() {
        Some(tool) => html::link(&view.to(Page::Tool).with(Name::Tool, tool).href(), tool),
        None => html::maybe(first.target.as_deref()),
    };
    let mut rows = vec![vec![
        request_link(view, first.id),
        html::moment(call.ts),
        html::name(&first.method),
        target,
        html::outcome(call.outcome),
        html::count(requests),
        html::latency(call.wall_us),
        html::latency(call.server_us),
        html! { span.note { bdi { (last.map(requests::note).unwrap_or_default()) } } },
    ]];
    if call.kind == OperationKind::Single {
        return rows;
    }
    rows.extend(call.legs.iter().zip(1_i64..).map(|(leg, place)| {
        let request = &leg.request;
        let pause = leg.client_us.filter(|us| *us > 0);
        vec![
            request_link(view, request.id),
            html::moment(request.ts),
            html! { span.leg { "leg " (request.leg.unwrap_or(place)) } },
            html! { @if let Some(us) = pause { "after the client took " (html::latency(Some(us))) } },
            html::outcome(request.outcome()),
            html! {},
            html! {},
            html::latency(Some(request.latency_us)),
            html! { span.note { bdi { (requests::note(request)) } } },
        ]
    }));
    rows
}

fn request_link(view: &View, id: i64) -> Markup {
    let id = id.to_string();
    html::link(&view.to(Page::Request).own(Own::Id, &*id).href(), &id)
}
