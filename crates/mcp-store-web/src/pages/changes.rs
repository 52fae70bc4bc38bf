//! Changes of tools: the calls before and after each, and what differs in the definition.

use std::time::Duration;

use maud::{Markup, html};
use tower_mcp_store::query::{CallStats, ChangeImpact, Comparison, Difference, Reader};
use tower_mcp_store::query::{SchemaFilter, Window};

use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::view::{Name, View};

/// The time before and after a change in which calls are counted.
pub(super) const SPAN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The first version of a file that keeps earlier listings.
const HISTORY_SINCE: i64 = 5;

/// How many differences are shown.
const ROWS: usize = 100;

const IMPACTS: [Column; 8] = [
    Column::text("Tool"),
    Column::text("Changed"),
    Column::number("p50"),
    Column::number("p95"),
    Column::number("Failed"),
    Column::number("Caller errors"),
    Column::number("Calls"),
    Column::text("Change"),
];

const DIFFERENCES: [Column; 6] = [
    Column::text("Severity"),
    Column::text("Method"),
    Column::text("Item"),
    Column::text("Member"),
    Column::text("Before"),
    Column::text("After"),
];

/// Returns a table of changes: each figure before and after it.
pub(super) fn list(caption: &str, view: &View, impacts: &[ChangeImpact]) -> Markup {
    let rows: Vec<Vec<Markup>> = impacts.iter().map(|impact| row(view, impact)).collect();
    html::table(caption, &IMPACTS, &rows)
}

fn row(view: &View, impact: &ChangeImpact) -> Vec<Markup> {
    let ChangeImpact {
        change,
        before,
        after,
        ..
    } = impact;
    let step = |figure: fn(&CallStats) -> Markup| html::step(figure(before), figure(after));
    let slower = |figure: fn(&CallStats) -> Option<i64>| {
        let calls = before.calls.min(after.calls);
        html::latency_step(figure(before), figure(after), calls)
    };
    vec![
        match change.item_name.as_deref() {
            Some(tool) => html::link(&view.to(Page::Tool).with(Name::Tool, tool).href(), tool),
            None => html::maybe(None),
        },
        html::second(change.detected_at),
        slower(|of| of.p50_us),
        slower(|of| of.p95_us),
        step(|of| html::percent(of.errors.saturating_add(of.tool_errors), of.calls)),
        step(|of| html::percent(of.caller_errors, of.calls)),
        step(|of| html::count(of.calls)),
        html::name(change.change_type.as_str()),
    ]
}

/// Returns the differences of each listing in a window, the most severe first. A listing that was
/// seen for the first time in the window is compared with what it was then. Returns `None` if the
/// file does not keep earlier listings.
pub(super) fn compare(
    reader: &Reader,
    filter: &SchemaFilter,
    window: Window,
) -> Result<Option<Vec<Comparison>>, Fault> {
    if reader.version() < HISTORY_SINCE {
        return Ok(None);
    }
    let mut compared = reader.compare(filter, window.since, window.until)?;
    let is_new = |one: &Comparison| one.old_hash.is_none();
    if compared.iter().any(is_new) {
        let firsts = reader.schema_changes(&filter.clone().window(window), ROWS)?;
        for one in compared.iter_mut().filter(|one| is_new(one)) {
            one.differences.clear();
            let of_listing = firsts.iter().filter(|change| {
                change.proxy == one.proxy
                    && change.upstream_url == one.upstream_url
                    && change.method == one.method
            });
            let Some(first) = of_listing.map(|change| change.detected_at).min() else {
                continue;
            };
            let mut listing = SchemaFilter::new().method(&*one.method);
            listing.server_name = Some(one.proxy.clone());
            let later = reader.compare(&listing, first.saturating_add(1), window.until)?;
            let same = later
                .into_iter()
                .find(|other| other.upstream_url == one.upstream_url && other.old_hash.is_some());
            if let Some(same) = same {
                *one = same;
            }
        }
    }
    Ok(Some(compared))
}

/// Returns a table of differences, or a note that the file does not keep earlier listings. With
/// the name of an item, it has only those of that item.
pub(super) fn differences(
    caption: &str,
    compared: Option<&[Comparison]>,
    item: Option<&str>,
) -> Markup {
    let Some(compared) = compared else {
        return html! {
            p.note { "A file of a version before " (HISTORY_SINCE) " does not keep earlier listings." }
        };
    };
    let mut all: Vec<(&str, &Difference)> = compared
        .iter()
        .flat_map(|one| {
            let differences = one.differences.iter();
            differences.map(|difference| (&*one.method, difference))
        })
        .filter(|(_, difference)| item.is_none() || difference.item.as_deref() == item)
        .collect();
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
        (html::table(caption, &DIFFERENCES, &rows))
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
    html! { bdi { (begin) @if begin.len() < text.len() { "…" } } }
}
