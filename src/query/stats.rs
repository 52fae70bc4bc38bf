//! How often, how fast and how well.

mod cells;
mod rows;
mod tally;

use rusqlite::types::Value;

use super::Reader;
use super::coverage::Coverage;
use super::filter::equalities;
use super::losses::{Loss, losses};
use super::reader::Source;
use super::window::Window;
use crate::error::QueryError;
use crate::histogram;
use tally::Tallies;

/// Up to how many requests are looked at one by one, which makes percentiles
/// exact, where there are cells that tell the same faster.
const LOOKED_AT: i64 = 50_000;

/// What statistics are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatsFilter {
    /// When the requests came.
    pub window: Window,
    /// The recording point.
    pub proxy: Option<String>,
    /// The JSON-RPC method.
    pub method: Option<String>,
    /// The tool that was called.
    pub tool: Option<String>,
}

/// The statistics of a window.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// From when to when this is: the window that was asked for, or a wider one
    /// where requests are no longer in the file.
    pub window: Window,
    /// All requests together.
    pub total: Figures,
    /// The requests of each method, and of each tool, most frequent first.
    pub groups: Vec<Group>,
    /// How many calls more there may be of the method or tool that was asked
    /// for: those whose name is not known any more, because too many others were
    /// called that day. 0 where no name was asked for; a group `(other)` counts
    /// them then.
    pub other_calls: i64,
    /// Where the percentiles come from.
    pub percentiles: Percentiles,
    /// The stretches of time of which something is missing.
    pub losses: Vec<Loss>,
}

/// The statistics of one method or, where a tool is called, of one tool.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Group {
    /// The JSON-RPC method.
    pub method: String,
    /// The tool that it called.
    pub tool: Option<String>,
    /// Its statistics.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The statistics of some requests.
///
/// Streams that are open for as long as somebody listens (`stream_end`) are
/// calls without a latency.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Figures {
    /// How many there are.
    pub calls: i64,
    /// How many of them ended in an error or a time-out.
    pub errors: i64,
    /// How many of those were time-outs.
    pub timeouts: i64,
    /// How many succeeded with a tool that did not.
    pub tool_errors: i64,
    /// The latency that half of them do not exceed, in microseconds.
    pub p50_us: Option<i64>,
    /// The latency that 95 of 100 do not exceed, in microseconds.
    pub p95_us: Option<i64>,
    /// The latency that 99 of 100 do not exceed, in microseconds.
    pub p99_us: Option<i64>,
    /// The highest latency, in microseconds.
    pub max_us: Option<i64>,
    /// Bytes of all request messages.
    pub bytes_in: i64,
    /// Bytes of all response messages.
    pub bytes_out: i64,
}

/// Where percentiles come from.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Percentiles {
    /// From every single latency: the nearest rank.
    Exact,
    /// From histograms of whole hours and days.
    Estimated {
        /// How far each may be from the exact one, as a part of it.
        error: f64,
    },
}

impl Reader {
    /// The statistics of a window: in total, of each method and of each tool.
    ///
    /// A window of up to some ten thousand requests that are all in the file is
    /// told from each of them. The statistics of a longer one, and of requests
    /// that are no longer in the file, come from the counts that the writer
    /// keeps for hours and days, and from the requests at its edges.
    ///
    /// A count cannot be split: where a window begins or ends in a time whose
    /// requests are gone, it is widened to the whole hour, and where there is no
    /// count of the hour any more, to the whole day, in UTC. [`Stats::window`]
    /// says from when to when the answer is; all numbers in it are those of that
    /// time. What is older than the oldest count is left out.
    ///
    /// ```
    /// use tower_mcp_store::query::{Reader, StatsFilter, Window};
    ///
    /// # fn search(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut filter = StatsFilter::default();
    /// filter.window = Window::since(1_795_046_400_000);
    /// filter.tool = Some("search".to_owned());
    /// let stats = reader.stats(&filter)?;
    /// println!("{} calls since {}", stats.total.calls, stats.window.since);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self, filter: &StatsFilter) -> Result<Stats, QueryError> {
        self.read(|source| stats(source, filter))
    }
}

pub(super) fn stats(source: &Source<'_>, filter: &StatsFilter) -> rusqlite::Result<Stats> {
    let coverage = Coverage::of(source)?;
    let window = coverage.widened(filter.window);
    let looked_at =
        coverage.has_rows_of(filter.window) && rows::are_few(source, window, LOOKED_AT)?;
    let mut rows_from = match looked_at {
        true => window.since,
        false => window.until,
    };
    let (mut tallies, mut other_calls) = count(source, filter, &coverage, window, rows_from)?;
    let pruned = coverage.pruned(window);
    if other_calls > 0 && pruned.until < rows_from {
        // Requests that are left tell the names that cells have not.
        rows_from = pruned.until;
        (tallies, other_calls) = count(source, filter, &coverage, window, rows_from)?;
    }
    let (total, groups) = tallies.finish();
    Ok(Stats {
        window,
        total,
        groups,
        other_calls,
        percentiles: match tells_each(window, rows_from) {
            true => Percentiles::Exact,
            false => Percentiles::Estimated {
                error: histogram::ERROR,
            },
        },
        losses: losses(source, window)?,
    })
}

/// Counts by cells, as far as they fit, up to `rows_from`, and by requests from
/// then on. Gives the number of calls without a name, too.
fn count(
    source: &Source<'_>,
    filter: &StatsFilter,
    coverage: &Coverage,
    window: Window,
    rows_from: i64,
) -> rusqlite::Result<(Tallies, i64)> {
    let mut tallies = Tallies::new(tells_each(window, rows_from));
    if tells_each(window, rows_from) {
        rows::add(source, filter, window, &mut tallies)?;
        return Ok((tallies, 0));
    }
    let Window { since, until } = window;
    let parts = coverage.parts(Window {
        since,
        until: rows_from,
    });
    let whole = parts.whole;
    if whole.since >= whole.until {
        rows::add(source, filter, window, &mut tallies)?;
        return Ok((tallies, 0));
    }
    let other_calls = cells::add(source, filter, &parts, &mut tallies)?;
    rows::add_unfolded(source, filter, whole, &mut tallies)?;
    for (since, until) in [(since, whole.since), (whole.until, until)] {
        rows::add(source, filter, Window { since, until }, &mut tallies)?;
    }
    Ok((tallies, other_calls))
}

/// Whether requests from `rows_from` on are all of the window.
fn tells_each(window: Window, rows_from: i64) -> bool {
    rows_from <= window.since
}

impl StatsFilter {
    /// All conditions but the window, `sign` before each column, and what to
    /// bind for them from `?first` on.
    fn conditions(&self, sign: &str, first: usize) -> (String, Vec<Value>) {
        equalities(
            first,
            [
                (sign, "proxy", &self.proxy),
                (sign, "method", &self.method),
                (sign, "tool", &self.tool),
            ],
        )
    }
}

#[cfg(test)]
mod tests;
