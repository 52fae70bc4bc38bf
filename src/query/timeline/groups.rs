//! The calls of each method and tool over time.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::super::stats::tally::{Counts, Names};
use crate::event::Outcome;

/// The calls of one method, or of one tool for `tools/call`, by bucket.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct TimelineGroup {
    /// The JSON-RPC method.
    pub method: String,
    /// The tool that it called.
    pub tool: Option<String>,
    /// The number of calls that began in each bucket.
    pub calls: Vec<i64>,
    /// The number of calls that failed in each bucket: with any outcome of
    /// [`Outcome::FAILURES`].
    pub failed: Vec<i64>,
}

/// The counts so far. Clients choose names, so only buckets with calls take memory.
#[derive(Debug)]
pub(super) struct Groups {
    most: usize,
    names: Names,
    counts: Vec<BTreeMap<usize, Count>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    calls: i64,
    failed: i64,
}

impl Groups {
    /// Keeps the `most` methods and tools with the most calls.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            names: Names::default(),
            counts: Vec::new(),
        }
    }

    /// Adds a row to the bucket at this place.
    pub(super) fn add(
        &mut self,
        row: &Row<'_>,
        bucket: usize,
        counts: &Counts<'_>,
    ) -> rusqlite::Result<()> {
        let place = self.names.place(row)?;
        if place == self.counts.len() {
            self.counts.push(BTreeMap::new());
        }
        let count = self.counts[place].entry(bucket).or_default();
        count.calls = count.calls.saturating_add(counts.calls);
        let failures = Outcome::FAILURES;
        if counts
            .outcome
            .is_some_and(|outcome| failures.contains(&outcome))
        {
            count.failed = count.failed.saturating_add(counts.ended);
        }
        Ok(())
    }

    /// Returns the groups with the most calls in this number of buckets.
    pub(super) fn finish(self, buckets: usize) -> Vec<TimelineGroup> {
        let total = |counts: &BTreeMap<usize, Count>| {
            let calls = counts.values().map(|count| count.calls);
            calls.fold(0, i64::saturating_add)
        };
        let names = self.names.into_names().into_iter().zip(self.counts);
        let mut groups: Vec<_> = names
            .map(|(name, counts)| (total(&counts), name, counts))
            .collect();
        groups.sort_by(|(a_calls, a, _), (b_calls, b, _)| {
            b_calls.cmp(a_calls).then_with(|| a.cmp(b))
        });
        groups.truncate(self.most);
        let in_buckets = |counts: &BTreeMap<usize, Count>, of: fn(&Count) -> i64| {
            let count = |bucket| counts.get(&bucket).map_or(0, of);
            (0..buckets).map(count).collect()
        };
        let groups = groups
            .into_iter()
            .map(|(_, (method, tool), counts)| TimelineGroup {
                method,
                tool,
                calls: in_buckets(&counts, |count| count.calls),
                failed: in_buckets(&counts, |count| count.failed),
            });
        groups.collect()
    }
}
