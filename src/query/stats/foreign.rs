//! Statistics of tables that another engine than SQLite has, counted as those of a file.

use rusqlite::types::ValueRef;

use super::super::conditions::TOOLS_CALL;
use super::super::coverage::Coverage;
use super::super::losses::Loss;
use super::super::sql::Value;
use super::super::window::Window;
use super::rows::Ends;
use super::tally::{Counts, Tallies, Times};
use super::{Asked, LOOKED_AT, Methods, StatsFilter, StatsReport, Tables};
use crate::db::contribution::Contribution;
use crate::db::rollup::{OTHER, cell_name};
use crate::db::row::Lenient;
use crate::db::{BucketWidth, POLLS};
use crate::event::Outcome;

/// An engine that has the tables of files. All answers are of one moment.
pub trait Engine {
    /// Why an answer is missing.
    type Error;

    /// Returns up to which times rows were removed.
    fn pruned_to(&mut self) -> Result<PrunedTo, Self::Error>;

    /// Returns whether any request was rolled up into cells.
    fn has_cells(&mut self) -> Result<bool, Self::Error>;

    /// Returns whether a window has more requests than `limit`.
    fn has_more(&mut self, window: Window, limit: i64) -> Result<bool, Self::Error>;

    /// Calls `each` with the values of each row, in the order that [`Rows`] gives.
    fn select(
        &mut self,
        selection: &Selection,
        each: &mut dyn FnMut(&[Value]),
    ) -> Result<(), Self::Error>;

    /// Returns the losses that overlap a window, oldest first.
    fn losses(&mut self, window: Window) -> Result<Vec<Loss>, Self::Error>;
}

/// Times in unix milliseconds up to which rows were removed; `i64::MIN` if none were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrunedTo {
    /// All requests but polls.
    pub requests: i64,
    /// Requests of `ping`, `tasks/get` and `tasks/list`.
    pub polls: i64,
    /// Cells of hours.
    pub hours: i64,
    /// Cells of days.
    pub days: i64,
}

/// Rows to select.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Their kind, and the columns to select.
    pub rows: Rows,
    /// Of requests it is the time `ts`, of tasks `ended_ts`, of cells `start`.
    pub window: Window,
    /// All of these hold. Those of a task hold for its first request.
    pub names: Vec<Names>,
}

/// A condition on a column that has names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// `proxy`, `method` or `tool`.
    pub column: &'static str,
    /// The names that the column is compared with.
    pub names: Vec<String>,
    /// Whether the column has one of the names, or none of them.
    pub is_one: bool,
}

/// A kind of rows, and their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// `method`, `tool`, `bytes_in`, `bytes_out`, `status`, `tool_error`, `end_reason`,
    /// `error_code`, `http_status`, `latency_us`, `leg`, `operation_us`, and the time since the
    /// first request of the operation, in milliseconds, if the request ended an operation of
    /// several.
    Requests,
    /// The same columns of requests that are in no cell.
    NotRolledUp,
    /// `method` and `tool` of the first request, `outcome`, `ts` of the first request,
    /// `ended_ts` and `rolled_up_as`.
    Tasks,
    /// The same columns of tasks whose end is in no cell, or in that of another outcome.
    TasksNotRolledUp,
    /// `method`, `tool`, `outcome`, and the sums of `calls`, `ended`, `bytes_in` and
    /// `bytes_out`, and the highest `max_latency_us` and `max_wall_us`.
    Cells {
        /// The width of the cells in milliseconds.
        width: i64,
    },
    /// `method`, `tool`, `bucket`, and the sums of `server` and `wall`.
    Buckets {
        /// The width of the cells in milliseconds.
        width: i64,
    },
}

/// Returns the statistics of a window, as [`Reader::stats`](crate::query::Reader::stats) does.
pub fn stats<E: Engine>(engine: &mut E, filter: &StatsFilter) -> Result<StatsReport, E::Error> {
    super::report(&mut Foreign(engine), filter, LOOKED_AT)
}

struct Foreign<'e, E>(&'e mut E);

impl<E: Engine> Foreign<'_, E> {
    fn add(
        &mut self,
        rows: Rows,
        asked: Asked<'_>,
        window: Window,
        tallies: &mut Tallies,
    ) -> Result<(), E::Error> {
        let selection = Selection {
            rows,
            window,
            names: asked.names(),
        };
        self.0.select(&selection, &mut |values| {
            let column = |at| Ok::<_, std::convert::Infallible>(value(values, at));
            let Ok(contribution) = Contribution::of_values(|at| column(at + 4));
            let counts = Counts::of_row(contribution, number(values, 2), number(values, 3));
            tallies.add_named(names(values), &counts);
        })
    }

    /// Adds cells. Returns the calls of those that may have the names of the filter.
    fn add_part(
        &mut self,
        asked: Asked<'_>,
        width: i64,
        window: Window,
        tallies: &mut Tallies,
    ) -> Result<i64, E::Error> {
        let filter = asked.filter;
        let is = |found: ValueRef<'_>, asked: &Option<String>| {
            let is = |asked: &str| found == ValueRef::Text(cell_name(asked).as_bytes());
            asked.as_deref().is_none_or(is)
        };
        let is_named = |values: &[Value]| {
            is(value(values, 0), &filter.method) && is(value(values, 1), &filter.tool)
        };
        let mut unnamed: i64 = 0;
        let mut selection = Selection {
            rows: Rows::Cells { width },
            window,
            names: asked.names_of_cells(),
        };
        self.0.select(&selection, &mut |values| {
            let calls = number(values, 3);
            if !is_named(values) {
                unnamed = unnamed.saturating_add(calls);
                return;
            }
            let outcome = Lenient::read(value(values, 2));
            let counts = Counts {
                calls,
                bytes_in: number(values, 5),
                bytes_out: number(values, 6),
                times: Times::Highest {
                    server: number(values, 7),
                    wall: number(values, 8),
                },
                ..Counts::of_ends(outcome, number(values, 4))
            };
            tallies.add_named(names(values), &counts);
        })?;
        selection.rows = Rows::Buckets { width };
        self.0.select(&selection, &mut |values| {
            if is_named(values) {
                let counts = Counts {
                    times: Times::Bucket {
                        lowest: number(values, 2),
                        server: number(values, 3),
                        wall: number(values, 4),
                    },
                    ..Counts::of_ends(None, 0)
                };
                tallies.add_named(names(values), &counts);
            }
        })?;
        Ok(unnamed)
    }
}

