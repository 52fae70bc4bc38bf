//! Statistics from the cells that the writer keeps for hours and days.

use std::borrow::Cow;

use rusqlite::params_from_iter;
use rusqlite::types::{Value, ValueRef};

use super::super::conditions::TOOLS_CALL;
use super::super::reader::Source;
use super::super::window::Window;
use super::tally::{Counts, Sink, Times};
use super::{Asked, Methods};
use crate::db::BucketWidth;
use crate::db::rollup::{OTHER, cell_name};
use crate::db::row::{Lenient, number};
use crate::event::Outcome;

/// Adds cells. Returns the number of further calls that the filter may take: those in
/// cells without the name of their method or tool.
pub(in crate::query) fn add(
    source: &Source<'_>,
    asked: Asked<'_>,
    cells: &[(BucketWidth, Window)],
    tallies: &mut impl Sink,
) -> rusqlite::Result<i64> {
    cells.iter().try_fold(0_i64, |unnamed, (width, part)| {
        let more = add_cells(source, asked, *width, *part, tallies)?;
        Ok(unnamed.saturating_add(more))
    })
}

fn add_cells(
    source: &Source<'_>,
    asked: Asked<'_>,
    width: BucketWidth,
    window: Window,
    tallies: &mut impl Sink,
) -> rusqlite::Result<i64> {
    let filter = asked.filter;
    let (conditions, values) = asked.cell_conditions(4);
    let times = match tallies.needs_times() {
        true => "max_latency_us, latencies, max_wall_us, wall_latencies",
        false => "0, NULL, 0, NULL",
    };
    let sql = format!(
        "SELECT method, tool, start, outcome, calls, ended, bytes_in, bytes_out, {times}
         FROM request_rollups WHERE width = ?1 AND start >= ?2 AND start < ?3{conditions}"
    );
    let mut statement = source.conn.prepare_cached(&sql)?;
    let place: [Value; 3] = [width.ms().into(), window.since.into(), window.until.into()];
    let mut rows = statement.query(params_from_iter(place.into_iter().chain(values)))?;
    let mut unnamed: i64 = 0;
    while let Some(row) = rows.next()? {
        let calls = number(row, 4)?;
        let is = |column, asked: &Option<String>| {
            let found = row.get_ref(column)?;
            let is = |asked: &str| found == ValueRef::Text(cell_name(asked).as_bytes());
            Ok::<_, rusqlite::Error>(asked.as_deref().is_none_or(is))
        };
        if !is(0, &filter.method)? || !is(1, &filter.tool)? {
            unnamed = unnamed.saturating_add(calls);
            continue;
        }
        let outcome: Option<Outcome> = Lenient::read(row.get_ref(3)?);
        let mut counts = Counts {
            calls,
            bytes_in: number(row, 6)?,
            bytes_out: number(row, 7)?,
            ..Counts::of_ends(outcome, number(row, 5)?)
        };
        if let ValueRef::Blob(server) = row.get_ref(9)? {
            let wall = match row.get_ref(11)? {
                ValueRef::Blob(wall) => wall,
                _ => server,
            };
            counts.times = Times::Cell {
                server: (server, number(row, 8)?),
                wall: (wall, number(row, 10)?),
            };
        }
        tallies.add(row, &counts)?;
    }
    Ok(unnamed)
}

impl Asked<'_> {
    /// Returns all conditions but the window, and their values, which are bound from
    /// `?first` on. They also select the `(other)` cells, which may contain the requested
    /// name. (A `tools/call` or a poll is never counted under another method.)
    fn cell_conditions(&self, first: usize) -> (String, Vec<Value>) {
        let filter = self.filter;
        let mut sql = self.methods.condition(filter);
        let mut values: Vec<Value> = Vec::new();
        let has_cells =
            self.methods == Methods::Polls || filter.method.as_deref() == Some(TOOLS_CALL);
        for (column, asked, unnamed) in [
            (
                "proxy",
                filter.server_name.as_deref().map(Cow::Borrowed),
                None,
            ),
            (
                "method",
                filter.method.as_deref().map(cell_name),
                (!has_cells).then_some(OTHER),
            ),
            ("tool", filter.tool.as_deref().map(cell_name), Some(OTHER)),
        ] {
            if let Some(asked) = asked {
                let mut parameters = Vec::with_capacity(2);
                for name in [Some(&*asked), unnamed].into_iter().flatten() {
                    parameters.push(format!("?{}", first + values.len()));
                    values.push(name.to_owned().into());
                }
                sql.push_str(&format!(" AND +{column} IN ({})", parameters.join(", ")));
            }
        }
        (sql, values)
    }
}
