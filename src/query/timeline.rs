//! Calls over time.

mod groups;
mod layout;
mod marks;
mod tallies;
mod totals;

pub use groups::TimelineGroup;
pub use layout::BucketSource;
pub use marks::WriterStart;

use super::Reader;
use super::coverage::Coverage;
use super::error::QueryError;
use super::filter::{RequestFilter, StatsFilter, TimelineFilter};
use super::losses::{Loss, losses};
use super::reader::Source;
use super::schema::SchemaChange;
use super::stats::rows::Ends;
use super::stats::tally::Tally;
use super::stats::{Asked, LOOKED_AT, Methods, Percentiles, cells, matching, rows};
use super::window::Window;
use crate::db::BucketWidth;
use crate::histogram;
use layout::{Layout, aligned, fitting};
use tallies::{OnlyGroups, Tallies};

/// The number of buckets if the filter sets none.
const BUCKETS: usize = 60;

/// The most buckets that a filter can ask for.
const MOST_BUCKETS: usize = 1_000;

/// Windows of this length or longer have buckets of an hour or longer if they have many
/// requests, because cells are faster.
const LONG_MS: i64 = 12 * BucketWidth::Hour.ms();

/// The calls of a window over time, and the changes of listings, starts of writers and losses in
/// it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Timeline {
    /// The window of the buckets: that of the filter, widened to whole buckets.
    pub window: Window,
    /// The usual width of a bucket, in milliseconds. Buckets whose requests are gone may be
    /// wider, because the file has only counts of whole hours or days.
    pub width_ms: i64,
    /// The buckets, oldest first, without gaps between them.
    pub buckets: Vec<TimelineBucket>,
    /// The methods and tools with the most calls, as many as the filter asks for.
    pub groups: Vec<TimelineGroup>,
    /// The number of further calls that may be of the method or tool of the filter; see
    /// [`StatsReport::other_calls`](super::StatsReport::other_calls).
    pub other_calls: i64,
    /// Where the percentiles come from.
    pub percentiles: Percentiles,
    /// Changes of listings in the window, oldest first; the latest 500 at most. With a tool
    /// in the filter, only those of this tool.
    pub changes: Vec<SchemaChange>,
    /// When writers opened the file, oldest first; the latest 500 at most.
    pub writer_starts: Vec<WriterStart>,
    /// The spans of time in which requests are missing.
    pub losses: Vec<Loss>,
    /// The part of the window whose requests were removed. The file has only counts of hours or
    /// days for it. `None` if all requests of the window are in the file, apart from losses.
    pub removed: Option<Window>,
}

/// The calls of one bucket of time.
///
/// They are counted as in [`CallStats`](super::CallStats): a call counts in `calls` where
/// it begins; its outcome and its latency count where it ends.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct TimelineBucket {
    /// The bucket's span of time.
    #[serde(flatten)]
    pub window: Window,
    /// The source of its counts.
    pub source: BucketSource,
    /// The number of calls that began.
    pub calls: i64,
    /// The number of calls that ended successfully.
    pub ok: i64,
    /// The number of calls whose tool failed.
    pub tool_errors: i64,
    /// The number of calls that failed by a fault of the caller.
    pub caller_errors: i64,
    /// The number of calls that ended in an error of the server, without timeouts.
    pub server_errors: i64,
    /// The number of calls that ended in a timeout.
    pub timeouts: i64,
    /// The number of calls that the caller cancelled or left.
    pub gone: i64,
    /// `calls` minus all that ended in the bucket, but not below 0.
    pub open: i64,
    /// The median of server time, in microseconds.
    pub p50_us: Option<i64>,
    /// The 95th percentile of server time, in microseconds.
    pub p95_us: Option<i64>,
    /// The 99th percentile of server time, in microseconds.
    pub p99_us: Option<i64>,
    /// The highest server time, in microseconds.
    pub max_us: Option<i64>,
    /// How often each server time occurred, in rising order. Serialisation leaves it out.
    #[serde(skip)]
    pub latencies: Vec<LatencyCount>,
}

/// The number of calls with nearly the same latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LatencyCount {
    /// The lowest latency, in microseconds.
    pub from_us: i64,
    /// The highest latency, in microseconds. It is at most 1 % higher.
    pub to_us: i64,
    /// The number of calls.
    pub calls: i64,
}

