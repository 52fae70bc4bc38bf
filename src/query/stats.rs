//! Statistics of requests.

pub(super) mod cells;
#[cfg(feature = "outbox")]
pub(super) mod foreign;
mod latencies;
pub(super) mod matching;
pub(super) mod rows;
pub(super) mod tally;

use rusqlite::types::Value;

use super::Reader;
use super::conditions::equalities;
use super::coverage::{Cells, Coverage, Plan};
use super::error::QueryError;
use super::filter::StatsFilter;
use super::losses::{Loss, losses};
use super::reader::Source;
use super::window::Window;
use crate::db::{BucketWidth, POLLS};
use crate::histogram;
use rows::Ends;
use tally::Tallies;

/// The most requests of a window that are read one by one, which makes percentiles exact.
/// With more requests, cells are faster.
pub(super) const LOOKED_AT: i64 = 50_000;

/// The statistics of a window.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct StatsReport {
    /// The window of these statistics: that of the filter, or a wider one if requests
    /// are no longer in the file.
    pub window: Window,
    /// The window in which polls are counted: requests of `ping`, `tasks/get` and
    /// `tasks/list`. They are removed before other requests, so whole hours or days
    /// around `window` may be counted.
    pub polls: Window,
    /// All calls together. Latencies of polls are left out, unless the filter names
    /// their method.
    pub total: CallStats,
    /// The requests of each method, and of each tool, most frequent first.
    pub groups: Vec<Group>,
    /// The number of further calls that may be of the method or tool of the filter. Their
    /// name is unknown, because too many others were called that day. It is 0 for a filter
    /// without a name; then a group `(other)` counts them.
    pub other_calls: i64,
    /// Where the percentiles come from.
    pub percentiles: Percentiles,
    /// The spans of time in which requests are missing.
    pub losses: Vec<Loss>,
}

/// The statistics of one method, or of one tool for `tools/call`.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Group {
    /// The JSON-RPC method.
    pub method: String,
    /// The tool that it called.
    pub tool: Option<String>,
    /// The statistics of its calls.
    #[serde(flatten)]
    pub figures: CallStats,
}

/// The statistics of some calls.
///
/// A call is an operation: a call of a tool counts once, with all its rounds of input and
/// polls of a task. It counts in the window in which it begins; its outcome and its
/// latencies count in the window in which it ends.
///
/// A stream that stays open as long as the client listens (`stream_end`) is a call
/// without a latency.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct CallStats {
    /// The number of calls that began.
    pub calls: i64,
    /// The number of calls that ended in an error of the server or a timeout.
    pub errors: i64,
    /// The number of calls that ended in a timeout.
    pub timeouts: i64,
    /// The number of calls whose tool failed.
    pub tool_errors: i64,
    /// The number of calls that failed by a fault of the caller.
    pub caller_errors: i64,
    /// The number of calls that the caller cancelled or left.
    pub gone: i64,
    /// The number of calls that have begun and not ended: `calls` minus all that ended.
    pub open: i64,
    /// The median of server time, in microseconds: the latencies of all requests of a
    /// call together. A task has no server time.
    pub p50_us: Option<i64>,
    /// The 95th percentile of server time, in microseconds.
    pub p95_us: Option<i64>,
    /// The 99th percentile of server time, in microseconds.
    pub p99_us: Option<i64>,
    /// The highest server time, in microseconds.
    pub max_us: Option<i64>,
    /// The median of wall time, in microseconds: from the first request of a call to its
    /// end. It includes the time that the client takes between requests, and tasks.
    pub wall_p50_us: Option<i64>,
    /// The 95th percentile of wall time, in microseconds.
    pub wall_p95_us: Option<i64>,
    /// The 99th percentile of wall time, in microseconds.
    pub wall_p99_us: Option<i64>,
    /// The highest wall time, in microseconds.
    pub wall_max_us: Option<i64>,
    /// Bytes of all request messages.
    pub bytes_in: i64,
    /// Bytes of all response messages.
    pub bytes_out: i64,
}

/// The source of percentiles.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Percentiles {
    /// From each latency, by nearest rank.
    Exact,
    /// From histograms of whole hours and days.
    Estimated {
        /// The highest relative error.
        error: f64,
    },
}

