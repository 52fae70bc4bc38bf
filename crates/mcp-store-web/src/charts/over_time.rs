//! Counts and latencies over time.

use std::collections::BTreeMap;
use std::ops::Range;

use maud::{Markup, PreEscaped};
use mcp_store_chart::{
    Bar, Canvas, Color, Dash, HeatCell, HeatColumn, HeatMap, Line, Mark, MarkKind, Series, Span,
    SpanKind, Sparkline, StackedBars,
};
use mcp_store_text::{numbers, time};
use tower_mcp_store::query::{ChangeType, SchemaChange, Session, Timeline, TimelineBucket, Window};

use super::{WIDTH, axis, figure};

/// The outcomes of calls, each with its colour.
const OUTCOMES: [(&str, Color); 7] = [
    ("ok", Color::Ok),
    ("tool_error", Color::ToolError),
    ("caller_error", Color::CallerError),
    ("error", Color::ServerError),
    ("timeout", Color::Timeout),
    ("gone", Color::Gone),
    ("open", Color::Open),
];

/// Returns the calls over time, stacked by outcome.
pub(crate) fn calls_by_outcome(timeline: &Timeline) -> Markup {
    by_outcome(
        "Calls over time, by outcome",
        "calls",
        timeline,
        0..OUTCOMES.len(),
        225.0,
    )
}

/// Returns the calls over time that failed, stacked by outcome.
pub(crate) fn failures_by_outcome(timeline: &Timeline) -> Markup {
    // Not those that ended well, nor those that have not ended.
    by_outcome(
        "Failed calls over time, by outcome",
        "failures",
        timeline,
        1..OUTCOMES.len() - 1,
        180.0,
    )
}

fn by_outcome(
    title: &str,
    id: &str,
    timeline: &Timeline,
    shown: Range<usize>,
    height: f64,
) -> Markup {
    let bars = timeline.buckets.iter().map(|bucket| {
        let counts = outcomes(bucket).map(|count| u64::try_from(count).unwrap_or(0));
        Bar {
            since: bucket.window.since,
            until: bucket.window.until,
            values: counts[shown.clone()].to_vec(),
        }
    });
    let chart = StackedBars {
        title: title.to_owned(),
        description: format!(
            "A bar for each {}. {}",
            time::span(timeline.width_ms),
            marks_in_words(timeline)
        ),
        time: axis(timeline.window),
        series: OUTCOMES[shown.clone()]
            .iter()
            .map(|(name, color)| Series::new(*name, *color))
            .collect(),
        bars: bars.collect(),
        marks: marks(timeline),
        spans: spans(timeline),
    };
    let svg = chart.svg(&Canvas::for_page(id, WIDTH, height));
    figure(title, svg, &chart.table())
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
        chart.svg(&Canvas::for_page("latencies", WIDTH, 295.0)),
        &chart.table(),
    )
}

/// Returns a small line of the calls in each bucket of a timeline.
pub(crate) fn calls(id: &str, timeline: &Timeline, calls: &[i64]) -> Markup {
    sparkline(id, ("Calls", Color::Ok), timeline, calls)
}

/// Returns a small line of the failed calls in each bucket of a timeline.
pub(crate) fn failures(id: &str, timeline: &Timeline, failed: &[i64]) -> Markup {
    sparkline(id, ("Failures", Color::ServerError), timeline, failed)
}

fn sparkline(
    id: &str,
    (what, color): (&str, Color),
    timeline: &Timeline,
    counts: &[i64],
) -> Markup {
    let highest = counts.iter().max().copied().unwrap_or(0);
    let values = timeline.buckets.iter().zip(counts).map(|(bucket, count)| {
        // A wide bucket stands for a rate.
        let Window { since, until } = bucket.window;
        let times = until.saturating_sub(since) as f64 / timeline.width_ms.max(1) as f64;
        Some(*count as f64 / times.max(1.0))
    });
    let chart = Sparkline {
        title: format!(
            "{what} for each {}, at most {}",
            time::span(timeline.width_ms),
            numbers::count(highest)
        ),
        color,
        values: values.collect(),
    };
    PreEscaped(chart.svg(&Canvas::for_page(id, 120.0, 22.0)))
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
        chart.svg(&Canvas::for_page("revisions", WIDTH, 200.0)),
        &chart.table(),
    )
}

fn middle(window: Window) -> i64 {
    window
        .since
        .saturating_add(window.until.saturating_sub(window.since) / 2)
}

/// Returns the changes of listings, and the starts of writers. A listing that is seen for the
/// first time is no change.
pub(super) fn marks(timeline: &Timeline) -> Vec<Mark> {
    let changes = changes(timeline).map(|change| Mark {
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
pub(super) fn spans(timeline: &Timeline) -> Vec<Span> {
    let losses = timeline.losses.iter().map(|loss| Span {
        since: loss.from_ts,
        until: loss.to_ts.saturating_add(1),
        kind: SpanKind::Loss,
        label: match loss.dropped {
            Some(dropped) => format!("{} requests, {}", numbers::count(dropped), loss.reason),
            None => format!("unknown number of requests, {}", loss.reason),
        },
    });
    // Before its first record a file has no counts either.
    let mut counted = timeline.buckets.iter().filter(|bucket| bucket.calls > 0);
    let removed = timeline.removed.and_then(|removed| {
        let since = removed.since.max(counted.next()?.window.since);
        (since < removed.until).then(|| Span {
            since,
            until: removed.until,
            kind: SpanKind::Widened,
            label: "its requests were removed".to_owned(),
        })
    });
    losses.chain(removed).collect()
}

fn changes(timeline: &Timeline) -> impl Iterator<Item = &SchemaChange> {
    let changes = timeline.changes.iter();
    changes.filter(|change| change.change_type.known() != Some(ChangeType::Initial))
}

fn marks_in_words(timeline: &Timeline) -> String {
    let (changes, losses) = (changes(timeline).count(), timeline.losses.len());
    format!("{changes} changes of listings and {losses} losses are marked.")
}