impl<E: Engine> Tables for Foreign<'_, E> {
    type Error = E::Error;

    fn coverage(&mut self) -> Result<Coverage, E::Error> {
        let to = self.0.pruned_to()?;
        Ok(Coverage::pruned_to(to.requests, to.hours, to.days))
    }

    fn coverage_of_polls(&mut self, of_others: Coverage) -> Result<Coverage, E::Error> {
        Ok(of_others.without_rows_before(self.0.pruned_to()?.polls))
    }

    fn are_few(&mut self, window: Window, limit: i64) -> Result<bool, E::Error> {
        Ok(!self.0.has_cells()? || !self.0.has_more(window, limit)?)
    }

    fn add_requests(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        tallies: &mut Tallies,
    ) -> Result<(), E::Error> {
        self.add(Rows::Requests, asked, window, tallies)
    }

    fn add_not_rolled_up(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        tallies: &mut Tallies,
    ) -> Result<(), E::Error> {
        self.add(Rows::NotRolledUp, asked, window, tallies)
    }

    fn add_tasks(
        &mut self,
        asked: Asked<'_>,
        window: Window,
        ends: Ends,
        tallies: &mut Tallies,
    ) -> Result<(), E::Error> {
        let selection = Selection {
            rows: match ends {
                Ends::All => Rows::Tasks,
                Ends::NotRolledUp => Rows::TasksNotRolledUp,
            },
            window,
            names: asked.names(),
        };
        self.0.select(&selection, &mut |values| {
            let outcome = |at| Option::<Outcome>::read(value(values, at));
            let Some(ended) = outcome(2) else {
                return;
            };
            let counted = match ends {
                Ends::All => None,
                Ends::NotRolledUp => outcome(5),
            };
            match counted {
                None => {
                    let (first, end) = (number(values, 3), number(values, 4));
                    let end = Contribution::of_task(ended, first, end);
                    tallies.add_named(names(values), &Counts::of_row(end, 0, 0));
                }
                // The end counts under another outcome.
                Some(_) => {
                    tallies.add_named(names(values), &Counts::of_ends(counted, -1));
                    tallies.add_named(names(values), &Counts::of_ends(Some(ended), 1));
                }
            }
        })
    }

    fn add_cells(
        &mut self,
        asked: Asked<'_>,
        cells: &[(BucketWidth, Window)],
        tallies: &mut Tallies,
    ) -> Result<i64, E::Error> {
        cells.iter().try_fold(0_i64, |unnamed, (width, part)| {
            let more = self.add_part(asked, width.ms(), *part, tallies)?;
            Ok(unnamed.saturating_add(more))
        })
    }

    fn losses(&mut self, window: Window) -> Result<Vec<Loss>, E::Error> {
        self.0.losses(window)
    }
}

impl Asked<'_> {
    /// Returns the conditions on requests.
    fn names(&self) -> Vec<Names> {
        let filter = self.filter;
        let mut all = self.methods_of_others();
        for (column, name) in [
            ("proxy", &filter.server_name),
            ("method", &filter.method),
            ("tool", &filter.tool),
        ] {
            all.extend(name.clone().map(|name| one_of(column, vec![name])));
        }
        all
    }

    /// Returns the conditions on cells. They also take the `(other)` cells, which may contain
    /// the requested name.
    fn names_of_cells(&self) -> Vec<Names> {
        let filter = self.filter;
        let mut all = self.methods_of_others();
        let server = filter.server_name.clone();
        all.extend(server.map(|name| one_of("proxy", vec![name])));
        // A `tools/call` or a poll is never counted under another method.
        let has_cells =
            self.methods == Methods::Polls || filter.method.as_deref() == Some(TOOLS_CALL);
        for (column, name, may_be_other) in [
            ("method", &filter.method, !has_cells),
            ("tool", &filter.tool, true),
        ] {
            if let Some(name) = name {
                let mut names = vec![cell_name(name).into_owned()];
                names.extend(may_be_other.then(|| OTHER.to_owned()));
                all.push(one_of(column, names));
            }
        }
        all
    }

    /// Returns the condition that takes these methods of the filter, if it names none.
    fn methods_of_others(&self) -> Vec<Names> {
        let filter = self.filter;
        if self.methods == Methods::All || filter.method.is_some() || filter.tool.is_some() {
            return Vec::new();
        }
        let polls = POLLS.map(str::to_owned).to_vec();
        vec![Names {
            is_one: self.methods == Methods::Polls,
            ..one_of("method", polls)
        }]
    }
}

fn one_of(column: &'static str, names: Vec<String>) -> Names {
    Names {
        column,
        names,
        is_one: true,
    }
}

/// Returns the method and the tool, which come first.
fn names(values: &[Value]) -> [ValueRef<'_>; 2] {
    [value(values, 0), value(values, 1)]
}

fn value(values: &[Value], at: usize) -> ValueRef<'_> {
    values.get(at).map_or(ValueRef::Null, Value::as_ref)
}

fn number(values: &[Value], at: usize) -> i64 {
    i64::read(value(values, at))
}
