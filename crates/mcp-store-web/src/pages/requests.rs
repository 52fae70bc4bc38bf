//! The newest requests that match the conditions, page by page.

use maud::{Markup, html};
use tower_mcp_store::query::{Operation, Position, Reader, Recorded, Request};

use super::calls;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{Name, Own, View};

/// How many requests a page shows by default.
const ROWS: usize = 50;

pub(crate) const COLUMNS: [Column; 9] = [
    Column::number("#"),
    Column::text("Time"),
    Column::text("Outcome"),
    Column::text("Target"),
    Column::text("Method"),
    Column::number("Latency"),
    Column::text("Client"),
    Column::text("Note"),
    Column::text("Session"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let limit = view.limit(ROWS)?;
    let before = before(view)?;
    let shows_calls = view.is_on(Own::Operations)?;
    let filter = view.filter(reader)?;
    let here = || match shows_calls {
        true => view.to(Page::Requests).own(Own::Operations, "true"),
        false => view.to(Page::Requests),
    };
    // One more row shows whether there is a next page.
    let (table, next) = if shows_calls {
        let mut found = reader.operations(&filter, limit + 1, before)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().and_then(Operation::position);
        let table = calls::list("Calls, newest first", view, &found);
        (table, next.filter(|_| has_more))
    } else {
        let mut found = reader.requests(&filter, limit + 1, before)?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().map(Request::position);
        let table = list("Requests, newest first", view, &found);
        (table, next.filter(|_| has_more))
    };
    let page = || here().own(Own::Limit, limit.to_string());
    Ok(html! {
        h1 { "Requests" }
        p {
            @if shows_calls {
                a href=(view.to(Page::Requests).href()) { "Show single requests" }
            } @else {
                a href=(view.to(Page::Requests).own(Own::Operations, "true").href()) {
                    "Show whole calls, each with the requests that it took"
                }
            }
        }
        (table)
        nav.pages aria-label="Pages of requests" {
            @if before.is_some() { a href=(page().href()) { "Newest" } }
            @if let Some(Position { ts, id }) = next {
                a rel="next" href=(page().own(Own::Before, format!("{ts}-{id}")).href()) { "Older" }
            }
        }
    })
}

/// Returns the position before which requests are shown.
fn before(view: &View) -> Result<Option<Position>, Fault> {
    let Some(text) = view.own(Own::Before) else {
        return Ok(None);
    };
    let position = text.split_once('-').and_then(|(ts, id)| {
        let (ts, id) = (ts.parse().ok()?, id.parse().ok()?);
        Some(Position { ts, id })
    });
    let expected = "before: expected the time and the number of a row, such as 1795132800000-42";
    position
        .map(Some)
        .ok_or_else(|| Fault::BadRequest(expected.to_owned()))
}

/// Returns a table of requests.
pub(crate) fn list(caption: &str, view: &View, rows: &[Request]) -> Markup {
    let rows: Vec<Vec<Markup>> = rows.iter().map(|row| cells(view, row)).collect();
    html::table(caption, &COLUMNS, &rows)
}

/// Returns the cells of a request.
pub(crate) fn cells(view: &View, row: &Request) -> Vec<Markup> {
    let id = row.id.to_string();
    let session = row.session_id.as_deref();
    let session = session.map(|session| html::session(view, session));
    vec![
        html::link(&view.to(Page::Request).own(Own::Id, &*id).href(), &id),
        html::moment(row.ts),
        html::outcome(row.outcome()),
        target(view, row),
        method(row),
        html::latency(Some(row.latency_us)),
        html::maybe(row.client_name.as_deref()),
        html! { span.note { bdi { (note(row)) } } },
        session.unwrap_or_else(|| html::maybe(None)),
    ]
}

/// Returns the method, and the place of the request in a call of several.
fn method(row: &Request) -> Markup {
    html! {
        span.line {
            bdi { (row.method) }
            @if let Some(leg) = row.leg { span.leg { " leg " (leg) } }
        }
    }
}

/// Returns the tool, with a link to its page, or the target.
fn target(view: &View, row: &Request) -> Markup {
    match row.tool.as_deref() {
        Some(tool) => html::link(&view.to(Page::Tool).with(Name::Tool, tool).href(), tool),
        None => html::maybe(row.target.as_deref()),
    }
}

/// Returns the end reason, error code and error text.
pub(crate) fn note(row: &Request) -> String {
    let parts = [
        row.end_reason.as_ref().map(Recorded::as_str),
        row.error_code.as_deref(),
        row.error_msg.as_deref(),
    ];
    let parts: Vec<&str> = parts.into_iter().flatten().collect();
    parts.join(" ")
}
