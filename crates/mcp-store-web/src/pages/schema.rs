//! What servers list, and how it changed.

use std::time::Duration;

use maud::{Markup, html};
use tower_mcp_store::query::{
    Comparison, Difference, Reader, SchemaChange, SchemaFilter, Snapshot,
};

use super::tool;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::view::{Name, View};

/// How many changes and differences are shown.
const ROWS: usize = 100;

/// The first version of a file that keeps earlier listings.
const HISTORY_SINCE: i64 = 5;

/// The time before and after a change in which calls are counted.
const SPAN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

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

const DIFFERENCES: [Column; 6] = [
    Column::text("Severity"),
    Column::text("Method"),
    Column::text("Item"),
    Column::text("Member"),
    Column::text("Before"),
    Column::text("After"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let mut filter = SchemaFilter::new().window(view.window);
    filter.server_name = view.text(Name::Server).map(str::to_owned);
    filter.method = view.text(Name::Method).map(str::to_owned);
    let listings = reader.snapshots(&filter)?;
    let changes = reader.schema_changes(&filter, ROWS)?;
    let has_tools = changes
        .iter()
        .any(|change| change.method == "tools/list" && change.item_name.is_some());
    let mut impacts = match has_tools {
        true => reader.change_impacts(&filter, SPAN, ROWS)?,
        false => Vec::new(),
    };
    impacts.retain(|impact| impact.before.calls + impact.after.calls > 0);
    let compared = match reader.version() >= HISTORY_SINCE {
        true => Some(reader.compare(&filter, view.window.since, view.end())?),
        false => None,
    };
    let listings: Vec<Vec<Markup>> = listings.iter().map(listing).collect();
    let changes: Vec<Vec<Markup>> = changes.iter().map(change).collect();
    let impacts: Vec<Vec<Markup>> = impacts.iter().map(tool::change).collect();
    Ok(html! {
        h1 { "Schema" }
        (html::table("Current listings", &LISTINGS, &listings))
        (html::table("Changes in this range, newest first", &CHANGES, &changes))
        @if has_tools {
            (html::table("Changed tools, and their calls in the 7 days before and after", &tool::CHANGE_COLUMNS, &impacts))
        }
        @match compared {
            Some(compared) => (differences(&compared)),
            None => p.note { "A file of version " (reader.version()) " does not keep earlier listings." },
        }
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

/// Returns the differences between the start and the end of the range, the most severe first.
fn differences(compared: &[Comparison]) -> Markup {
    let differences = compared.iter().flat_map(|comparison| {
        comparison
            .differences
            .iter()
            .map(move |difference| (&*comparison.method, difference))
    });
    let mut all: Vec<(&str, &Difference)> = differences.collect();
    all.sort_by_key(|(_, difference)| std::cmp::Reverse(difference.severity));
    let rows: Vec<Vec<Markup>> = all
        .iter()
        .take(ROWS)
        .map(|(method, difference)| {
            vec![
                html! { (difference.severity.as_str()) },
                html::name(method),
                html::maybe(difference.item.as_deref()),
                html::maybe(Some(&*difference.path).filter(|path| !path.is_empty())),
                cut(difference.before.as_deref()),
                cut(difference.after.as_deref()),
            ]
        })
        .collect();
    html! {
        (html::table("Differences between the start and the end of this range", &DIFFERENCES, &rows))
        @if all.len() > ROWS { p { "The first " (ROWS) " of " (all.len()) " are shown." } }
    }
}

/// Returns the beginning of a value, which may be a whole definition.
fn cut(text: Option<&str>) -> Markup {
    const SHOWN: usize = 300;
    let Some(text) = text else {
        return html::maybe(None);
    };
    let begin = html::begin(text, SHOWN);
    html! { bdi { (begin) } @if begin.len() < text.len() { "…" } }
}
