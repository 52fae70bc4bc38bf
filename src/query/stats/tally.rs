//! Counts by method and tool.

use std::collections::HashMap;

use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::latencies::Latencies;
use super::{CallStats, Group};
use crate::db::POLLS;
use crate::db::contribution::Contribution;
use crate::db::rollup::{NAME_BYTES, cell_name};
use crate::db::row::Lenient;
use crate::event::Outcome;
use crate::histogram::Histogram;

/// Where rows and cells are counted.
pub(in crate::query) trait Sink {
    /// Adds a row or cell. Its first columns are its method, its tool and the time at which
    /// it counts.
    fn add(&mut self, row: &Row<'_>, counts: &Counts<'_>) -> rusqlite::Result<()>;

    /// Returns whether the latencies of cells are needed. To read them takes most of the time.
    fn needs_times(&self) -> bool {
        true
    }
}

/// What a row, a cell or the end of a task counts.
#[derive(Debug, Clone, Copy)]
pub(in crate::query) struct Counts<'a> {
    pub(in crate::query) outcome: Option<Outcome>,
    /// Operations that began.
    pub(in crate::query) calls: i64,
    /// Operations that ended with the outcome.
    pub(in crate::query) ended: i64,
    pub(in crate::query) bytes_in: i64,
    pub(in crate::query) bytes_out: i64,
    pub(in crate::query) times: Times<'a>,
}

/// The server times and wall times of calls, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(in crate::query) enum Times<'a> {
    /// Of one call at most.
    One {
        server: Option<i64>,
        wall: Option<i64>,
    },
    /// Of a cell: the histogram and the highest of each.
    Cell {
        server: (&'a [u8], i64),
        wall: (&'a [u8], i64),
    },
    /// Of cells: the highest of each.
    #[cfg(feature = "outbox")]
    Highest { server: i64, wall: i64 },
    /// Of cells: how many are in the bucket that begins with `lowest`.
    #[cfg(feature = "outbox")]
    Bucket { lowest: i64, server: i64, wall: i64 },
}

impl Counts<'_> {
    /// Returns operations that ended with an outcome, without their times.
    pub(in crate::query) fn of_ends(outcome: Option<Outcome>, ended: i64) -> Self {
        Self {
            outcome,
            calls: 0,
            ended,
            bytes_in: 0,
            bytes_out: 0,
            times: Times::One {
                server: None,
                wall: None,
            },
        }
    }

    /// Returns what a row contributes.
    pub(super) fn of_row(row: Contribution, bytes_in: i64, bytes_out: i64) -> Self {
        Self {
            calls: row.calls,
            bytes_in,
            bytes_out,
            times: Times::One {
                server: row.server_us,
                wall: row.wall_us,
            },
            ..Self::of_ends(Some(row.outcome), row.ended)
        }
    }
}

/// The methods and tools so far, each with its place.
#[derive(Debug, Default)]
pub(in crate::query) struct Names {
    names: Vec<(String, Option<String>)>,
    /// Names are looked up as the bytes of the file, because most rows have one that is
    /// known.
    places: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
}

/// The counts so far, by method and tool.
#[derive(Debug)]
pub(super) struct Tallies {
    exact: bool,
    names: Names,
    tallies: Vec<Tally>,
    /// The groups of other methods.
    others: Vec<(String, Option<String>, Tally)>,
}

#[derive(Debug, Clone)]
pub(in crate::query) struct Tally {
    figures: CallStats,
    /// Operations that ended.
    ended: i64,
    server: Latencies,
    wall: Latencies,
}

impl Tallies {
    /// Keeps each latency.
    pub(super) fn exact() -> Self {
        Self::new(true)
    }

    /// Keeps histograms of latencies.
    pub(super) fn estimated() -> Self {
        Self::new(false)
    }

    fn new(exact: bool) -> Self {
        Self {
            exact,
            names: Names::default(),
            tallies: Vec::new(),
            others: Vec::new(),
        }
    }

