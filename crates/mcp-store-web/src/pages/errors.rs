//! Failed requests by reason, and for whom they failed.

use std::collections::HashMap;

use maud::{Markup, html};
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Breakdown, GroupBy, Reader, Recorded, Request};

use super::requests;
use crate::charts;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{Name, View};

/// How many rows each table has.
const ROWS: usize = 30;

/// How many of the newest requests are read for the texts of their errors.
const TEXTS: usize = 200;

/// The longest text of an error in the table of reasons, in characters.
const TEXT: usize = 160;

const REASONS: [Column; 7] = [
    Column::text("Outcome"),
    Column::text("Reason"),
    Column::text("Tool or method"),
    Column::text("Client"),
    Column::number("Requests"),
    Column::number("p95"),
    Column::text("Newest text of the error"),
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
        GroupBy::Client,
    ];
    let mut reasons = reader.breakdown(&filter, &by)?;
    reasons.sort_by_key(|group| std::cmp::Reverse(group.requests));
    let clients = by_client(&reasons);
    let newest = reader.requests(&filter, TEXTS, None)?;
    let timeline = reader.timeline(&charts::timeline(&filter, view.end()))?;
    let all: i64 = clients.iter().map(|(_, failed)| failed.requests).sum();
    let by_reason: Vec<Vec<Markup>> = reasons
        .iter()
        .take(ROWS)
        .map(|group| reason(view, group, &newest))
        .collect();
    let of_clients: Vec<Vec<Markup>> = clients
        .iter()
        .take(ROWS)
        .map(|(name, failed)| client(view, *name, failed))
        .collect();
    // The timeline begins where all requests are in the file.
    let removed_until = timeline.window.since;
    let head = html! {
        h1 { "Errors" }
        p {
            @if all == 0 { "No requests" } @else { (html::count(all)) " requests" }
            " that are in the file failed in this range."
        }
        @if removed_until > filter.window.since {
            p.note {
                "Requests from before " (html::second(removed_until)) " were removed. "
                a href=(view.to(Page::Overview).href()) { "Overview" } " has their counts."
            }
        }
    };
    if reasons.is_empty() {
        return Ok(head);
    }
    Ok(html! {
        (head)
        (charts::failures_by_outcome(&timeline))
        (html::table("By reason, tool and client, most frequent first", &REASONS, &by_reason))
        @if reasons.len() > ROWS { p { "The first " (ROWS) " of " (reasons.len()) " are shown." } }
        (html::table("By client", &CLIENTS, &of_clients))
        @if clients.len() > ROWS { p { "The first " (ROWS) " of " (clients.len()) " are shown." } }
        (requests::list("Newest", view, newest.get(..ROWS).unwrap_or(&newest)))
    })
}

fn reason(view: &View, group: &Breakdown, newest: &[Request]) -> Vec<Markup> {
    let [outcome, reason, method, tool, client] =
        [0, 1, 2, 3, 4].map(|at| group.keys.get(at).and_then(Option::as_deref));
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
    let link = match client {
        Some(client) => link.with(Name::Client, client),
        None => link,
    };
    vec![
        html! {
            a href=(link.href()) {
                @match known { Some(known) => (html::outcome(known)), None => (html::maybe(outcome)) }
            }
        },
        html::maybe(reason),
        html::maybe(tool.or(method)),
        html::maybe(client),
        html::count(group.requests),
        html::latency(group.p95_us),
        html! { span.note { (html::maybe(text(group, newest))) } },
    ]
}

/// Returns the text of the newest error of a group.
fn text<'a>(group: &Breakdown, newest: &'a [Request]) -> Option<&'a str> {
    let is_of_group = |request: &&Request| {
        let reason = request
            .error_code
            .as_deref()
            .or(request.end_reason.as_ref().map(Recorded::as_str));
        let [outcome, why, method, tool, client] =
            [0, 1, 2, 3, 4].map(|at| group.keys.get(at).and_then(Option::as_deref));
        outcome == Some(request.outcome().as_str())
            && method == Some(&*request.method)
            && tool == request.tool.as_deref()
            && client == request.client_name.as_deref()
            // Another reason is the status of HTTP.
            && (reason.is_none() || reason == why)
    };
    let found = newest
        .iter()
        .filter(is_of_group)
        .find_map(|request| request.error_msg.as_deref());
    found.map(|text| html::begin(text, TEXT))
}

/// The failed requests of one client.
#[derive(Debug, Default)]
struct Failed {
    requests: i64,
    errors: i64,
    timeouts: i64,
    tool_errors: i64,
    caller_errors: i64,
    gone: i64,
}

/// Adds up the groups of each client. The client with the most requests comes first.
fn by_client(groups: &[Breakdown]) -> Vec<(Option<&str>, Failed)> {
    let mut clients: HashMap<Option<&str>, Failed> = HashMap::new();
    for group in groups {
        let name = group.keys.last().and_then(Option::as_deref);
        let failed = clients.entry(name).or_default();
        failed.requests += group.requests;
        failed.errors += group.errors;
        failed.timeouts += group.timeouts;
        failed.tool_errors += group.tool_errors;
        failed.caller_errors += group.caller_errors;
        failed.gone += group.gone;
    }
    let mut clients: Vec<_> = clients.into_iter().collect();
    clients.sort_by(|(a, of_a), (b, of_b)| of_b.requests.cmp(&of_a.requests).then(a.cmp(b)));
    clients
}

fn client(view: &View, name: Option<&str>, failed: &Failed) -> Vec<Markup> {
    vec![
        match name {
            Some(name) => html::link(&view.to(Page::Errors).with(Name::Client, name).href(), name),
            None => html! { "unknown" },
        },
        html::count(failed.requests),
        html::count(failed.errors),
        html::count(failed.timeouts),
        html::count(failed.tool_errors),
        html::count(failed.caller_errors),
        html::count(failed.gone),
    ]
}