impl Reader {
    /// Returns the statistics of a window: in total, of each method and of each tool.
    ///
    /// If the window has at most 50,000 requests and all are in the file, each is counted.
    /// Otherwise the statistics come from the counts that the writer keeps for each hour
    /// and day, and from the requests at the edges of the window.
    ///
    /// A count cannot be split. If the window begins or ends at a time whose requests are
    /// gone, it is widened to the whole hour, or to the whole day (UTC) if the counts of
    /// hours are gone too. [`StatsReport::window`] is the window that was counted. Times
    /// before the oldest count are left out.
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
    report(&mut { source }, filter, LOOKED_AT)
}

/// What statistics are counted from: a file, or the tables of another engine.
trait Tables {
    type Error;

    fn coverage(&mut self) -> Result<Coverage, Self::Error>;

    /// Returns the times from which on polls are there. Retention removes them before other
    /// requests.
    fn coverage_of_polls(&mut self, of_others: Coverage) -> Result<Coverage, Self::Error>;

    /// Returns whether a window has at most `limit` requests, or whether there are no cells to
    /// count instead.
    fn are_few(&mut self, window: Window, limit: i64) -> Result<bool, Self::Error>;

    fn add_requests(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        tallies: &mut Tallies,
    ) -> Result<(), Self::Error>;

    /// Adds the requests of a window that are in no cell yet.
    fn add_not_rolled_up(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        tallies: &mut Tallies,
    ) -> Result<(), Self::Error>;

    fn add_tasks(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        ends: Ends,
        tallies: &mut Tallies,
    ) -> Result<(), Self::Error>;

    /// Returns the number of further calls that the filter may take: those in cells without
    /// the name of their method or tool.
    fn add_cells(
        &mut self,
        asked: Asked<'_>,
        cells: &[(BucketWidth, Window)],
        tallies: &mut Tallies,
    ) -> Result<i64, Self::Error>;

    fn losses(&mut self, window: Window) -> Result<Vec<Loss>, Self::Error>;
}

impl Tables for &Source<'_> {
    type Error = rusqlite::Error;

    fn coverage(&mut self) -> rusqlite::Result<Coverage> {
        Coverage::of(self)
    }

    fn coverage_of_polls(&mut self, of_others: Coverage) -> rusqlite::Result<Coverage> {
        of_others.of_polls(self)
    }

    fn are_few(&mut self, window: Window, limit: i64) -> rusqlite::Result<bool> {
        rows::are_few(self, window, limit)
    }

    fn add_requests(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        tallies: &mut Tallies,
    ) -> rusqlite::Result<()> {
        rows::add(self, asked, window, tallies)
    }

    fn add_not_rolled_up(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        tallies: &mut Tallies,
    ) -> rusqlite::Result<()> {
        rows::add_not_rolled_up(self, asked, window, tallies)
    }

    fn add_tasks(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        ends: Ends,
        tallies: &mut Tallies,
    ) -> rusqlite::Result<()> {
        rows::add_tasks(self, asked, window, ends, tallies)
    }

    fn add_cells(
        &mut self,
        asked: Asked<'_>,
        cells: &[(BucketWidth, Window)],
        tallies: &mut Tallies,
    ) -> rusqlite::Result<i64> {
        cells::add(self, asked, cells, tallies)
    }

    fn losses(&mut self, window: Window) -> rusqlite::Result<Vec<Loss>> {
        losses(self, window)
    }
}

/// Returns the statistics of a window. At most `few` requests are read one by one.
fn report<T: Tables>(
    tables: &mut T,
    filter: &StatsFilter,
    few: i64,
) -> Result<StatsReport, T::Error> {
    let coverage = tables.coverage()?;
    let of_polls = tables.coverage_of_polls(coverage)?;
    let are_polls_gone = of_polls != coverage && !of_polls.has_rows_of(filter.window);
    let counted = match Methods::of(filter) {
        Methods::All if are_polls_gone => {
            let others = Counted::of(tables, filter, Methods::Others, coverage, few)?;
            let polls = Counted::of(tables, filter, Methods::Polls, of_polls, few)?;
            others.with_polls(polls)
        }
        methods @ Methods::Polls => Counted::of(tables, filter, methods, of_polls, few)?,
        methods => Counted::of(tables, filter, methods, coverage, few)?,
    };
    let (total, groups) = counted.tallies.finish(filter.method.is_some());
    Ok(StatsReport {
        window: counted.window,
        polls: counted.polls,
        total,
        groups,
        other_calls: counted.other_calls,
        percentiles: match counted.plan {
            Plan::Requests(_) => Percentiles::Exact,
            Plan::Cells(_) => Percentiles::Estimated {
                error: histogram::ERROR,
            },
        },
        losses: tables.losses(counted.window)?,
    })
}

