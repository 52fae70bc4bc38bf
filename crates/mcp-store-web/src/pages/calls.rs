//! Whole calls, each with the requests that it took.

use maud::{Markup, html};
use tower_mcp_store::query::{Operation, OperationKind};

use super::requests;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{Name, Own, View};

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

/// Returns a table of calls.
pub(super) fn list(caption: &str, view: &View, calls: &[Operation]) -> Markup {
    let rows: Vec<Vec<Markup>> = calls.iter().flat_map(|call| rows(view, call)).collect();
    html::table(caption, &COLUMNS, &rows)
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
