//! How often, how fast and how well.

mod cells;
mod rows;
mod tally;

use rusqlite::types::Value;

use super::Reader;
use super::conditions::equalities;
use super::coverage::{Cells, Coverage, Plan};
use super::error::QueryError;
use super::filter::StatsFilter;
use super::losses::{Loss, losses};
use super::reader::Source;
use super::window::Window;
use crate::histogram;
use tally::Tallies;

/// Up to how many requests are looked at one by one, which makes percentiles
/// exact, where there are cells that tell the same faster.
const LOOKED_AT: i64 = 50_000;

/// The statistics of a window.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct StatsReport {
    /// From when to when this is: the window that was asked for, or a wider one
    /// where requests are no longer in the file.
    pub window: Window,
    /// All requests together.
    pub total: CallStats,
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
    pub figures: CallStats,
}

/// The statistics of some requests.
///
/// Streams that are open for as long as somebody listens (`stream_end`) are
/// calls without a latency.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct CallStats {
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
    /// count of the hour any more, to the whole day, in UTC. [`StatsReport::window`]
    /// says from when to when the answer is; all numbers in it are those of that
    /// time. What is older than the oldest count is left out.
    ///
    /// ```
    /// use tower_mcp_store::query::{Reader, StatsFilter, Window};
    ///
    /// # fn search(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// let filter = StatsFilter::new()
    ///     .window(Window::since(1_795_046_400_000))
    ///     .tool("search");
    /// let stats = reader.stats(&filter)?;
    /// println!("{} calls since {}", stats.total.calls, stats.window.since);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stats(&self, filter: &StatsFilter) -> Result<StatsReport, QueryError> {
        self.read(|source| stats(source, filter))
    }
}

pub(super) fn stats(source: &Source<'_>, filter: &StatsFilter) -> rusqlite::Result<StatsReport> {
    let coverage = Coverage::of(source)?;
    let window = coverage.widened(filter.window);
    let mut plan =
        if coverage.has_rows_of(filter.window) && rows::are_few(source, window, LOOKED_AT)? {
            Plan::Requests(window)
        } else {
            coverage.plan(window, window.until)
        };
    let (mut tallies, mut other_calls) = count(source, filter, &plan)?;
    let pruned = coverage.pruned(window);
    if other_calls > 0 && pruned.until < window.until {
        // The requests that are left have the names that cells lack.
        plan = coverage.plan(window, pruned.until);
        (tallies, other_calls) = count(source, filter, &plan)?;
    }
    let (total, groups) = tallies.finish();
    Ok(StatsReport {
        window,
        total,
        groups,
        other_calls,
        percentiles: match plan {
            Plan::Requests(_) => Percentiles::Exact,
            Plan::Cells(_) => Percentiles::Estimated {
                error: histogram::ERROR,
            },
        },
        losses: losses(source, window)?,
    })
}

/// Counts what the plan says. Also returns the number of calls whose method or tool is
/// unknown and may be the one of the filter.
fn count(
    source: &Source<'_>,
    filter: &StatsFilter,
    plan: &Plan,
) -> rusqlite::Result<(Tallies, i64)> {
    match plan {
        Plan::Requests(window) => {
            let mut tallies = Tallies::exact();
            rows::add(source, filter, *window, &mut tallies)?;
            Ok((tallies, 0))
        }
        Plan::Cells(Cells {
            cells,
            whole,
            edges,
        }) => {
            let mut tallies = Tallies::estimated();
            let other_calls = cells::add(source, filter, cells, &mut tallies)?;
            if !cells.is_empty() {
                rows::add_unfolded(source, filter, *whole, &mut tallies)?;
            }
            for edge in edges.iter().filter(|edge| edge.since < edge.until) {
                rows::add(source, filter, *edge, &mut tallies)?;
            }
            Ok((tallies, other_calls))
        }
    }
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
