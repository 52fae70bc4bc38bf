//! The counters that the writer thread writes into the file.

use super::super::{CaptureCounters, Stats};
use crate::clock;
use crate::db::WriterStats;

/// The counters when the queue was last asked.
pub(super) struct Counts {
    stats: Stats,
    /// Every event accepted before this moment is finished with the next batch; unix
    /// milliseconds.
    as_of: i64,
    /// Number of requests without a row that is in the file.
    without_row: u64,
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            stats: Stats::default(),
            as_of: clock::unix_ms(),
            without_row: 0,
        }
    }

    /// Takes over the counters of the queue and of the layers.
    pub(super) fn update(&mut self, queue: Stats, layers: &CaptureCounters) {
        self.stats = queue;
        self.stats.take_over(layers);
    }

    pub(super) fn stats(&self) -> Stats {
        self.stats
    }

    pub(super) fn as_of(&self) -> i64 {
        self.as_of
    }

    /// Notes that every event accepted before this moment is committed.
    pub(super) fn committed_to(&mut self, as_of: i64) {
        self.as_of = as_of;
    }

    /// Returns the counters for a file that is left or closed now.
    pub(super) fn at_end(&self) -> WriterStats {
        self.stats.accounts(clock::unix_ms())
    }

    /// Returns the counters if they counted requests without a row since they were last
    /// [written](Self::wrote).
    pub(super) fn to_write(&self) -> Option<WriterStats> {
        (self.stats.without_row() != self.without_row).then(|| self.stats.accounts(self.as_of))
    }

    /// Notes that the counters [`to_write`](Self::to_write) are in the file.
    pub(super) fn wrote(&mut self) {
        self.without_row = self.stats.without_row();
    }
}
