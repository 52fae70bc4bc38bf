//! One tool: its figures, its slowest and failing calls, its definition and its changes.

use maud::{Markup, html};
use serde_json::Value;
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Reader, SchemaFilter, Snapshot};

use super::{changes, overview, requests, tools};
use crate::charts;
use crate::fault::Fault;
use crate::html;
use crate::page::Page;
use crate::summary::{self, Summary};
use crate::view::{Name, View};

/// How many calls are listed as the slowest, and as the latest that failed.
const ROWS: usize = 10;

/// How many single calls the chart shows.
const POINTS: usize = 200;

/// How many changes are listed. Each takes two statistics of a week.
const CHANGES: usize = 20;

/// How many characters of a definition are shown.
const DEFINITION: usize = 20_000;

const IMPACTS: &str = "Changes of the definition, and all calls in the 7 days before and after";

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let name = view
        .text(Name::Tool)
        .ok_or_else(|| Fault::BadRequest("tool: expected the name of a tool".to_owned()))?;
    let filter = tools::calls(view.filter(reader)?);
    let summary = Summary::of(reader, &filter)?;
    let timeline = reader.timeline(&charts::timeline(&filter, view.end()))?;
    let calls = reader.requests(&filter, POINTS, None)?;
    let slowest = reader.slow(&filter, ROWS)?;
    let mut failing = filter.clone();
    if failing.outcomes.is_empty() {
        failing.outcomes = Outcome::FAILURES.to_vec();
    }
    let failed = reader.requests(&failing, ROWS, None)?;
    let mut listings = SchemaFilter::new().method("tools/list");
    listings.server_name.clone_from(&filter.server_name);
    let snapshots = reader.snapshots(&listings)?;
    let mut impacts = reader.tool_change_impacts(&listings, name, changes::SPAN, CHANGES)?;
    // The name may be a pattern.
    impacts.retain(|impact| impact.change.item_name.as_deref() == Some(name));
    // The differences of a change that is out of the range would say nothing about its calls.
    let compared = changes::compare(reader, &listings, view.window.until(view.end()))?;
    Ok(html! {
        h1 { "Tool " bdi { (name) } }
        (overview::totals(view, &summary))
        p {
            a href=(view.to(Page::Errors).href()) { "Why its calls fail" }
            " · " a href=(view.to(Page::Requests).href()) { "All its requests" }
        }
        (changes::list(IMPACTS, view, &impacts))
        @if !impacts.is_empty() {
            (changes::differences("What changed in the definition in this range", compared.as_deref(), Some(name)))
        }
        @if summary.total.calls == 0 {
            (overview::newest(reader, view, Page::Tool)?)
        } @else {
            (overview::over_time(&timeline))
            (charts::single_calls(&timeline, &calls))
            (requests::list("Slowest calls", view, &slowest))
            (overview::failures("Latest calls that failed", view, &failed, &summary, &timeline))
        }
        h2 { "Definition" }
        @if summary::is_pattern(name) {
            p.note { "Changes and definitions are those of a tool with exactly this name." }
        }
        @for snapshot in &snapshots {
            @if let Some(definition) = definition(snapshot, name) { (listed(snapshot, &definition)) }
        }
    })
}

/// Returns the definition of the tool with this name.
fn definition(snapshot: &Snapshot, name: &str) -> Option<Value> {
    let mut payload: Value = serde_json::from_str(&snapshot.payload).ok()?;
    let tools = payload.get_mut("tools")?.as_array_mut()?;
    let tool = tools.iter_mut().find(|tool| tool["name"] == name)?;
    Some(tool.take())
}

fn listed(snapshot: &Snapshot, definition: &Value) -> Markup {
    let bytes = definition.to_string().len();
    let size = i64::try_from(bytes).unwrap_or(i64::MAX);
    let text = serde_json::to_string_pretty(definition).unwrap_or_default();
    let begin = html::begin(&text, DEFINITION);
    html! {
        (html::fields(&[
            ("server", Some(html::name(&snapshot.proxy))),
            ("upstream", Some(&*snapshot.upstream_url).filter(|url| !url.is_empty()).map(html::name)),
            ("listed since", Some(html::second(snapshot.captured_at))),
            ("change announced", snapshot.stale_since.map(html::second)),
            ("size", Some(html::bytes(size))),
            ("tokens, estimated", Some(html::count(size / 4))),
            ("description", definition["description"].as_str().map(html::name)),
        ]))
        details {
            summary { "The definition as JSON" }
            pre tabindex="0" { bdi { (begin) } @if begin.len() < text.len() { "…" } }
        }
    }
}
