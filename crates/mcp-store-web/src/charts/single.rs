//! Single calls: by time and latency, and those of a session in their order.

use maud::{Markup, html};
use mcp_store_chart::{
    Canvas, Color, Point, PointSeries, Scatter, Shape, Stretch, Waterfall, WaterfallRow,
};
use mcp_store_text::time;
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Operation, Request, Timeline, Window};

use super::over_time::{marks, spans};
use super::{Edge, WIDTH, axis, figure, figure_from};

/// Returns single calls by time and latency, with the marks of a timeline.
pub(crate) fn single_calls(timeline: &Timeline, rows: &[Request]) -> Markup {
    let title = "Single calls";
    let of = |name: &str, color, shape, takes: fn(Outcome) -> bool| PointSeries {
        name: name.to_owned(),
        color,
        shape,
        points: rows
            .iter()
            .filter(|row| takes(row.outcome()))
            .map(|row| Point {
                at: row.ts,
                us: u64::try_from(row.latency_us).unwrap_or(0),
            })
            .collect(),
    };
    let chart = Scatter {
        title: title.to_owned(),
        description: format!(
            "The newest {} calls of this range by their latency.",
            rows.len()
        ),
        time: axis(timeline.window),
        series: vec![
            of("ok", Color::Ok, Shape::Circle, |outcome| {
                outcome == Outcome::Ok
            }),
            of("tool_error", Color::ToolError, Shape::Square, |outcome| {
                outcome == Outcome::ToolError
            }),
            of(
                "caller_error",
                Color::CallerError,
                Shape::Triangle,
                |outcome| outcome == Outcome::CallerError,
            ),
            of(
                "error or timeout",
                Color::ServerError,
                Shape::Cross,
                |outcome| matches!(outcome, Outcome::Error | Outcome::Timeout),
            ),
            of("other", Color::Gone, Shape::Circle, |outcome| {
                matches!(
                    outcome,
                    Outcome::Gone | Outcome::InputRequired | Outcome::Working
                )
            }),
        ],
        marks: marks(timeline),
        spans: spans(timeline),
    };
    figure(
        title,
        chart.svg(&Canvas::for_page("scatter", WIDTH, 260.0)),
        &chart.table(),
    )
}

/// Returns the calls of a session as a waterfall, oldest first.
pub(crate) fn waterfall(calls: &[Operation]) -> Markup {
    let end = |call: &Operation| {
        let requests = call.legs.iter().map(|leg| answered(&leg.request));
        requests.chain(call.ended_ts).max().unwrap_or(call.ts)
    };
    let (Some(since), Some(until)) = (
        calls.iter().map(|call| call.ts).min(),
        calls.iter().map(end).max(),
    ) else {
        return html! {};
    };
    let title = "Calls in the order of their start";
    let rows = calls.iter().map(|call| {
        let first = call.legs.first().map(|leg| &leg.request);
        let name = first.map(|first| first.tool.as_deref().unwrap_or(&first.method));
        let took = call
            .wall_us
            .map_or_else(String::new, |us| format!(", {}", time::latency(us)));
        WaterfallRow {
            label: name.unwrap_or_default().to_owned(),
            note: format!("{}{took}", call.outcome.as_str()),
            color: color(call.outcome),
            stretches: stretches(call),
        }
    });
    let chart = Waterfall {
        title: title.to_owned(),
        description: "A row for each call. A hatched part is the time that the client took \
            between the requests of one call."
            .to_owned(),
        time: axis(Window::since(since).until(until.max(since.saturating_add(1)))),
        rows: rows.collect(),
    };
    let canvas = Canvas::for_page("waterfall", WIDTH, chart.height());
    figure_from(Edge::Oldest, title, chart.svg(&canvas), &chart.table())
}

/// Returns the times of each request of a call, and those of the client between them.
fn stretches(call: &Operation) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for leg in &call.legs {
        let request = &leg.request;
        if let Some(previous) = stretches
            .last()
            .filter(|_| leg.client_us.is_some_and(|us| us > 0))
        {
            let since = previous.until;
            stretches.push(Stretch {
                since,
                until: request.ts,
                is_client: true,
            });
        }
        let (since, until) = (request.ts, answered(request));
        stretches.push(Stretch {
            since,
            until,
            is_client: false,
        });
    }
    stretches
}

fn answered(request: &Request) -> i64 {
    request.ts.saturating_add(request.latency_us / 1_000)
}

fn color(outcome: Outcome) -> Color {
    match outcome {
        Outcome::Ok => Color::Ok,
        Outcome::ToolError => Color::ToolError,
        Outcome::CallerError => Color::CallerError,
        Outcome::Timeout => Color::Timeout,
        Outcome::Gone => Color::Gone,
        Outcome::InputRequired | Outcome::Working => Color::Open,
        _ => Color::ServerError,
    }
}