impl Reader {
    /// Returns the calls of a window over time, and the changes of listings, starts of writers and
    /// losses in it.
    ///
    /// The width of a bucket is 10, 15 or 30 seconds, 1, 2, 5, 10, 15 or 30 minutes, 1, 2, 3, 6
    /// or 12 hours, or a number of days: the least for which there are no more buckets than the
    /// filter allows. Buckets begin at multiples of their width in UTC. If a window of
    /// 12 hours or more has more than 50,000 requests, its buckets are an hour or longer.
    /// A window without a start or an end begins with the oldest or ends with the newest record.
    ///
    /// Calls are counted as in [`stats`](Self::stats), from the same sources, so the sums of
    /// the buckets equal the statistics of [`Timeline::window`], with one exception: polls
    /// (`ping`, `tasks/get` and `tasks/list`) are counted only if the filter names their
    /// method.
    ///
    /// The statistics of removed requests do not have clients and other conditions. With one of
    /// these in the filter, the window begins at the time from which on all requests are in the
    /// file, and each request that meets the conditions is read.
    ///
    /// ```
    /// use tower_mcp_store::query::{Reader, TimelineFilter, Window};
    ///
    /// # fn timeline(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// let filter = TimelineFilter::new()
    ///     .window(Window::since(1_795_046_400_000))
    ///     .tool("search")
    ///     .buckets(40);
    /// for bucket in reader.timeline(&filter)?.buckets {
    ///     println!("{}: {} calls, p95 {:?}", bucket.window.since, bucket.calls, bucket.p95_us);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn timeline(&self, filter: &TimelineFilter) -> Result<Timeline, QueryError> {
        self.read(|source| timeline(source, filter, LOOKED_AT))
    }
}

/// Returns the timeline of a window. At most `few` requests are read one by one if there
/// are cells.
fn timeline(source: &Source<'_>, filter: &TimelineFilter, few: i64) -> rusqlite::Result<Timeline> {
    let counted = filter.counted();
    let matching = filter.matching();
    let asked = Asked {
        filter: &counted,
        methods: match Methods::of(&counted) {
            Methods::All => Methods::Others,
            methods => methods,
        },
    };
    let mut coverage = Coverage::of(source)?;
    if asked.methods == Methods::Polls {
        coverage = coverage.of_polls(source)?;
    }
    let closed = layout::closed(source, &coverage, filter.window)?;
    let most = filter.buckets.unwrap_or(BUCKETS).clamp(1, MOST_BUCKETS);
    let mut width = fitting(closed, most);
    let is_few = coverage.has_rows_of(aligned(closed, width))
        && rows::are_few(source, aligned(closed, width), few)?;
    let is_long = closed.until.saturating_sub(closed.since) >= LONG_MS;
    if is_long && !is_few && matching.is_none() {
        width = width.max(BucketWidth::Hour.ms());
    }
    let mut window = aligned(closed, width);
    let mut layout = if matching.is_some() {
        window.since = coverage.rows_since(window.since).min(window.until);
        Layout::of_rows(window, width)
    } else {
        window = coverage.widened(window);
        match is_few && coverage.has_rows_of(window) {
            true => Layout::of_rows(window, width),
            false => Layout::of_cells(&coverage, window, width, window.until),
        }
    };
    let exact = is_few && layout.has_rows_only();
    let (mut tallies, mut other_calls) = match &matching {
        Some(matching) => {
            let mut tallies = Tallies::of(&layout, exact, filter.groups);
            for part in &layout.rows {
                matching::add(source, matching, asked.methods, *part, &mut tallies)?;
                matching::add_tasks(source, matching, *part, &mut tallies)?;
            }
            (tallies, 0)
        }
        None => count(source, asked, &layout, exact, filter.groups)?,
    };
    let pruned = coverage.pruned(window);
    if other_calls > 0 && pruned.until < window.until {
        // Cells may lack names, but the requests that are still in the file have them.
        layout = Layout::of_cells(&coverage, window, width, pruned.until);
        (tallies, other_calls) = count(source, asked, &layout, exact, filter.groups)?;
    }
    let groups = tallies
        .groups
        .map(|groups| groups.finish(tallies.starts.len()));
    let buckets = layout.buckets().zip(tallies.buckets);
    Ok(Timeline {
        window,
        width_ms: width,
        buckets: buckets
            .map(|((window, source), tally)| TimelineBucket::new(window, source, tally))
            .collect(),
        groups: groups.unwrap_or_default(),
        other_calls,
        percentiles: match exact {
            true => Percentiles::Exact,
            false => Percentiles::Estimated {
                error: histogram::ERROR,
            },
        },
        changes: marks::changes(source, &counted, window)?,
        writer_starts: marks::writer_starts(source, window)?,
        losses: losses(source, window)?,
        removed: (pruned.since < pruned.until).then_some(pruned),
    })
}

