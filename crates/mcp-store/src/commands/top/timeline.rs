//! Counts and latencies of the last minutes, by second.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use tower_mcp_store::EndReason;
use tower_mcp_store::query::{Recorded, Request};

use super::outcome;

/// The time that the timeline covers, in seconds. A sparkline has at most as many
/// columns.
const SPAN: i64 = 300;

/// The same in milliseconds.
pub(crate) const SPAN_MS: i64 = SPAN * 1_000;

/// How many seconds a rate is averaged over.
const RATE: i64 = 5;

/// Requests by the second in which they ended.
///
/// Rows are written after their request ended. The current second is incomplete and not shown.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    seconds: BTreeMap<i64, Second>,
}

/// The requests that ended in one second.
#[derive(Debug)]
pub(crate) struct Second {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    latencies: Histogram<u32>,
}

impl Default for Second {
    fn default() -> Self {
        Self {
            calls: 0,
            failed: 0,
            latencies: Histogram::new(2).expect("two figures are among those the library allows"),
        }
    }
}

impl Second {
    /// Returns the 95th percentile of the latency in microseconds, within 1 %.
    pub(crate) fn p95_us(&self) -> Option<u64> {
        let highest = self.latencies.value_at_quantile(0.95);
        (!self.latencies.is_empty()).then(|| self.latencies.median_equivalent(highest))
    }
}

impl Timeline {
    /// Adds a request, unless it ended too long ago.
    pub(crate) fn add(&mut self, row: &Request, now: i64) {
        // Clocks differ: a request that ends in the future counts as just ended.
        let second = outcome::ended(row).min(now).div_euclid(1_000);
        if second < first(now) {
            return;
        }
        let second = self.seconds.entry(second).or_default();
        second.calls += 1;
        second.failed += u64::from(outcome::has_failed(row));
        // The latency of such a stream is the time that its client listened.
        if row.end_reason != Some(Recorded::Known(EndReason::StreamEnd)) {
            // This fails only if the histogram cannot grow.
            let _ = second
                .latencies
                .record(u64::try_from(row.latency_us).unwrap_or(0));
        }
    }

    /// Removes seconds that are too long ago.
    pub(crate) fn forget(&mut self, now: i64) {
        self.seconds = self.seconds.split_off(&first(now));
    }

    /// Returns the current rate in calls per second.
    pub(crate) fn rate(&self, now: i64) -> f64 {
        let now = now.div_euclid(1_000);
        let calls = self.seconds.range(now - RATE..now);
        calls.map(|(_, second)| second.calls).sum::<u64>() as f64 / RATE as f64
    }

    /// Returns the last `count` seconds, oldest first. A second without requests is `None`.
    pub(crate) fn last(
        &self,
        count: u16,
        now: i64,
    ) -> impl DoubleEndedIterator<Item = Option<&Second>> {
        let now = now.div_euclid(1_000);
        (now - i64::from(count).min(SPAN)..now).map(|second| self.seconds.get(&second))
    }
}

/// Returns the first second that is kept.
fn first(now: i64) -> i64 {
    now.div_euclid(1_000).saturating_sub(SPAN)
}
