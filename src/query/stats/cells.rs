//! Statistics out of the cells that the writer keeps for hours and days.

use rusqlite::params_from_iter;
use rusqlite::types::{Value, ValueRef};

use super::super::reader::Source;
use super::super::row::number;
use super::super::window::Window;
use super::tally::Tallies;
use super::{StatsFilter, rows};
use crate::db::rollup::Width;

/// Adds the cells that lie in the window as a whole, the requests beside them,
/// and those in them that are not folded yet.
pub(super) fn add(
    source: &Source<'_>,
    filter: &StatsFilter,
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let Window { since, until } = filter.window;
    let hours = whole(Width::Hour, filter.window);
    let days = whole(Width::Day, hours);
    if hours.since >= hours.until {
        return rows::add(source, filter, filter.window, tallies);
    }
    if days.since < days.until {
        add_cells(
            source,
            filter,
            Width::Hour,
            window(hours.since, days.since),
            tallies,
        )?;
        add_cells(source, filter, Width::Day, days, tallies)?;
        add_cells(
            source,
            filter,
            Width::Hour,
            window(days.until, hours.until),
            tallies,
        )?;
    } else {
        add_cells(source, filter, Width::Hour, hours, tallies)?;
    }
    rows::add_unfolded(source, filter, hours, tallies)?;
    rows::add(source, filter, window(since, hours.since), tallies)?;
    rows::add(source, filter, window(hours.until, until), tallies)
}

fn window(since: i64, until: i64) -> Window {
    Window { since, until }
}

/// The part of a window that is made of whole cells.
pub(in crate::query) fn whole(width: Width, Window { since, until }: Window) -> Window {
    let begun = width.start(since);
    let first = if begun < since {
        begun.saturating_add(width.ms())
    } else {
        begun
    };
    window(first, width.start(until))
}

fn add_cells(
    source: &Source<'_>,
    filter: &StatsFilter,
    width: Width,
    window: Window,
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let (conditions, values) = filter.conditions("+", 4);
    let sql = format!(
        "SELECT method, tool, status, calls, tool_errors, bytes_in, bytes_out, max_latency_us,
             latencies
         FROM request_rollups WHERE width = ?1 AND start >= ?2 AND start < ?3{conditions}"
    );
    let mut statement = source.conn.prepare_cached(&sql)?;
    let place: [Value; 3] = [width.ms().into(), window.since.into(), window.until.into()];
    let mut rows = statement.query(params_from_iter(place.into_iter().chain(values)))?;
    while let Some(row) = rows.next()? {
        let tally = tallies.of(row)?;
        let (calls, tool_errors) = (number(row, 3)?, number(row, 4)?);
        tally.count(row, calls, tool_errors, number(row, 5)?, number(row, 6)?)?;
        if let ValueRef::Blob(latencies) = row.get_ref(8)? {
            tally.latencies(latencies, number(row, 7)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Width, Window, whole, window};

    #[test]
    fn only_cells_that_lie_in_the_window_as_a_whole_are_taken() {
        let hour = Width::Hour.ms();
        for (asked, expected) in [
            (window(0, 2 * hour), window(0, 2 * hour)),
            (window(1, 2 * hour - 1), window(hour, hour)),
            (window(-1, hour + 1), window(0, hour)),
        ] {
            assert_eq!(whole(Width::Hour, asked), expected);
        }
        let all = whole(Width::Day, Window::ALL);
        assert!(all.since < -i64::MAX / 2 && all.until > i64::MAX / 2);
    }
}
