//! The counts of a timeline so far.

use rusqlite::Row;

use super::super::stats::tally::{Counts, Sink, Tally};
use super::groups::Groups;
use super::layout::Layout;
use crate::db::row::number;

/// The counts so far, by bucket.
#[derive(Debug)]
pub(super) struct Tallies {
    pub(super) starts: Vec<i64>,
    pub(super) buckets: Vec<Tally>,
    pub(super) groups: Option<Groups>,
}

impl Tallies {
    pub(super) fn of(layout: &Layout, exact: bool, groups: Option<usize>) -> Self {
        let tally = |_| Tally::of_server_time(exact);
        Self {
            starts: layout.buckets().map(|(window, _)| window.since).collect(),
            buckets: layout.buckets().map(tally).collect(),
            groups: groups.map(Groups::new),
        }
    }

    /// Adds what began or ended at a time, but not to the groups.
    pub(super) fn add_to_bucket(&mut self, ts: i64, counts: &Counts<'_>) {
        let place = self.place(ts);
        self.buckets[place].add(counts);
    }

    /// Returns the place of the bucket of a time.
    fn place(&self, ts: i64) -> usize {
        let after = self.starts.partition_point(|start| *start <= ts);
        after.saturating_sub(1)
    }
}

impl Sink for Tallies {
    fn add(&mut self, row: &Row<'_>, counts: &Counts<'_>) -> rusqlite::Result<()> {
        self.add_to_bucket(number(row, 2)?, counts);
        OnlyGroups(self).add(row, counts)
    }
}

/// Adds to the groups, but not to the buckets.
#[derive(Debug)]
pub(super) struct OnlyGroups<'a>(pub(super) &'a mut Tallies);

impl Sink for OnlyGroups<'_> {
    fn add(&mut self, row: &Row<'_>, counts: &Counts<'_>) -> rusqlite::Result<()> {
        let place = self.0.place(number(row, 2)?);
        match &mut self.0.groups {
            Some(groups) => groups.add(row, place, counts),
            None => Ok(()),
        }
    }

    fn needs_times(&self) -> bool {
        false
    }
}
