//! Charts, each with its numbers as a table.

use std::collections::BTreeMap;

use maud::{Markup, PreEscaped, html};
use mcp_store_chart::{
    Bar, Canvas, Color, Dash, HeatCell, HeatColumn, HeatMap, Line, Mark, MarkKind, Point,
    PointSeries, Scatter, Series, Shape, Span, SpanKind, Sparkline, StackedBars, Stretch, Table,
    TimeAxis, Waterfall, WaterfallRow,
};
use mcp_store_text::{numbers, time};
use tower_mcp_store::Outcome;
use tower_mcp_store::query::{
    Operation, Request, RequestFilter, Session, Timeline, TimelineBucket, TimelineFilter, Window,
};

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

/// Returns the calls over time, stacked by outcome.
pub(crate) fn calls(timeline: &Timeline) -> Markup {
    let title = "Calls over time, by outcome";
    let series = [
        ("ok", Color::Ok),
        ("tool_error", Color::ToolError),
        ("caller_error", Color::CallerError),
        ("error", Color::ServerError),
        ("timeout", Color::Timeout),
        ("gone", Color::Gone),
        ("open", Color::Open),
    ];
    let bars = timeline.buckets.iter().map(|bucket| Bar {
        since: bucket.window.since,
        until: bucket.window.until,
        values: outcomes(bucket)
            .map(|count| u64::try_from(count).unwrap_or(0))
            .to_vec(),
    });
    let chart = StackedBars {
        title: title.to_owned(),
        description: format!(
            "A bar for each {}. {}",
            time::span(timeline.width_ms),
            marks_in_words(timeline)
        ),
        time: axis(timeline.window),
        series: series
            .map(|(name, color)| Series::new(name, color))
            .to_vec(),
        bars: bars.collect(),
        marks: marks(timeline),
        spans: spans(timeline),
    };
    figure(
        title,
        chart.svg(&Canvas::for_page("calls", WIDTH, 240.0)),
        &chart.table(),
    )
}

/// Returns the number of calls with each outcome.
fn outcomes(bucket: &TimelineBucket) -> [i64; 7] {
    let TimelineBucket {
        ok,
        tool_errors,
        caller_errors,
        server_errors,
        timeouts,
        gone,
        open,
        ..
    } = bucket;
    [
        *ok,
        *tool_errors,
        *caller_errors,
        *server_errors,
        *timeouts,
        *gone,
        *open,
    ]
}

/// Returns the latencies over time as a heat map, with the percentiles as lines.
pub(crate) fn latencies(timeline: &Timeline) -> Markup {
    let title = "Server time of calls, with percentiles";
    let columns = timeline.buckets.iter().map(|bucket| HeatColumn {
        since: bucket.window.since,
        until: bucket.window.until,
        cells: bucket
            .latencies
            .iter()
            .map(|cell| HeatCell {
                us: u64::try_from(cell.from_us).unwrap_or(0),
                count: u64::try_from(cell.calls).unwrap_or(0),
            })
            .collect(),
    });
    let line = |name: &str, dash, percentile: fn(&TimelineBucket) -> Option<i64>| Line {
        name: name.to_owned(),
        color: Color::Ink,
        dash,
        points: timeline
            .buckets
            .iter()
            .map(|bucket| {
                (
                    middle(bucket.window),
                    percentile(bucket).map(|us| us as f64),
                )
            })
            .collect(),
    };
    let chart = HeatMap {
        title: title.to_owned(),
        description: format!(
            "The number of calls by latency, for each {}. {}",
            time::span(timeline.width_ms),
            marks_in_words(timeline)
        ),
        time: axis(timeline.window),
        columns: columns.collect(),
        lines: vec![
            line("p50", Dash::Solid, |bucket| bucket.p50_us),
            line("p95", Dash::Dashed, |bucket| bucket.p95_us),
            line("p99", Dash::Dotted, |bucket| bucket.p99_us),
        ],
        marks: marks(timeline),
        spans: spans(timeline),
    };
    figure(
        title,
        chart.svg(&Canvas::for_page("latencies", WIDTH, 300.0)),
        &chart.table(),
    )
}

/// Returns a small line of calls over time.
pub(crate) fn sparkline(place: usize, timeline: &Timeline) -> Markup {
    let calls = |bucket: &TimelineBucket| bucket.calls;
    let highest = timeline.buckets.iter().map(calls).max().unwrap_or(0);
    let chart = Sparkline {
        title: format!(
            "Calls for each {}, at most {}",
            time::span(timeline.width_ms),
            numbers::count(highest)
        ),
        color: Color::Ok,
        values: timeline
            .buckets
            .iter()
            .map(|bucket| Some(bucket.calls as f64))
            .collect(),
    };
    let canvas = Canvas::for_page(&format!("spark{place}"), 120.0, 22.0);
    PreEscaped(chart.svg(&canvas))
}