/// The methods that are counted together, because the file has their requests of the same
/// times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Methods {
    All,
    Polls,
    Others,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) filter: &'a StatsFilter,
    pub(super) methods: Methods,
}

impl Methods {
    /// Returns the methods that a filter takes.
    pub(super) fn of(filter: &StatsFilter) -> Self {
        match &filter.method {
            _ if filter.tool.is_some() => Self::Others,
            Some(method) if POLLS.contains(&method.as_str()) => Self::Polls,
            Some(_) => Self::Others,
            None => Self::All,
        }
    }

    /// Returns the condition that takes these methods of a filter.
    fn condition(self, filter: &StatsFilter) -> String {
        let not = match self {
            Self::Polls => "",
            Self::Others => "NOT ",
            Self::All => return String::new(),
        };
        match filter.method.is_some() || filter.tool.is_some() {
            true => String::new(),
            false => format!(" AND +method {not}IN ('{}')", POLLS.join("', '")),
        }
    }
}

/// The counts, and how they were made.
#[derive(Debug)]
struct Counted {
    tallies: Tallies,
    other_calls: i64,
    window: Window,
    polls: Window,
    plan: Plan,
}

impl Counted {
    /// Counts some methods of a filter, from what the tables cover.
    fn of<T: Tables>(
        tables: &mut T,
        filter: &StatsFilter,
        methods: Methods,
        coverage: Coverage,
        few: i64,
    ) -> Result<Self, T::Error> {
        let window = coverage.widened(filter.window);
        let mut plan = if coverage.has_rows_of(window) && tables.are_few(window, few)? {
            Plan::Requests(window)
        } else {
            coverage.plan(window, window.until)
        };
        let (mut tallies, mut other_calls) = count(tables, filter, methods, &plan)?;
        let pruned = coverage.pruned(window);
        if other_calls > 0 && pruned.until < window.until {
            // Cells may lack names, but the requests that are still in the file have them.
            plan = coverage.plan(window, pruned.until);
            (tallies, other_calls) = count(tables, filter, methods, &plan)?;
        }
        Ok(Self {
            tallies,
            other_calls,
            window,
            polls: window,
            plan,
        })
    }

    fn with_polls(mut self, polls: Self) -> Self {
        self.tallies.add_groups(polls.tallies);
        self.polls = polls.window;
        self
    }
}

/// Counts the cells and rows of the plan. Also returns the number of calls whose method or tool is
/// unknown and may be the one of the filter.
fn count<T: Tables>(
    tables: &mut T,
    filter: &StatsFilter,
    methods: Methods,
    plan: &Plan,
) -> Result<(Tallies, i64), T::Error> {
    let asked = Asked { filter, methods };
    match plan {
        Plan::Requests(window) => {
            let mut tallies = Tallies::exact();
            tables.add_requests(asked, *window, &mut tallies)?;
            tables.add_tasks(asked, *window, Ends::All, &mut tallies)?;
            Ok((tallies, 0))
        }
        Plan::Cells(Cells {
            cells,
            whole,
            edges,
        }) => {
            let mut tallies = Tallies::estimated();
            let other_calls = tables.add_cells(asked, cells, &mut tallies)?;
            if !cells.is_empty() {
                tables.add_not_rolled_up(asked, *whole, &mut tallies)?;
                tables.add_tasks(asked, *whole, Ends::NotRolledUp, &mut tallies)?;
            }
            for edge in edges.iter().filter(|edge| edge.since < edge.until) {
                tables.add_requests(asked, *edge, &mut tallies)?;
                tables.add_tasks(asked, *edge, Ends::All, &mut tallies)?;
            }
            Ok((tallies, other_calls))
        }
    }
}

impl Asked<'_> {
    /// Returns all conditions but the window, with `sign` before each column, and their
    /// values, which are bound from `?first` on.
    fn conditions(&self, sign: &str, first: usize) -> (String, Vec<Value>) {
        let filter = self.filter;
        let (mut sql, values) = equalities(
            first,
            [
                (sign, "proxy", &filter.server_name),
                (sign, "method", &filter.method),
                (sign, "tool", &filter.tool),
            ],
        );
        sql.push_str(&self.methods.condition(filter));
        (sql, values)
    }
}

#[cfg(test)]
pub(super) mod tests;
