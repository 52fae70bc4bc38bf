//! `mcp-store stats --plot`: calls over time, in blocks.

use std::io;

use serde::Serialize;
use tower_mcp_store::query::{
    Reader, RequestFilter, Timeline, TimelineBucket, TimelineFilter, Window,
};

use crate::error::CliError;
use crate::output::{self, Format, Output, Tone, padded};
use crate::time;

/// Eighths of a character, from below.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The height of the bars of all calls, in lines.
const LINES: usize = 5;

/// The width of lines that have no bound.
const UNBOUNDED: u16 = 80;

/// The room for names and for notes beside the plot, and the narrowest line with notes.
const NAME: usize = 12;
const NOTE: usize = 20;
const WITH_NOTES: usize = 60;

/// The most tools and methods that have a line of their own.
const GROUPS: usize = 8;

/// One line of JSON.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Bucket(&'a TimelineBucket),
}

/// A plot, and the width that it has.
struct Plot<'a> {
    output: &'a mut Output,
    columns: usize,
    has_notes: bool,
}

/// Writes the calls that a filter takes over time, and those of the busiest tools and methods.
pub(super) fn run(
    reader: &Reader,
    filter: &RequestFilter,
    output: &mut Output,
) -> Result<(), CliError> {
    let width = usize::from(output.width().unwrap_or(UNBOUNDED));
    let has_notes = width >= WITH_NOTES;
    let beside = NAME + 1 + if has_notes { NOTE + 2 } else { 0 };
    let columns = width.saturating_sub(beside).max(8);
    let filter = timeline(filter).buckets(columns).groups(GROUPS);
    let timeline = reader.timeline(&filter)?;
    if output.format() != Format::Table {
        let mut buckets = timeline.buckets.iter();
        return Ok(buckets.try_for_each(|bucket| output.record(&Line::Bucket(bucket)))?);
    }
    let mut plot = Plot {
        output,
        columns,
        has_notes,
    };
    plot.all(&timeline)?;
    for group in &timeline.groups {
        let name = group.tool.as_deref().unwrap_or(&group.method);
        let calls = group.calls.iter().copied().fold(0, i64::saturating_add);
        let note = format!("{} calls", output::count(calls));
        let heights = plot.counts(&timeline, |place, _| group.calls.get(place).copied());
        plot.sparkline(name, &heights, Tone::Plain, &note)?;
    }
    plot.output.line("")?;
    Ok(())
}

/// Returns the filter of a timeline with the same conditions.
fn timeline(filter: &RequestFilter) -> TimelineFilter {
    let mut window = filter.window;
    if window.since != Window::ALL.since && window.until == Window::ALL.until {
        window.until = time::now().max(window.since);
    }
    let mut timeline = TimelineFilter::new().window(window);
    match super::plain(filter, &[]) {
        Some(plain) => {
            timeline.server_name = plain.server_name;
            timeline.method = plain.method;
            timeline.tool = plain.tool;
            timeline
        }
        None => timeline.conditions(filter.clone()),
    }
}

fn total(timeline: &Timeline, count: fn(&TimelineBucket) -> i64) -> i64 {
    timeline
        .buckets
        .iter()
        .fold(0, |sum, bucket| sum.saturating_add(count(bucket)))
}

fn failed(bucket: &TimelineBucket) -> i64 {
    let failed = [
        bucket.tool_errors,
        bucket.caller_errors,
        bucket.server_errors,
        bucket.timeouts,
        bucket.gone,
    ];
    failed.into_iter().fold(0, i64::saturating_add)
}

