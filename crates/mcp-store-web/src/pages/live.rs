//! Requests as they are written.

use maud::{Markup, html};
use tower_mcp_store::query::{Reader, Request, Window};

use super::requests;
use crate::fault::Fault;
use crate::html;
use crate::page::Page;
use crate::view::{Own, View};

/// How many requests the page shows.
const ROWS: usize = 50;

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let filter = view.filter(reader)?.window(Window::ALL);
    // The number is read first, so that no row is missed between the two queries.
    let last = reader.follow(filter.clone())?.last_id();
    let rows = reader.requests(&filter, ROWS, None)?;
    let events = view.to(Page::Live).own(Own::After, last.to_string()).href();
    let (_, query) = events.split_once('?').unwrap_or_default();
    Ok(html! {
        h1 { "Live" }
        p.live-state role="status" data-live=(format!("events?{query}")) data-rows=(ROWS) {
            "These are the newest requests. With JavaScript, new ones appear by themselves."
        }
        div.scroll role="region" aria-label="Newest requests" tabindex="0" {
            table {
                caption { "Newest requests" }
                (html::header(&requests::COLUMNS))
                tbody { @for row in &rows { (self::row(view, row)) } }
            }
        }
    })
}

/// Returns the row of a request, with its number for the script.
pub(crate) fn row(view: &View, row: &Request) -> Markup {
    let cells = requests::cells(view, row);
    html! { tr data-id=(row.id) { (html::cells(&requests::COLUMNS, &cells)) } }
}
