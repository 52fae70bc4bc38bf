//! Sessions by their start.

use maud::{Markup, html};
use mcp_store_text::time;
use tower_mcp_store::query::{Reader, Session, SessionFilter};

use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{Name, Own, View};

/// How many sessions the page shows by default.
const ROWS: usize = 100;

const COLUMNS: [Column; 9] = [
    Column::text("Session"),
    Column::text("Started"),
    Column::text("State"),
    Column::text("Client"),
    Column::number("Calls"),
    Column::number("Requests"),
    Column::number("Errors"),
    Column::number("Lasted"),
    Column::text("Last seen"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let text = |name| view.text(name).map(str::to_owned);
    let mut filter = SessionFilter::new().window(view.window);
    filter.server_name = text(Name::Server);
    filter.client = text(Name::Client);
    filter.protocol = text(Name::Protocol);
    filter.active = view.is_on(Own::Active)?;
    let limit = view.limit(ROWS)?;
    let found = reader.sessions(&filter, limit)?;
    let rows: Vec<Vec<Markup>> = found.iter().map(|row| cells(view, row)).collect();
    let (other, label) = match filter.active {
        true => (view.to(Page::Sessions), "Show all sessions"),
        false => (
            view.to(Page::Sessions).own(Own::Active, "true"),
            "Show only open sessions",
        ),
    };
    let caption = match filter.active {
        true => "Open sessions, by their last request",
        false => "Sessions, newest first",
    };
    Ok(html! {
        h1 { "Sessions" }
        p { a href=(other.href()) { (label) } }
        (html::table(caption, &COLUMNS, &rows))
        @if rows.len() == limit { p { "At most " (limit) " are shown. Choose another range to see others." } }
    })
}

fn cells(view: &View, row: &Session) -> Vec<Markup> {
    let until = row.ended_at.unwrap_or(row.last_seen_at);
    let state = match row.ended_at {
        None => "open",
        Some(_) => "ended",
    };
    vec![
        html::session(view, &row.session_id),
        html::second(row.started_at),
        html! { (state) },
        html::maybe(client(row).as_deref()),
        html::count(row.operations),
        html::count(row.total_calls),
        html::bad_count(row.total_errors),
        html! { (time::span(until.saturating_sub(row.started_at))) },
        html::second(row.last_seen_at),
    ]
}

/// Returns the client's name and version.
pub(super) fn client(row: &Session) -> Option<String> {
    let name = row.client_name.as_ref()?;
    Some(match &row.client_version {
        Some(version) => format!("{name} {version}"),
        None => name.clone(),
    })
}