impl Plot<'_> {
    /// Writes the calls, failures, latencies and marks of all calls.
    fn all(&mut self, timeline: &Timeline) -> Result<(), CliError> {
        let calls = self.counts(timeline, |_, bucket| Some(bucket.calls));
        self.bars(&calls, timeline)?;
        let failures = self.counts(timeline, |_, bucket| Some(failed(bucket)));
        let note = format!("{} failed", output::count(total(timeline, failed)));
        self.sparkline("failed", &failures, Tone::Bad, &note)?;
        type Of = fn(&TimelineBucket) -> Option<i64>;
        let percentiles: [(&str, Of); 3] = [
            ("p50", |bucket| bucket.p50_us),
            ("p95", |bucket| bucket.p95_us),
            ("p99", |bucket| bucket.p99_us),
        ];
        for (name, of) in percentiles {
            let highest = timeline.buckets.iter().filter_map(of).max();
            let note =
                highest.map_or_else(String::new, |us| format!("at most {}", time::latency(us)));
            let latencies = self.levels(timeline, |_, bucket| of(bucket).map(|us| us as f64));
            self.sparkline(name, &latencies, Tone::Plain, &note)?;
        }
        self.marks(timeline)?;
        self.axis(timeline)?;
        Ok(())
    }

    /// Returns the count of each column, as the count of a bucket of the usual width.
    fn counts(
        &self,
        timeline: &Timeline,
        count: impl Fn(usize, &TimelineBucket) -> Option<i64>,
    ) -> Vec<Option<f64>> {
        self.levels(timeline, |place, bucket| {
            let count = count(place, bucket).filter(|count| *count > 0)?;
            let width = bucket.window.until.saturating_sub(bucket.window.since);
            let part = timeline.width_ms as f64 / width.max(1) as f64;
            Some(count as f64 * part.min(1.0))
        })
    }

    /// Returns a number for each column. `number` is given the bucket and its place.
    fn levels(
        &self,
        timeline: &Timeline,
        number: impl Fn(usize, &TimelineBucket) -> Option<f64>,
    ) -> Vec<Option<f64>> {
        let Window { since, until } = timeline.window;
        let length = until.saturating_sub(since);
        let slots = usize::try_from(length / timeline.width_ms.max(1)).unwrap_or(usize::MAX);
        let slots = slots.clamp(1, self.columns);
        let each = self.columns / slots;
        let at = |slot: usize| {
            let part = (slot as f64 + 0.5) / slots as f64;
            since.saturating_add((length as f64 * part) as i64)
        };
        let columns = (0..slots * each).map(|column| {
            let at = at(column / each);
            let buckets = &timeline.buckets;
            let next = buckets.partition_point(|bucket| bucket.window.since <= at);
            let place = next.checked_sub(1)?;
            number(place, buckets.get(place)?)
        });
        columns.collect()
    }

    /// Writes bars of several lines.
    fn bars(&mut self, heights: &[Option<f64>], timeline: &Timeline) -> io::Result<()> {
        let eighths = scaled(heights, LINES * BLOCKS.len());
        let calls = total(timeline, |bucket| bucket.calls);
        let highest = heights.iter().flatten().copied().fold(0.0, f64::max);
        for line in 0..LINES {
            let below = (LINES - 1 - line) * BLOCKS.len();
            let text: String = eighths
                .iter()
                .map(|eighths| block(eighths.saturating_sub(below)))
                .collect();
            let note = match line {
                0 => format!("{} calls", output::count(calls)),
                1 => format!("at most {}", output::count(highest.round() as i64)),
                2 => format!("in {}", round(&time::span(timeline.width_ms))),
                _ => String::new(),
            };
            let name = if line == 0 { "calls" } else { "" };
            self.line(name, &text, Tone::Plain, &note)?;
        }
        Ok(())
    }

    /// Writes bars of one line.
    fn sparkline(
        &mut self,
        name: &str,
        heights: &[Option<f64>],
        tone: Tone,
        note: &str,
    ) -> io::Result<()> {
        let text: String = scaled(heights, BLOCKS.len())
            .into_iter()
            .map(block)
            .collect();
        self.line(name, &text, tone, note)
    }

    /// Writes a line for each kind of mark that there is.
    fn marks(&mut self, timeline: &Timeline) -> io::Result<()> {
        let changes = timeline.changes.iter().map(|change| change.detected_at);
        let starts = timeline.writer_starts.iter().map(|start| start.started_at);
        let losses = timeline
            .losses
            .iter()
            .map(|loss| (loss.from_ts, loss.to_ts));
        let at = |at: i64| (at, at);
        for (name, mark, spans) in [
            ("changes", '▲', changes.map(at).collect::<Vec<_>>()),
            ("started", '▲', starts.map(at).collect()),
            ("missing", '░', losses.collect()),
        ] {
            if spans.is_empty() {
                continue;
            }
            let mut text = vec![' '; self.plotted(timeline)];
            for (from, to) in &spans {
                let [from, to] = [*from, *to].map(|at| self.column(timeline, at));
                text[from..=to].fill(mark);
            }
            let note = output::count(i64::try_from(spans.len()).unwrap_or(i64::MAX));
            let text: String = text.into_iter().collect();
            self.line(name, &text, Tone::Plain, &note)?;
        }
        Ok(())
    }

    /// Returns how many columns are in use.
    fn plotted(&self, timeline: &Timeline) -> usize {
        self.levels(timeline, |_, _| None).len()
    }

    /// Returns the column of a moment; the first or last one for a moment outside.
    fn column(&self, timeline: &Timeline, at: i64) -> usize {
        let Window { since, until } = timeline.window;
        let length = until.saturating_sub(since).max(1) as f64;
        let part = at.saturating_sub(since) as f64 / length;
        let columns = self.plotted(timeline);
        ((part * columns as f64).max(0.0) as usize).min(columns.saturating_sub(1))
    }

    /// Writes the start and the end of the window below the plot.
    fn axis(&mut self, timeline: &Timeline) -> io::Result<()> {
        let Window { since, until } = timeline.window;
        let [since, until] = [since, until].map(time::local_minute);
        let rest = self.plotted(timeline).saturating_sub(since.len());
        let text = match rest > until.len() {
            true => format!("{since}{until:>rest$}"),
            false => format!("{since} to {until}"),
        };
        let text = padded(&text, self.columns);
        self.line("", text.trim_end(), Tone::Plain, "")
    }

    fn line(&mut self, name: &str, text: &str, tone: Tone, note: &str) -> io::Result<()> {
        let name = padded(name, NAME);
        let columns = self.columns;
        let mut line = format!("{name} {}", self.output.colored(text, tone));
        if self.has_notes && !note.is_empty() {
            let missing = columns.saturating_sub(text.chars().count());
            line.push_str(&format!("{:missing$}  {}", "", padded(note, NOTE)));
        }
        self.output.line(line.trim_end())
    }
}

/// Returns a span of time without a second unit of 0.
fn round(span: &str) -> &str {
    let zeros = [" 0 s", " 0 min", " 0 h"];
    zeros
        .into_iter()
        .find_map(|zero| span.strip_suffix(zero))
        .unwrap_or(span)
}

/// Returns heights as whole numbers up to `most`. Anything is at least 1.
fn scaled(heights: &[Option<f64>], most: usize) -> Vec<usize> {
    let highest = heights.iter().flatten().copied().fold(0.0, f64::max);
    let scaled = heights.iter().map(|height| match height {
        Some(height) if highest > 0.0 => ((height / highest * most as f64).round() as usize).max(1),
        _ => 0,
    });
    scaled.collect()
}

/// Returns a character that is filled by this many eighths.
fn block(eighths: usize) -> char {
    match eighths.min(BLOCKS.len()).checked_sub(1) {
        Some(place) => BLOCKS[place],
        None => ' ',
    }
}