/// Returns single calls by time and latency.
pub(crate) fn single_calls(
    window: Window,
    rows: &[Request],
    timeline: Option<&Timeline>,
) -> Markup {
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
        time: axis(window),
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
        marks: timeline.map(marks).unwrap_or_default(),
        spans: timeline.map(spans).unwrap_or_default(),
    };
    figure(
        title,
        chart.svg(&Canvas::for_page("scatter", WIDTH, 260.0)),
        &chart.table(),
    )
}

/// Returns the sessions that began over time, stacked by their revision of MCP.
pub(crate) fn revisions(window: Window, sessions: &[Session]) -> Markup {
    const BARS: i64 = 40;
    const SHOWN: usize = 5;
    const OTHER: &str = "other";
    let title = "Sessions by start and revision of MCP";
    let revision = |session: &Session| {
        let revision = session.protocol_version.as_deref();
        revision.unwrap_or("unknown").to_owned()
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for session in sessions {
        *counts.entry(revision(session)).or_default() += 1;
    }
    let mut by_count: Vec<(&String, &u64)> = counts.iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    // Clients choose the names, so there may be any number.
    let mut revisions: Vec<&str> = by_count
        .iter()
        .take(SHOWN)
        .map(|(name, _)| &***name)
        .collect();
    revisions.sort_unstable();
    if counts.len() > SHOWN {
        revisions.push(OTHER);
    }
    let place = |session: &Session| {
        let revision = revision(session);
        let found = revisions.iter().position(|name| *name == revision);
        found.unwrap_or(SHOWN)
    };
    let width = (window.until.saturating_sub(window.since) / BARS).max(1);
    let bars = (0..BARS).map(|bar| {
        let since = window.since.saturating_add(bar * width);
        let until = since.saturating_add(width);
        let mut values = vec![0; revisions.len()];
        for session in sessions {
            if (since..until).contains(&session.started_at)
                && let Some(count) = values.get_mut(place(session))
            {
                *count += 1;
            }
        }
        Bar {
            since,
            until,
            values,
        }
    });
    let chart = StackedBars {
        title: title.to_owned(),
        description: format!("A bar for each {}.", time::span(width)),
        time: axis(window),
        series: revisions
            .iter()
            .zip(0..)
            .map(|(name, place)| Series::new(*name, Color::Series(place)))
            .collect(),
        bars: bars.collect(),
        marks: Vec::new(),
        spans: Vec::new(),
    };
    figure(
        title,
        chart.svg(&Canvas::for_page("revisions", WIDTH, 220.0)),
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
    figure(title, chart.svg(&canvas), &chart.table())
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

fn axis(window: Window) -> TimeAxis {
    TimeAxis::local(window.since, window.until)
}

fn middle(window: Window) -> i64 {
    window
        .since
        .saturating_add(window.until.saturating_sub(window.since) / 2)
}

/// Returns the changes of listings, and the starts of writers.
fn marks(timeline: &Timeline) -> Vec<Mark> {
    let changes = timeline.changes.iter().map(|change| Mark {
        at: change.detected_at,
        kind: MarkKind::Change,
        label: match &change.item_name {
            Some(item) => format!("{} {item}", change.change_type),
            None => format!("{} {}", change.method, change.change_type),
        },
    });
    let starts = timeline.writer_starts.iter().map(|start| Mark {
        at: start.started_at,
        kind: MarkKind::Start,
        label: start.instance.clone().unwrap_or_default(),
    });
    changes.chain(starts).collect()
}

/// Returns the losses, and the spans of time for which the file has only counts of hours or days.
fn spans(timeline: &Timeline) -> Vec<Span> {
    let losses = timeline.losses.iter().map(|loss| Span {
        since: loss.from_ts,
        until: loss.to_ts.saturating_add(1),
        kind: SpanKind::Loss,
        label: match loss.dropped {
            Some(dropped) => format!("{} requests, {}", numbers::count(dropped), loss.reason),
            None => format!("unknown number of requests, {}", loss.reason),
        },
    });
    let mut spans: Vec<Span> = losses.collect();
    let mut widened: Option<Span> = None;
    for bucket in &timeline.buckets {
        let Window { since, until } = bucket.window;
        if until.saturating_sub(since) <= timeline.width_ms {
            continue;
        }
        match &mut widened {
            Some(span) if span.until == since => span.until = until,
            _ => {
                spans.extend(widened.take());
                widened = Some(Span {
                    since,
                    until,
                    kind: SpanKind::Widened,
                    label: "its requests were removed".to_owned(),
                });
            }
        }
    }
    spans.extend(widened);
    spans
}

fn marks_in_words(timeline: &Timeline) -> String {
    let (changes, losses) = (timeline.changes.len(), timeline.losses.len());
    format!("{changes} changes of listings and {losses} losses are marked.")
}
