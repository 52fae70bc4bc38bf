//! Calls over time from the totals of cells.

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::super::reader::Source;
use super::super::stats::tally::{Counts, Times};
use super::super::stats::{Asked, Methods};
use super::super::window::Window;
use super::tallies::Tallies;
use crate::db::BucketWidth;
use crate::db::row::{Lenient, number};

const TOTALS: &str = "SELECT start, outcome, calls, ended, max_latency_us, latencies
     FROM rollup_totals
     WHERE width = ?1 AND start >= ?2 AND start < ?3 AND proxy = coalesce(?4, proxy)";

/// Returns whether totals count what is asked: all methods but polls.
pub(super) fn suffice(asked: Asked<'_>) -> bool {
    let filter = asked.filter;
    asked.methods == Methods::Others && filter.method.is_none() && filter.tool.is_none()
}

/// Adds the totals of cells to the buckets.
pub(super) fn add(
    source: &Source<'_>,
    asked: Asked<'_>,
    cells: &[(BucketWidth, Window)],
    tallies: &mut Tallies,
) -> rusqlite::Result<()> {
    let mut statement = source.conn.prepare_cached(TOTALS)?;
    for (width, Window { since, until }) in cells {
        let server = &asked.filter.server_name;
        let mut rows = statement.query(params![width.ms(), since, until, server])?;
        while let Some(row) = rows.next()? {
            let mut counts = Counts {
                calls: number(row, 2)?,
                ..Counts::of_ends(Lenient::read(row.get_ref(1)?), number(row, 3)?)
            };
            if let ValueRef::Blob(latencies) = row.get_ref(5)? {
                let times = (latencies, number(row, 4)?);
                counts.times = Times::Cell {
                    server: times,
                    wall: times,
                };
            }
            tallies.add_to_bucket(number(row, 0)?, &counts);
        }
    }
    Ok(())
}
