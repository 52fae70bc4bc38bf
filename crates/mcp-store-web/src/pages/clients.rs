//! Clients: who calls, with which version and revision of MCP.

use maud::{Markup, html};
use tower_mcp_store::query::{
    Caller, Client, ClientFilter, ClientRevision, Reader, SessionFilter, Window,
};

use crate::charts;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{Name, View};

/// How many rows each table has.
const ROWS: usize = 100;

/// How many sessions the chart shows, the newest.
const SESSIONS: usize = 5_000;

const CLIENTS: [Column; 10] = [
    Column::text("Client"),
    Column::text("Platform"),
    Column::number("Versions"),
    Column::number("Sessions"),
    Column::number("Open"),
    Column::number("Calls"),
    Column::number("Share"),
    Column::number("Requests"),
    Column::number("Failed"),
    Column::text("Last seen"),
];

const REVISIONS: [Column; 7] = [
    Column::text("Protocol"),
    Column::text("Client"),
    Column::number("Sessions"),
    Column::number("Calls"),
    Column::number("Requests"),
    Column::number("Failed"),
    Column::text("Last seen"),
];

const CALLERS: [Column; 6] = [
    Column::text("Principal"),
    Column::number("Sessions"),
    Column::number("Calls"),
    Column::number("Requests"),
    Column::number("Failed"),
    Column::text("Last seen"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let text = |name| view.text(name).map(str::to_owned);
    let mut filter = ClientFilter::new().window(view.window);
    filter.server_name = text(Name::Server);
    filter.protocol = text(Name::Protocol);
    let clients = reader.clients(&filter)?;
    let revisions = reader.client_revisions(&filter)?;
    let callers = reader.callers(&filter)?;
    let mut begun = SessionFilter::new().window(view.window);
    begun.server_name.clone_from(&filter.server_name);
    begun.protocol.clone_from(&filter.protocol);
    let begun = reader.sessions(&begun, SESSIONS)?;
    let is_cut = begun.len() == SESSIONS;
    let since = begun
        .last()
        .filter(|_| is_cut)
        .map_or(view.window.since, |last| last.started_at);
    let shown = Window::since(since).until(view.end());
    let calls: i64 = clients.iter().map(|row| row.calls).sum();
    let most = clients.len().max(revisions.len()).max(callers.len());
    let clients: Vec<Vec<Markup>> = clients
        .iter()
        .take(ROWS)
        .map(|row| client(view, row, calls))
        .collect();
    let revisions: Vec<Vec<Markup>> = revisions.iter().take(ROWS).map(revision).collect();
    let callers: Vec<Vec<Markup>> = callers
        .iter()
        .take(ROWS)
        .map(|row| caller(view, row))
        .collect();
    Ok(html! {
        h1 { "Clients" }
        p { "The numbers count all sessions that were open in this range." }
        @if !begun.is_empty() { (charts::revisions(shown, &begun)) }
        @if is_cut { p.note { "The chart shows the newest " (SESSIONS) " sessions." } }
        (html::table("Clients", &CLIENTS, &clients))
        (html::table("Revisions of MCP, the oldest first", &REVISIONS, &revisions))
        (html::table("Authenticated callers", &CALLERS, &callers))
        @if most > ROWS { p { "Each table shows the first " (ROWS) " rows." } }
    })
}

fn client(view: &View, row: &Client, all: i64) -> Vec<Markup> {
    vec![
        match row.client_name.as_deref() {
            Some(name) => html::link(
                &view.to(Page::Requests).with(Name::Client, name).href(),
                name,
            ),
            None => html! { "unknown" },
        },
        html::maybe(row.client_platform.as_deref()),
        html::count(row.versions),
        html::count(row.sessions),
        html::count(row.active_sessions),
        html::count(row.calls),
        html! { (mcp_store_text::numbers::percent(row.calls, all)) },
        html::count(row.requests),
        html::percent(row.request_errors, row.requests),
        html::second(row.last_seen_at),
    ]
}

fn revision(row: &ClientRevision) -> Vec<Markup> {
    vec![
        html::maybe(row.protocol_version.as_deref()),
        html::maybe(row.client_name.as_deref()),
        html::count(row.sessions),
        html::count(row.calls),
        html::count(row.requests),
        html::percent(row.request_errors, row.requests),
        html::second(row.last_seen_at),
    ]
}

fn caller(view: &View, row: &Caller) -> Vec<Markup> {
    let href = view
        .to(Page::Requests)
        .with(Name::Principal, &*row.principal)
        .href();
    vec![
        html::link(&href, &row.principal),
        html::count(row.sessions),
        html::count(row.calls),
        html::count(row.requests),
        html::percent(row.request_errors, row.requests),
        html::second(row.last_seen_at),
    ]
}
