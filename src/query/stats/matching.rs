//! Statistics from the requests that meet any conditions.

use std::collections::HashSet;

use rusqlite::params_from_iter;

use super::super::conditions::Conditions;
use super::super::filter::RequestFilter;
use super::super::plan;
use super::super::reader::Source;
use super::super::window::Window;
use super::Methods;
use super::tally::{Counts, Sink};
use crate::db::POLLS;
use crate::db::contribution::Contribution;
use crate::db::row::{Lenient, number};
use crate::event::Outcome;

/// Adds the requests of a window that a filter takes. The window takes the place of the filter's.
pub(in crate::query) fn add(
    source: &Source<'_>,
    filter: &RequestFilter,
    methods: Methods,
    window: Window,
    tallies: &mut impl Sink,
) -> rusqlite::Result<()> {
    let filter = filter.clone().window(window);
    let mut conditions = Conditions::new(&filter, source)?;
    if methods == Methods::Others && filter.method.is_none() && filter.tool.is_none() {
        conditions.add(&format!("+method NOT IN ('{}')", POLLS.join("', '")));
    }
    let found = plan::all(source, &mut conditions)?;
    let mut seen = HashSet::new();
    for tables in &found {
        // Every bound value must have its parameter in the statement.
        let last = conditions.values().count();
        let sql = format!(
            "SELECT method, tool, ts, bytes_in, bytes_out, {}, id
             FROM {tables} AND ?{last} IS ?{last}",
            Contribution::COLUMNS
        );
        let mut statement = source.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(conditions.values()))?;
        while let Some(row) = rows.next()? {
            if found.len() > 1 && !seen.insert(row.get::<_, i64>("id")?) {
                continue;
            }
            let contribution = Contribution::read(row, 5)?;
            let counts = Counts::of_row(contribution, number(row, 3)?, number(row, 4)?);
            tallies.add(row, &counts)?;
        }
    }
    Ok(())
}

/// Adds the ends of tasks in a window that a filter takes. Its outcomes are those of the task; the
/// first request of the task has to meet the other conditions.
pub(in crate::query) fn add_tasks(
    source: &Source<'_>,
    filter: &RequestFilter,
    window: Window,
    tallies: &mut impl Sink,
) -> rusqlite::Result<()> {
    let first = filter.clone().window(Window::ALL).outcomes([]);
    let mut conditions = Conditions::new(&first, source)?;
    let checks = conditions.checks();
    let (since, until) = (conditions.bind(window.since), conditions.bind(window.until));
    // The columns of tasks have names that no condition has.
    let sql = format!(
        "SELECT method, tool, ended, ended_as, ts
         FROM (SELECT operation_id AS operation, outcome AS ended_as, ended_ts AS ended
               FROM tasks WHERE ended_ts >= {since} AND ended_ts < {until})
             CROSS JOIN requests ON request_id = operation
         WHERE {checks}"
    );
    let mut statement = source.conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(conditions.values()))?;
    while let Some(row) = rows.next()? {
        let outcome: Option<Outcome> = Lenient::read(row.get_ref(3)?);
        let Some(outcome) = outcome else {
            continue;
        };
        if filter.outcomes.is_empty() || filter.outcomes.contains(&outcome) {
            let end = Contribution::of_task(outcome, number(row, 4)?, number(row, 2)?);
            tallies.add(row, &Counts::of_row(end, 0, 0))?;
        }
    }
    Ok(())
}
