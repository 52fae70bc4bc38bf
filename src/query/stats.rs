//! How often, how fast and how well.

mod cells;
mod rows;
mod tally;

use rusqlite::types::Value;

use super::Reader;
use super::filter::equalities;
use super::losses::{Loss, losses};
use super::reader::Source;
use super::window::Window;
use crate::error::QueryError;
use crate::histogram;
use tally::Tallies;

pub(super) use cells::whole;

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
    /// All requests together.
    pub total: Figures,
    /// The requests of each method, and of each tool, most frequent first.
    pub groups: Vec<Group>,
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
    pub fn stats(&self, filter: &StatsFilter) -> Result<Stats, QueryError> {
        self.read(|source| stats(source, filter))
    }
}

pub(super) fn stats(source: &Source<'_>, filter: &StatsFilter) -> rusqlite::Result<Stats> {
    let exact = rows::are_all_there(source, filter.window, LOOKED_AT)?;
    let mut tallies = Tallies::new(exact);
    if exact {
        rows::add(source, filter, filter.window, &mut tallies)?;
    } else {
        cells::add(source, filter, &mut tallies)?;
    }
    let (total, groups) = tallies.finish();
    Ok(Stats {
        total,
        groups,
        percentiles: if exact {
            Percentiles::Exact
        } else {
            Percentiles::Estimated {
                error: histogram::ERROR,
            }
        },
        losses: losses(source, filter.window)?,
    })
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
