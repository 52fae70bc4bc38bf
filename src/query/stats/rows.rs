//! Statistics out of the requests themselves.

use rusqlite::{Row, params, params_from_iter};

use super::super::reader::Source;
use super::super::row::number;
use super::super::window::Window;
use super::StatsFilter;
use super::tally::Tallies;
use crate::db::rollup::{self, Width};

/// Whether all requests of a window are in the file, and no more than `limit`;
/// true as well where there is nothing else to count.
pub(super) fn are_all_there(
    source: &Source<'_>,
    window: Window,
    limit: i64,
) -> rusqlite::Result<bool> {
    if !source.has_outcomes() {
        return Ok(true);
    }
    let count: i64 = source
        .conn
        .prepare_cached(
            "SELECT count(*) FROM
                 (SELECT 1 FROM requests WHERE ts >= ?1 AND ts < ?2 LIMIT ?3 + 1)",
        )?
        .query_row(params![window.since, window.until, limit], |row| row.get(0))?;
    Ok(count <= limit && !has_forgotten(source, window)?)
}

/// Whether cells of a time in the window count requests that are not left.
fn has_forgotten(source: &Source<'_>, window: Window) -> rusqlite::Result<bool> {
    let oldest: Option<i64> = source
        .conn
        .prepare_cached("SELECT min(ts) FROM requests")?
        .query_row([], |row| row.get(0))?;
    if let Some(oldest) = oldest
        && has_forgotten_some(source, window, Width::Hour.start(oldest))?
    {
        return Ok(true);
    }
    let oldest = oldest.unwrap_or(i64::MAX).min(window.until);
    let mut exists = source.conn.prepare_cached(
        "SELECT 1 FROM request_rollups WHERE width = ?1 AND start >= ?2 AND start < ?3 LIMIT 1",
    )?;
    for width in Width::ALL {
        let (from, to) = (width.start(window.since), width.start(oldest));
        if exists.exists([width.ms(), from, to])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same of the hour from `start` on, of which some requests are left, where
/// all of it is in the window.
fn has_forgotten_some(source: &Source<'_>, window: Window, start: i64) -> rusqlite::Result<bool> {
    let end = start.saturating_add(Width::Hour.ms());
    if start < window.since || end > window.until {
        return Ok(false);
    }
    let folded_to = rollup::folded_to(source.conn)?;
    source
        .conn
        .prepare_cached(
            "SELECT (SELECT coalesce(sum(calls), 0) FROM request_rollups
                     WHERE width = ?1 AND start = ?2)
                 > (SELECT count(*) FROM requests WHERE ts >= ?2 AND ts < ?3 AND id <= ?4)",
        )?
        .query_row(params![Width::Hour.ms(), start, end, folded_to], |row| {
            row.get(0)
        })
}

/// Adds the requests of a window.
pub(super) fn add(
    source: &Source<'_>,
    filter: &StatsFilter,
    window: Window,
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    // Through the index by time, whose rows lie side by side; but the calls of
    // one tool are few among them.
    let sign = if filter.tool.is_some() { "" } else { "+" };
    let found = "ts >= ?1 AND ts < ?2";
    add_where(source, filter, window, (found, sign), tallies)
}

/// Adds the requests of a window that are in no cell yet.
pub(super) fn add_unfolded(
    source: &Source<'_>,
    filter: &StatsFilter,
    window: Window,
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let folded_to = rollup::folded_to(source.conn)?;
    let found = format!("id > {folded_to} AND +ts >= ?1 AND +ts < ?2");
    add_where(source, filter, window, (&found, "+"), tallies)
}

fn add_where(
    source: &Source<'_>,
    filter: &StatsFilter,
    window: Window,
    (found, sign): (&str, &str),
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let outcome = if source.has_outcomes() {
        "tool_error, end_reason IS 'stream_end'"
    } else {
        "0, 0"
    };
    let (conditions, values) = filter.conditions(sign, 3);
    let sql = format!(
        "SELECT method, tool, status, latency_us, bytes_in, bytes_out, {outcome}
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
        if !measures_a_stay(row)? {
            tally.latency(number(row, 3)?);
        }
    }
    Ok(())
}

fn measures_a_stay(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(number(row, 7)? != 0)
}