    /// Adds groups of other methods.
    pub(super) fn add_groups(&mut self, others: Self) {
        self.others.extend(others.into_groups());
    }

    fn into_groups(self) -> impl Iterator<Item = (String, Option<String>, Tally)> {
        let names = self.names.names.into_iter().zip(self.tallies);
        let groups = names.map(|((method, tool), tally)| (method, tool, tally));
        groups.chain(self.others)
    }

    /// Returns the total and each group, most frequent first. The total has the latencies
    /// of polls only if `of_polls` is set.
    pub(super) fn finish(self, of_polls: bool) -> (CallStats, Vec<Group>) {
        let mut total = Tally::new(self.exact);
        let mut groups = Vec::with_capacity(self.tallies.len());
        for (method, tool, tally) in self.into_groups() {
            total.add_counts(&tally);
            if of_polls || !POLLS.contains(&method.as_str()) {
                total.server.add(&tally.server);
                total.wall.add(&tally.wall);
            }
            let figures = tally.finish();
            groups.push(Group {
                method,
                tool,
                figures,
            });
        }
        groups.sort_by(|a, b| {
            let by_name = || (&a.method, &a.tool).cmp(&(&b.method, &b.tool));
            b.figures.calls.cmp(&a.figures.calls).then_with(by_name)
        });
        (total.finish(), groups)
    }
}

impl Sink for Tallies {
    fn add(&mut self, row: &Row<'_>, counts: &Counts<'_>) -> rusqlite::Result<()> {
        self.add_named([row.get_ref(0)?, row.get_ref(1)?], counts);
        Ok(())
    }
}

impl Tallies {
    /// Adds what a method and a tool count.
    pub(super) fn add_named(&mut self, names: [ValueRef<'_>; 2], counts: &Counts<'_>) {
        let place = self.names.place_of(names);
        if place == self.tallies.len() {
            self.tallies.push(Tally::new(self.exact));
        }
        self.tallies[place].add(counts);
    }
}

impl Names {
    /// Returns the place of the method and tool of a row, its first two columns.
    pub(in crate::query) fn place(&mut self, row: &Row<'_>) -> rusqlite::Result<usize> {
        Ok(self.place_of([row.get_ref(0)?, row.get_ref(1)?]))
    }

    /// Returns the place of a method and a tool. A new name has the place after all others. A
    /// long name is cut as in cells, so that requests and cells are counted together.
    fn place_of(&mut self, [method, tool]: [ValueRef<'_>; 2]) -> usize {
        self.key.clear();
        for name in [method, tool] {
            if let ValueRef::Text(bytes) = name {
                match bytes.len() > NAME_BYTES {
                    true => {
                        let name = String::read(name);
                        self.key.extend_from_slice(cell_name(&name).as_bytes());
                    }
                    false => self.key.extend_from_slice(bytes),
                }
            }
            // No UTF-8 has this byte, so it separates the names.
            self.key.push(0xff);
        }
        if let Some(place) = self.places.get(&self.key) {
            return *place;
        }
        let place = self.names.len();
        self.places.insert(self.key.clone(), place);
        // A cell without a tool has an empty name.
        let tool = Option::<String>::read(tool).filter(|tool| !tool.is_empty());
        let tool = tool.map(|tool| cell_name(&tool).into_owned());
        let method = cell_name(&String::read(method)).into_owned();
        self.names.push((method, tool));
        place
    }

    /// Returns the names in the order of their places.
    pub(in crate::query) fn into_names(self) -> Vec<(String, Option<String>)> {
        self.names
    }
}

impl Tally {
    /// Returns a tally of calls and their server times, but not of their wall times.
    pub(in crate::query) fn of_server_time(exact: bool) -> Self {
        Self {
            wall: Latencies::Ignored,
            ..Self::new(exact)
        }
    }

