//! Charts, each with its numbers as a table.

mod over_time;
mod single;

use maud::{Markup, PreEscaped, html};
use mcp_store_chart::{Table, TimeAxis};
use tower_mcp_store::query::{RequestFilter, TimelineFilter, Window};

use crate::summary;

pub(crate) use over_time::{
    calls, calls_by_outcome, failures, failures_by_outcome, latencies, revisions,
};
pub(crate) use single::{single_calls, waterfall};

/// The width of a chart, in pixels. A page scales it.
const WIDTH: f64 = 820.0;

/// Returns the filter of a timeline of the requests that a filter takes.
pub(crate) fn timeline(filter: &RequestFilter, until: i64) -> TimelineFilter {
    let mut timeline = TimelineFilter::new().window(filter.window.until(until));
    match summary::plain(filter) {
        Some(plain) => {
            timeline.server_name = plain.server_name;
            timeline.method = plain.method;
            timeline.tool = plain.tool;
            timeline
        }
        None => timeline.conditions(filter.clone()),
    }
}

/// Returns a chart and its numbers. On a narrow screen its newest part shows first.
fn figure(title: &str, svg: String, table: &Table) -> Markup {
    figure_from(Edge::Newest, title, svg, table)
}

/// The part of a chart that shows first on a narrow screen.
enum Edge {
    Oldest,
    Newest,
}

fn figure_from(edge: Edge, title: &str, svg: String, table: &Table) -> Markup {
    let class = match edge {
        Edge::Oldest => "scroll",
        Edge::Newest => "scroll newest",
    };
    html! {
        figure.chart-box {
            figcaption { (title) }
            div class=(class) role="region" aria-label=(title) tabindex="0" {
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
