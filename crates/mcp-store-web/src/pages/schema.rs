//! What servers list, and how it changed.

use maud::{Markup, html};
use tower_mcp_store::query::{Reader, SchemaChange, SchemaFilter, Snapshot};

use super::changes;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::view::{Name, View};

/// How many changes are shown.
const ROWS: usize = 100;

/// How many changed tools are shown with their calls. Each takes two statistics of a week.
const IMPACTS: usize = 20;

const LISTINGS: [Column; 7] = [
    Column::text("Method"),
    Column::text("Server"),
    Column::text("Upstream"),
    Column::number("Items"),
    Column::number("Size"),
    Column::text("Since"),
    Column::text("State"),
];

const CHANGES: [Column; 5] = [
    Column::text("Time"),
    Column::text("Server"),
    Column::text("Method"),
    Column::text("Change"),
    Column::text("Item"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let mut filter = SchemaFilter::new().window(view.window);
    filter.server_name = view.text(Name::Server).map(str::to_owned);
    filter.method = view.text(Name::Method).map(str::to_owned);
    let listings = reader.snapshots(&filter)?;
    let changed = reader.schema_changes(&filter, ROWS)?;
    let has_tools = changed
        .iter()
        .any(|change| change.method == "tools/list" && change.item_name.is_some());
    let mut impacts = match has_tools {
        true => reader.change_impacts(&filter, changes::SPAN, IMPACTS)?,
        false => Vec::new(),
    };
    let is_cut = impacts.len() == IMPACTS;
    impacts.retain(|impact| impact.before.calls + impact.after.calls > 0);
    let compared = changes::compare(reader, &filter, view.window.until(view.end()))?;
    let listings: Vec<Vec<Markup>> = listings.iter().map(listing).collect();
    let changed: Vec<Vec<Markup>> = changed.iter().map(change).collect();
    Ok(html! {
        h1 { "Schema" }
        (html::table("Current listings", &LISTINGS, &listings))
        (html::table("Changes in this range, newest first", &CHANGES, &changed))
        @if has_tools {
            (changes::list("Changed tools, and their calls in the 7 days before and after", view, &impacts))
            @if is_cut { p.note { "Only the newest " (IMPACTS) " changes of tools are compared." } }
        }
        (changes::differences("Differences between the start and the end of this range", compared.as_deref(), None))
    })
}

fn listing(row: &Snapshot) -> Vec<Markup> {
    let number = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
    vec![
        html::name(&row.method),
        html::name(&row.proxy),
        html::maybe(Some(&*row.upstream_url).filter(|url| !url.is_empty())),
        html::maybe_count(row.items().map(number)),
        html::bytes(number(row.payload.len())),
        html::second(row.captured_at),
        match row.stale_since {
            None => html! { "current" },
            Some(_) => html! { strong { "change announced" } },
        },
    ]
}

fn change(row: &SchemaChange) -> Vec<Markup> {
    vec![
        html::second(row.detected_at),
        html::name(&row.proxy),
        html::name(&row.method),
        html::name(row.change_type.as_str()),
        html::maybe(row.item_name.as_deref()),
    ]
}
