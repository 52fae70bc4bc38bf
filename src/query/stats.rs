//! How often, how fast and how well.

use std::collections::HashMap;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Row, params_from_iter};

use super::Reader;
use super::losses::{Loss, losses};
use super::reader::Source;
use super::row::{number, optional_text, text};
use super::window::Window;
use crate::error::QueryError;

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
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Group {
    /// The JSON-RPC method.
    pub method: String,
    /// The tool that it called.
    pub tool: Option<String>,
    /// Its statistics.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub figures: Figures,
}

/// The statistics of some requests.
///
/// Streams that are open for as long as somebody listens (`stream_end`) are
/// calls without a latency.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Percentiles {
    /// From every single latency: the nearest rank.
    Exact,
}

impl Reader {
    /// The statistics of a window: in total, of each method and of each tool.
    pub fn stats(&self, filter: &StatsFilter) -> Result<Stats, QueryError> {
        self.read(|source| stats(source, filter))
    }
}

fn stats(source: &Source<'_>, filter: &StatsFilter) -> rusqlite::Result<Stats> {
    let mut tallies = Tallies::default();
    tallies.add_rows(source, filter)?;
    let (total, groups) = tallies.finish();
    Ok(Stats {
        total,
        groups,
        percentiles: Percentiles::Exact,
        losses: losses(source, filter.window)?,
    })
}

/// What was counted so far, by method and tool.
#[derive(Debug, Default)]
struct Tallies {
    groups: Vec<(String, Option<String>, Tally)>,
    /// Where a name stands in `groups`: most rows bear a name that is known, so
    /// that it is looked up as it stands in the file.
    places: HashMap<Vec<u8>, usize>,
    key: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct Tally {
    figures: Figures,
    latencies: Vec<i64>,
}

impl Tallies {
    fn add_rows(&mut self, source: &Source<'_>, filter: &StatsFilter) -> rusqlite::Result<()> {
        let outcome = if source.has_outcomes() {
            "tool_error, end_reason IS 'stream_end'"
        } else {
            "0, 0"
        };
        let mut sql = format!(
            "SELECT method, tool, status, latency_us, bytes_in, bytes_out, {outcome}
             FROM requests WHERE ts >= ?1 AND ts < ?2"
        );
        let mut values: Vec<Value> = vec![filter.window.since.into(), filter.window.until.into()];
        for (column, value) in [
            ("proxy", &filter.proxy),
            ("method", &filter.method),
            ("tool", &filter.tool),
        ] {
            if let Some(value) = value {
                values.push(value.clone().into());
                // Through the index by time, whose rows lie side by side; a tool
                // is usually one of many, so that its own index is better.
                let sign = if column == "tool" { "" } else { "+" };
                sql.push_str(&format!(" AND {sign}{column} = ?{}", values.len()));
            }
        }
        let mut statement = source.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            self.of(row)?.add(row)?;
        }
        Ok(())
    }

    /// The tally of a row's method and tool.
    fn of(&mut self, row: &Row<'_>) -> rusqlite::Result<&mut Tally> {
        self.key.clear();
        for column in [0, 1] {
            if let ValueRef::Text(name) = row.get_ref(column)? {
                self.key.extend_from_slice(name);
                // Not in UTF-8.
                self.key.push(0xff);
            }
        }
        let place = match self.places.get(&self.key) {
            Some(place) => *place,
            None => {
                let place = self.groups.len();
                self.places.insert(self.key.clone(), place);
                let (method, tool) = (text(row, 0)?, optional_text(row, 1)?);
                self.groups.push((method, tool, Tally::default()));
                place
            }
        };
        Ok(&mut self.groups[place].2)
    }

    fn finish(self) -> (Figures, Vec<Group>) {
        let mut total = Tally::default();
        let mut groups = Vec::with_capacity(self.groups.len());
        for (method, tool, tally) in self.groups {
            total.merge(&tally);
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

impl Tally {
    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let figures = &mut self.figures;
        figures.calls += 1;
        if let ValueRef::Text(status) = row.get_ref(2)? {
            figures.errors += i64::from(status != b"ok");
            figures.timeouts += i64::from(status == b"timeout");
        }
        figures.bytes_in = figures.bytes_in.saturating_add(number(row, 4)?);
        figures.bytes_out = figures.bytes_out.saturating_add(number(row, 5)?);
        figures.tool_errors += i64::from(number(row, 6)? != 0);
        if number(row, 7)? == 0 {
            self.latencies.push(number(row, 3)?);
        }
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        let (sum, more) = (&mut self.figures, &other.figures);
        sum.calls += more.calls;
        sum.errors += more.errors;
        sum.timeouts += more.timeouts;
        sum.tool_errors += more.tool_errors;
        sum.bytes_in = sum.bytes_in.saturating_add(more.bytes_in);
        sum.bytes_out = sum.bytes_out.saturating_add(more.bytes_out);
        self.latencies.extend_from_slice(&other.latencies);
    }

    fn finish(mut self) -> Figures {
        // Each rank is looked for above the one before.
        let mut from = 0;
        let [p50_us, p95_us, p99_us, max_us] = [0.50, 0.95, 0.99, 1.0].map(|part| {
            let count = self.latencies.len();
            let rank = ((part * count as f64).ceil() as usize).clamp(1, count.max(1)) - 1;
            let above = self.latencies.get_mut(from..)?;
            if rank >= from + above.len() {
                return None;
            }
            let (_, found, _) = above.select_nth_unstable(rank - from);
            from = rank;
            Some(*found)
        });
        Figures {
            p50_us,
            p95_us,
            p99_us,
            max_us,
            ..self.figures
        }
    }
}
