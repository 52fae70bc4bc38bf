//! Statistics from requests.

use rusqlite::{params, params_from_iter};

use super::super::reader::Source;
use super::super::window::Window;
use super::Asked;
use super::tally::{Counts, Sink};
use crate::db::contribution::Contribution;
use crate::db::rollup;
use crate::db::row::{Lenient, number};
use crate::event::Outcome;

/// Returns whether a window has at most `limit` requests, or whether there are no cells to
/// count instead.
pub(in crate::query) fn are_few(
    source: &Source<'_>,
    window: Window,
    limit: i64,
) -> rusqlite::Result<bool> {
    if rollup::rolled_up_to(source.conn)? == 0 {
        return Ok(true);
    }
    let count: i64 = source
        .conn
        .prepare_cached(
            "SELECT count(*) FROM
                 (SELECT 1 FROM requests WHERE ts >= ?1 AND ts < ?2 LIMIT ?3 + 1)",
        )?
        .query_row(params![window.since, window.until, limit], |row| row.get(0))?;
    Ok(count <= limit)
}

/// Adds the requests of a window.
pub(in crate::query) fn add(
    source: &Source<'_>,
    asked: Asked<'_>,
    window: Window,
    tallies: &mut impl Sink,
) -> rusqlite::Result<()> {
    // The index by time reads rows in the order of the file. Only the calls of one tool
    // are so few that their own index is faster.
    let sign = if asked.filter.tool.is_some() { "" } else { "+" };
    let found = "ts >= ?1 AND ts < ?2";
    add_where(source, asked, window, (found, sign), tallies)
}

/// Adds the requests of a window that are not rolled up yet.
pub(in crate::query) fn add_not_rolled_up(
    source: &Source<'_>,
    asked: Asked<'_>,
    window: Window,
    tallies: &mut impl Sink,
) -> rusqlite::Result<()> {
    let rolled_up_to = rollup::rolled_up_to(source.conn)?;
    let found = format!("id > {rolled_up_to} AND +ts >= ?1 AND +ts < ?2");
    add_where(source, asked, window, (&found, "+"), tallies)
}

fn add_where(
    source: &Source<'_>,
    asked: Asked<'_>,
    window: Window,
    (found, sign): (&str, &str),
    tallies: &mut impl Sink,
) -> rusqlite::Result<()> {
    let (conditions, values) = asked.conditions(sign, 3);
    let sql = format!(
        "SELECT method, tool, ts, bytes_in, bytes_out, {}
         FROM requests WHERE {found}{conditions}",
        Contribution::COLUMNS
    );
    let mut statement = source.conn.prepare_cached(&sql)?;
    let window = [window.since.into(), window.until.into()];
    let mut rows = statement.query(params_from_iter(window.into_iter().chain(values)))?;
    while let Some(row) = rows.next()? {
        let contribution = Contribution::read(row, 5)?;
        let counts = Counts::of_row(contribution, number(row, 3)?, number(row, 4)?);
        tallies.add(row, &counts)?;
    }
    Ok(())
}

/// Which tasks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::query) enum Ends {
    All,
    /// Tasks whose end is not in its cells, and tasks whose outcome was refined since.
    NotRolledUp,
}

/// Adds the ends of tasks in a window. The first request of a task has its method and
/// tool.
pub(in crate::query) fn add_tasks(
    source: &Source<'_>,
    asked: Asked<'_>,
    window: Window,
    ends: Ends,
    tallies: &mut impl Sink,
) -> rusqlite::Result<()> {
    let (conditions, values) = asked.conditions("+", 3);
    let remaining = match ends {
        Ends::All => "",
        Ends::NotRolledUp => " AND t.rolled_up_as IS NOT t.outcome",
    };
    let sql = format!(
        "SELECT method, tool, t.ended_ts, t.outcome, ts, t.rolled_up_as
         FROM tasks AS t CROSS JOIN requests ON request_id = t.operation_id
         WHERE t.ended_ts >= ?1 AND t.ended_ts < ?2{remaining}{conditions}"
    );
    let mut statement = source.conn.prepare_cached(&sql)?;
    let window = [window.since.into(), window.until.into()];
    let mut rows = statement.query(params_from_iter(window.into_iter().chain(values)))?;
    while let Some(row) = rows.next()? {
        let outcome: Option<Outcome> = Lenient::read(row.get_ref(3)?);
        let Some(outcome) = outcome else {
            continue;
        };
        let counted: Option<Outcome> = match ends {
            Ends::All => None,
            Ends::NotRolledUp => Lenient::read(row.get_ref(5)?),
        };
        let end = Contribution::of_task(outcome, number(row, 4)?, number(row, 2)?);
        match counted {
            None => tallies.add(row, &Counts::of_row(end, 0, 0))?,
            // The end counts under another outcome.
            Some(_) => {
                tallies.add(row, &Counts::of_ends(counted, -1))?;
                tallies.add(row, &Counts::of_ends(Some(outcome), 1))?;
            }
        }
    }
    Ok(())
}
