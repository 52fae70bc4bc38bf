//! The state of the servers: how many calls, how they ended, how slow they were, and what fails.

use maud::{Markup, html};
use mcp_store_text::numbers;
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{
    ChangeImpact, Loss, Reader, Request, RequestFilter, SchemaFilter, Timeline, TimelineGroup,
};

use super::{changes, requests};
use crate::charts;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::page::Page;
use crate::summary::{Figures, Group, Summary};
use crate::view::{Name, View};

/// How many tools and errors are listed.
const ROWS: usize = 10;

/// How many tools and methods are counted over time. One that fails often may be called rarely.
const GROUPS: usize = 300;

/// How many changes of tools are listed.
const CHANGES: usize = 5;

const COLUMNS: [Column; 6] = [
    Column::text("Tool or method"),
    Column::number("Calls"),
    Column::number("Failed"),
    Column::number("p50"),
    Column::number("p95"),
    Column::text("Over time"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let filter = view.filter(reader)?;
    let summary = Summary::of(reader, &filter)?;
    if summary.total.calls == 0 {
        return Ok(
            html! { h1 { "Overview" } (totals(view, &summary)) (newest(reader, view, Page::Overview)?) },
        );
    }
    let groups = summary.groups.len();
    let asked = charts::timeline(&filter, view.end()).groups(groups.min(GROUPS));
    let timeline = reader.timeline(&asked)?;
    let impacts = impacts(reader, &filter, &timeline)?;
    let mut failing = filter;
    if failing.outcomes.is_empty() {
        failing.outcomes = Outcome::FAILURES.to_vec();
    }
    let errors = reader.requests(&failing, ROWS, None)?;
    let called = summary.groups.iter().take(ROWS).enumerate();
    let called: Vec<Vec<Markup>> = called
        .map(|(place, group)| {
            let mut cells = cells(view, group);
            cells.push(sparkline(&timeline, group, |of| {
                charts::calls(&format!("called{place}"), &timeline, &of.calls)
            }));
            cells
        })
        .collect();
    let mut failed: Vec<&Group> = summary
        .groups
        .iter()
        .filter(|group| group.figures.failed() > 0)
        .collect();
    failed.sort_by_key(|group| std::cmp::Reverse(group.figures.failed()));
    let failed = failed.into_iter().take(ROWS).enumerate();
    let failed: Vec<Vec<Markup>> = failed
        .map(|(place, group)| {
            let mut cells = cells(view, group);
            cells.push(sparkline(&timeline, group, |of| {
                charts::failures(&format!("failed{place}"), &timeline, &of.failed)
            }));
            cells
        })
        .collect();
    Ok(html! {
        h1 { "Overview" }
        (totals(view, &summary))
        @if !impacts.is_empty() {
            (changes::list("Changed tools, and all their calls in the 7 days before and after", view, &impacts))
        }
        (over_time(&timeline))
        div.pair {
            (html::table("Most called", &COLUMNS, &called))
            (html::table("Most failures", &COLUMNS, &failed))
        }
        (failures("Newest failures", view, &errors, &summary, &timeline))
        p { a href=(view.to(Page::Errors).href()) { "All failures by reason and client" } }
    })
}

/// Returns a table of failed requests. If there are none because they were removed, it says so.
pub(super) fn failures(
    caption: &str,
    view: &View,
    failed: &[Request],
    summary: &Summary,
    timeline: &Timeline,
) -> Markup {
    let Figures {
        caller_errors,
        gone,
        ..
    } = summary.total;
    let counts = [summary.total.failed(), caller_errors, gone];
    let is_counted = counts.into_iter().any(|count| count > 0);
    match failed.is_empty() && is_counted && timeline.removed.is_some() {
        true => html! { p.none { (caption) ": the requests of these failures were removed" } },
        false => requests::list(caption, view, failed),
    }
}

/// Returns the small chart of a tool or method.
fn sparkline(
    timeline: &Timeline,
    group: &Group,
    chart: impl FnOnce(&TimelineGroup) -> Markup,
) -> Markup {
    let mut found = timeline.groups.iter();
    let found = found.find(|of| of.method == group.method && of.tool == group.tool);
    found.map(chart).unwrap_or_default()
}

/// Returns the newest changes of tools in the range, with the calls before and after each.
fn impacts(
    reader: &Reader,
    filter: &RequestFilter,
    timeline: &Timeline,
) -> Result<Vec<ChangeImpact>, Fault> {
    let mut changes = timeline.changes.iter();
    if !changes.any(|change| change.method == "tools/list" && change.item_name.is_some()) {
        return Ok(Vec::new());
    }
    let mut changed = SchemaFilter::new().method("tools/list");
    changed = changed.window(filter.window);
    changed.server_name.clone_from(&filter.server_name);
    let mut impacts = reader.change_impacts(&changed, changes::SPAN, CHANGES)?;
    impacts.retain(|impact| impact.before.calls.saturating_add(impact.after.calls) > 0);
    if let Some(tool) = &filter.tool {
        impacts.retain(|impact| impact.change.item_name.as_ref() == Some(tool));
    }
    Ok(impacts)
}

/// Returns a link to the day before the newest request, if there is one.
pub(super) fn newest(reader: &Reader, view: &View, page: Page) -> Result<Markup, Fault> {
    const DAY: i64 = 24 * 3_600_000;
    let newest = reader.requests(&RequestFilter::new(), 1, None)?;
    let Some(ts) = newest.first().map(|newest| newest.ts) else {
        return Ok(html! { p.none { "There are no requests in the file." } });
    };
    // The conditions exclude it.
    if (view.window.since..view.end()).contains(&ts) {
        return Ok(html! {});
    }
    let until = ts.saturating_add(1);
    let link = view
        .to(page)
        .with(Name::Since, until.saturating_sub(DAY).to_string())
        .with(Name::Until, until.to_string());
    Ok(html! {
        p { "The newest request in the file is of " (html::second(ts)) ". " a href=(link.href()) { "Show the day up to it" } }
    })
}

/// Returns the charts of calls over time.
pub(super) fn over_time(timeline: &Timeline) -> Markup {
    html! {
        @if !timeline.buckets.is_empty() {
            (charts::calls_by_outcome(timeline))
            (charts::latencies(timeline))
        }
    }
}

/// Returns the figures of all calls together, and what is missing.
pub(super) fn totals(view: &View, summary: &Summary) -> Markup {
    let total = &summary.total;
    let part = |label: &str, value: Markup| html! { div { dt { (label) } dd { (value) } } };
    let first_latency = |value: Markup| html! { div.latency { dt { "p50" } dd { (value) } } };
    html! {
        dl.totals {
            (part("Calls", html::count(total.calls)))
            (part("Failed", html::percent(total.failed(), total.calls)))
            (part("Errors", html! {
                (html::bad_count(total.errors))
                small { (html::count(total.timeouts)) @if total.timeouts == 1 { " timeout" } @else { " timeouts" } }
            }))
            (part("Tool errors", html::bad_count(total.tool_errors)))
            (part("Caller errors", html::count(total.caller_errors)))
            (part("Gone", html::count(total.gone)))
            (part("Open", html::maybe_count(total.open)))
            (first_latency(html::latency(total.p50_us)))
            (part("p95", html::latency(total.p95_us)))
            (part("p99", html::latency(total.p99_us)))
            (part("Slowest", html::latency(total.max_us)))
        }
        @if total.calls == 0 { p.none { "No calls began in this range." } }
        @for note in &summary.notes { p.note { (note) } }
        @if !summary.losses.is_empty() {
            p.problem { (losses(&summary.losses)) " " a href=(view.to(Page::Health).href()) { "When and why" } }
        }
    }
}

/// Says how many requests are missing.
pub(super) fn losses(losses: &[Loss]) -> String {
    let known = losses
        .iter()
        .filter_map(|loss| loss.dropped)
        .fold(0, i64::saturating_add);
    let known = numbers::count(known);
    match losses.iter().any(|loss| loss.dropped.is_none()) {
        false => format!("{known} requests of this range are missing from the record."),
        true => format!("At least {known} requests of this range are missing from the record."),
    }
}

fn cells(view: &View, group: &Group) -> Vec<Markup> {
    let Group {
        method,
        tool,
        figures,
    } = group;
    let Figures {
        calls,
        p50_us,
        p95_us,
        ..
    } = figures;
    let name = match tool {
        Some(tool) => html::link(&view.to(Page::Tool).with(Name::Tool, &**tool).href(), tool),
        None => html::link(
            &view.to(Page::Requests).with(Name::Method, &**method).href(),
            method,
        ),
    };
    vec![
        name,
        html::count(*calls),
        html::percent(figures.failed(), *calls),
        html::latency(*p50_us),
        html::latency(*p95_us),
    ]
}
