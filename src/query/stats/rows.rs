//! Statistics from requests.

use rusqlite::{params, params_from_iter};

use super::super::reader::Source;
use super::super::window::Window;
use super::tally::Tallies;
use super::{Methods, StatsFilter};
use crate::db::rollup;
use crate::db::row::number;

/// Returns whether a window has at most `limit` requests, or whether there are no cells to
/// count instead.
pub(super) fn are_few(source: &Source<'_>, window: Window, limit: i64) -> rusqlite::Result<bool> {
    if rollup::folded_to(source.conn)? == 0 {
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
pub(super) fn add(
    source: &Source<'_>,
    asked: (&StatsFilter, Methods),
    window: Window,
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    // The index by time reads rows in the order of the file. Only the calls of one tool
    // are so few that their own index is faster.
    let sign = if asked.0.tool.is_some() { "" } else { "+" };
    let found = "ts >= ?1 AND ts < ?2";
    add_where(source, asked, window, (found, sign), tallies)
}

/// Adds the requests of a window that are not rolled up yet.
pub(super) fn add_unfolded(
    source: &Source<'_>,
    asked: (&StatsFilter, Methods),
    window: Window,
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let folded_to = rollup::folded_to(source.conn)?;
    let found = format!("id > {folded_to} AND +ts >= ?1 AND +ts < ?2");
    add_where(source, asked, window, (&found, "+"), tallies)
}

fn add_where(
    source: &Source<'_>,
    (filter, methods): (&StatsFilter, Methods),
    window: Window,
    (found, sign): (&str, &str),
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let (conditions, values) = filter.conditions(methods, sign, 3);
    let sql = format!(
        "SELECT method, tool, status, latency_us, bytes_in, bytes_out, tool_error,
             end_reason IS 'stream_end'
         FROM requests WHERE {found}{conditions}"
    );
    let mut statement = source.conn.prepare_cached(&sql)?;
    let window = [window.since.into(), window.until.into()];
    let mut rows = statement.query(params_from_iter(window.into_iter().chain(values)))?;
    while let Some(row) = rows.next()? {
        let tally = tallies.of(row)?;
        tally.count(
            row,
            1,
            number(row, 6)?.min(1),
            number(row, 4)?,
            number(row, 5)?,
        )?;
        let measures_a_stay = number(row, 7)? != 0;
        if !measures_a_stay {
            tally.latency(number(row, 3)?);
        }
    }
    Ok(())
}
