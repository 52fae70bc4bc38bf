//! Failed requests by reason, and for whom they failed.

use maud::{Markup, html};
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Breakdown, GroupBy, Reader};

use super::requests;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{Name, View};

/// How many rows each table has.
const ROWS: usize = 30;

const REASONS: [Column; 5] = [
    Column::text("Outcome"),
    Column::text("Reason"),
    Column::text("Tool or method"),
    Column::number("Requests"),
    Column::number("p95"),
];

const CLIENTS: [Column; 7] = [
    Column::text("Client"),
    Column::number("Requests"),
    Column::number("Errors"),
    Column::number("Timeouts"),
    Column::number("Tool errors"),
    Column::number("Caller errors"),
    Column::number("Gone"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let mut filter = view.filter(reader)?;
    if filter.outcomes.is_empty() {
        filter.outcomes = Outcome::FAILURES.to_vec();
    }
    let by = [
        GroupBy::Outcome,
        GroupBy::Reason,
        GroupBy::Method,
        GroupBy::Tool,
    ];
    let mut reasons = reader.breakdown(&filter, &by)?;
    reasons.sort_by_key(|group| std::cmp::Reverse(group.requests));
    let mut clients = reader.breakdown(&filter, &[GroupBy::Client])?;
    clients.sort_by_key(|group| std::cmp::Reverse(group.requests));
    let newest = reader.requests(&filter, ROWS, None)?;
    let all: i64 = clients.iter().map(|group| group.requests).sum();
    let by_reason: Vec<Vec<Markup>> = reasons
        .iter()
        .take(ROWS)
        .map(|group| reason(view, group))
        .collect();
    let by_client: Vec<Vec<Markup>> = clients
        .iter()
        .take(ROWS)
        .map(|group| client(view, group))
        .collect();
    Ok(html! {
        h1 { "Errors" }
        p { (html::count(all)) " requests that are in the file failed in this range." }
        (html::table("By reason, most frequent first", &REASONS, &by_reason))
        @if reasons.len() > ROWS { p { "The first " (ROWS) " of " (reasons.len()) " are shown." } }
        (html::table("By client", &CLIENTS, &by_client))
        @if clients.len() > ROWS { p { "The first " (ROWS) " of " (clients.len()) " are shown." } }
        (requests::list("Newest", view, &newest))
    })
}

fn reason(view: &View, group: &Breakdown) -> Vec<Markup> {
    let [outcome, reason, method, tool] =
        [0, 1, 2, 3].map(|at| group.keys.get(at).and_then(Option::as_deref));
    let known = Outcome::ALL
        .into_iter()
        .find(|known| Some(known.as_str()) == outcome);
    let link = match outcome {
        Some(outcome) => view
            .to(Page::Requests)
            .without(Name::Failed)
            .with(Name::Status, outcome),
        None => view.to(Page::Requests),
    };
    let link = match (tool, method) {
        (Some(tool), _) => link.with(Name::Tool, tool),
        (None, Some(method)) => link.with(Name::Method, method),
        _ => link,
    };
    vec![
        html! {
            a href=(link.href()) {
                @match known { Some(known) => (html::outcome(known)), None => (html::maybe(outcome)) }
            }
        },
        html::maybe(reason),
        html::maybe(tool.or(method)),
        html::count(group.requests),
        html::latency(group.p95_us),
    ]
}

fn client(view: &View, group: &Breakdown) -> Vec<Markup> {
    let name = group.keys.first().and_then(Option::as_deref);
    vec![
        match name {
            Some(name) => html::link(&view.to(Page::Errors).with(Name::Client, name).href(), name),
            None => html! { "unknown" },
        },
        html::count(group.requests),
        html::count(group.errors),
        html::count(group.timeouts),
        html::count(group.tool_errors),
        html::count(group.caller_errors),
        html::count(group.gone),
    ]
}
