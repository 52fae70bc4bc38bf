//! Charts, each with its numbers as a table.

mod calls;
mod over_time;

use maud::{Markup, PreEscaped, html};
use mcp_store_chart::{Table, TimeAxis};
use tower_mcp_store::query::{RequestFilter, TimelineFilter, Window};

pub(crate) use calls::{single_calls, waterfall};
pub(crate) use over_time::{calls_by_outcome, latencies, revisions, sparkline};

/// The width of a chart, in pixels. A page scales it.
const WIDTH: f64 = 900.0;

/// Returns the filter of a timeline, if timelines have all conditions of `filter`.
pub(crate) fn timeline(filter: &RequestFilter, until: i64) -> Option<TimelineFilter> {
    let mut same = RequestFilter::new().window(filter.window);
    same.server_name.clone_from(&filter.server_name);
    same.method.clone_from(&filter.method);
    same.tool.clone_from(&filter.tool);
    same.client.clone_from(&filter.client);
    let mut names = [&filter.method, &filter.tool].into_iter().flatten();
    if same != *filter || names.any(|name| name.contains(['*', '?', '['])) {
        return None;
    }
    let mut timeline = TimelineFilter::new().window(filter.window.until(until));
    timeline.server_name = same.server_name;
    timeline.method = same.method;
    timeline.tool = same.tool;
    timeline.client = same.client;
    Some(timeline)
}

/// Returns a chart and its numbers.
fn figure(title: &str, svg: String, table: &Table) -> Markup {
    html! {
        figure.chart-box {
            figcaption { (title) }
            div.scroll role="region" aria-label=(title) tabindex="0" {
                // The chart escapes its texts.
                (PreEscaped(svg))
            }
            (rows(title, table))
        }
    }
}

/// Returns the numbers of a chart.
fn rows(title: &str, table: &Table) -> Markup {
    html! {
        details {
            summary { "The numbers as a table" }
            div.scroll role="region" aria-label=(format!("{title}: numbers")) tabindex="0" {
                table {
                    caption { (title) }
                    thead { tr { @for name in &table.columns { th scope="col" { (name) } } } }
                    tbody {
                        @for row in &table.rows {
                            tr {
                                @for (at, cell) in row.iter().enumerate() {
                                    @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn axis(window: Window) -> TimeAxis {
    TimeAxis::local(window.since, window.until)
}