/// Counts the cells and rows of the layout. Also returns the number of calls whose method or tool
/// is unknown and may be the one of the filter.
fn count(
    source: &Source<'_>,
    asked: Asked<'_>,
    layout: &Layout,
    exact: bool,
    groups: Option<usize>,
) -> rusqlite::Result<(Tallies, i64)> {
    let mut tallies = Tallies::of(layout, exact, groups);
    let mut other_calls = 0;
    if !totals::suffice(asked) {
        other_calls = cells::add(source, asked, &layout.cells, &mut tallies)?;
    } else {
        totals::add(source, asked, &layout.cells, &mut tallies)?;
        if groups.is_some() {
            cells::add(source, asked, &layout.cells, &mut OnlyGroups(&mut tallies))?;
        }
    }
    for whole in &layout.whole {
        rows::add_not_rolled_up(source, asked, *whole, &mut tallies)?;
        rows::add_tasks(source, asked, *whole, Ends::NotRolledUp, &mut tallies)?;
    }
    for part in &layout.rows {
        rows::add(source, asked, *part, &mut tallies)?;
        rows::add_tasks(source, asked, *part, Ends::All, &mut tallies)?;
    }
    Ok((tallies, other_calls))
}

impl TimelineFilter {
    /// Returns the conditions that statistics of removed requests have.
    fn counted(&self) -> StatsFilter {
        let further = &self.conditions;
        let either = |of: &Option<String>, own: &Option<String>| of.clone().or_else(|| own.clone());
        StatsFilter {
            window: self.window,
            server_name: either(&further.server_name, &self.server_name),
            method: either(&further.method, &self.method),
            tool: either(&further.tool, &self.tool),
        }
    }

    /// Returns all conditions, if there are some that statistics of removed requests do not have.
    fn matching(&self) -> Option<RequestFilter> {
        let further = self.conditions.clone().window(Window::ALL);
        if self.client.is_none() && further == RequestFilter::new() {
            return None;
        }
        let counted = self.counted();
        Some(RequestFilter {
            server_name: counted.server_name,
            method: counted.method,
            tool: counted.tool,
            client: further.client.clone().or_else(|| self.client.clone()),
            ..further
        })
    }
}

impl TimelineBucket {
    fn new(window: Window, source: BucketSource, tally: Tally) -> Self {
        let latencies = tally.server_times();
        let latencies = latencies.buckets().map(|(from, to, calls)| {
            let number = |value| i64::try_from(value).unwrap_or(i64::MAX);
            LatencyCount {
                from_us: number(from),
                to_us: number(to),
                calls: number(calls),
            }
        });
        let latencies = latencies.collect();
        let ended = tally.ended();
        let figures = tally.finish();
        let failed = [
            figures.errors,
            figures.tool_errors,
            figures.caller_errors,
            figures.gone,
        ];
        let failed = failed.into_iter().fold(0, i64::saturating_add);
        Self {
            window,
            source,
            calls: figures.calls,
            ok: ended.saturating_sub(failed).max(0),
            tool_errors: figures.tool_errors,
            caller_errors: figures.caller_errors,
            server_errors: figures.errors.saturating_sub(figures.timeouts),
            timeouts: figures.timeouts,
            gone: figures.gone,
            open: figures.open,
            p50_us: figures.p50_us,
            p95_us: figures.p95_us,
            p99_us: figures.p99_us,
            max_us: figures.max_us,
            latencies,
        }
    }
}

#[cfg(test)]
mod tests;