    fn new(exact: bool) -> Self {
        Self {
            figures: CallStats::default(),
            ended: 0,
            server: Latencies::new(exact),
            wall: Latencies::new(exact),
        }
    }

    pub(in crate::query) fn add(&mut self, counts: &Counts<'_>) {
        self.count(counts.outcome, counts.calls, counts.ended);
        self.add_bytes(counts.bytes_in, counts.bytes_out);
        match counts.times {
            Times::One { server, wall } => {
                self.server.record(server);
                self.wall.record(wall);
            }
            Times::Cell { server, wall } => {
                self.server.add_cell(server.0, server.1);
                self.wall.add_cell(wall.0, wall.1);
            }
            #[cfg(feature = "outbox")]
            Times::Highest { server, wall } => {
                self.server.add_highest(server);
                self.wall.add_highest(wall);
            }
            #[cfg(feature = "outbox")]
            Times::Bucket {
                lowest,
                server,
                wall,
            } => {
                self.server.add_bucket(lowest, server);
                self.wall.add_bucket(lowest, wall);
            }
        }
    }

    /// Counts operations that began, and operations that ended with an outcome.
    fn count(&mut self, outcome: Option<Outcome>, calls: i64, ended: i64) {
        // Another program may have written any number into a cell.
        let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
        let figures = &mut self.figures;
        add(&mut figures.calls, calls);
        add(&mut self.ended, ended);
        match outcome {
            Some(Outcome::Error) => add(&mut figures.errors, ended),
            Some(Outcome::Timeout) => {
                add(&mut figures.errors, ended);
                add(&mut figures.timeouts, ended);
            }
            Some(Outcome::ToolError) => add(&mut figures.tool_errors, ended),
            Some(Outcome::CallerError) => add(&mut figures.caller_errors, ended),
            Some(Outcome::Gone) => add(&mut figures.gone, ended),
            Some(Outcome::Ok | Outcome::InputRequired | Outcome::Working) | None => {}
        }
    }

    fn add_bytes(&mut self, bytes_in: i64, bytes_out: i64) {
        let figures = &mut self.figures;
        figures.bytes_in = figures.bytes_in.saturating_add(bytes_in);
        figures.bytes_out = figures.bytes_out.saturating_add(bytes_out);
    }

    fn add_counts(&mut self, other: &Self) {
        let (sum, more) = (&mut self.figures, &other.figures);
        sum.calls = sum.calls.saturating_add(more.calls);
        sum.errors = sum.errors.saturating_add(more.errors);
        sum.timeouts = sum.timeouts.saturating_add(more.timeouts);
        sum.tool_errors = sum.tool_errors.saturating_add(more.tool_errors);
        sum.caller_errors = sum.caller_errors.saturating_add(more.caller_errors);
        sum.gone = sum.gone.saturating_add(more.gone);
        self.ended = self.ended.saturating_add(other.ended);
        self.add_bytes(more.bytes_in, more.bytes_out);
    }

    /// Returns the number of calls that ended.
    pub(in crate::query) fn ended(&self) -> i64 {
        self.ended
    }

    /// Returns the server times in buckets.
    pub(in crate::query) fn server_times(&self) -> Histogram {
        let mut latencies = Latencies::new(false);
        latencies.add(&self.server);
        match latencies {
            Latencies::Buckets { histogram, .. } => histogram,
            Latencies::Each(_) | Latencies::Ignored => Histogram::default(),
        }
    }

    pub(in crate::query) fn finish(self) -> CallStats {
        let [p50_us, p95_us, p99_us, max_us] = self.server.ranks();
        let [wall_p50_us, wall_p95_us, wall_p99_us, wall_max_us] = self.wall.ranks();
        CallStats {
            open: self.figures.calls.saturating_sub(self.ended).max(0),
            p50_us,
            p95_us,
            p99_us,
            max_us,
            wall_p50_us,
            wall_p95_us,
            wall_p99_us,
            wall_max_us,
            ..self.figures
        }
    }
}
