//! Latencies while they are counted: each one, or a histogram.

use crate::histogram::Histogram;

#[derive(Debug, Clone)]
pub(super) enum Latencies {
    Each(Vec<i64>),
    Buckets {
        histogram: Histogram,
        max: i64,
    },
    /// They are not asked for.
    Ignored,
}

impl Latencies {
    pub(super) fn new(exact: bool) -> Self {
        if exact {
            Self::Each(Vec::new())
        } else {
            Self::Buckets {
                histogram: Histogram::default(),
                max: 0,
            }
        }
    }

    pub(super) fn record(&mut self, us: Option<i64>) {
        let Some(us) = us else {
            return;
        };
        match self {
            Self::Each(all) => all.push(us),
            Self::Buckets { histogram, max } => {
                histogram.record(u64::try_from(us).unwrap_or(0));
                *max = us.max(*max);
            }
            Self::Ignored => {}
        }
    }

    /// Adds the latencies of a cell.
    pub(super) fn add_cell(&mut self, encoded: &[u8], highest: i64) {
        if let Self::Buckets { histogram, max } = self {
            histogram.merge(encoded);
            *max = highest.max(*max);
        }
    }

    /// Adds latencies of cells by the lowest one of their bucket.
    #[cfg(feature = "outbox")]
    pub(super) fn add_bucket(&mut self, lowest: i64, count: i64) {
        if let (Self::Buckets { histogram, .. }, Ok(lowest), Ok(count)) =
            (self, u64::try_from(lowest), u64::try_from(count))
        {
            histogram.record_many(lowest, count);
        }
    }

    /// Adds the highest latency of cells.
    #[cfg(feature = "outbox")]
    pub(super) fn add_highest(&mut self, highest: i64) {
        if let Self::Buckets { max, .. } = self {
            *max = highest.max(*max);
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        match more {
            Self::Each(latencies) => latencies.iter().for_each(|us| self.record(Some(*us))),
            Self::Buckets {
                histogram: more,
                max: highest,
            } => {
                if let Self::Buckets { histogram, max } = self {
                    histogram.add(more);
                    *max = (*max).max(*highest);
                }
            }
            Self::Ignored => {}
        }
    }

    /// Returns the percentiles 50, 95 and 99, and the highest latency.
    pub(super) fn ranks(self) -> [Option<i64>; 4] {
        match self {
            Self::Each(latencies) => ranks(latencies),
            Self::Buckets { histogram, max } => [0.5, 0.95, 0.99, 1.0].map(|part| {
                let found = histogram.quantile(part)?;
                // No estimate exceeds the highest latency, which is known.
                let found = i64::try_from(found).unwrap_or(i64::MAX).min(max);
                Some(if part < 1.0 { found } else { max })
            }),
            Self::Ignored => [None; 4],
        }
    }
}

/// Returns the nearest ranks of the percentiles, and the highest latency.
fn ranks(mut latencies: Vec<i64>) -> [Option<i64>; 4] {
    // Each percentile is among the latencies above the previous one.
    let mut from = 0;
    [0.5, 0.95, 0.99, 1.0].map(|part| {
        let rank = (part * latencies.len() as f64).ceil() as usize;
        let rank = rank.max(1) - 1;
        let above = latencies.get_mut(from..)?;
        if rank - from >= above.len() {
            return None;
        }
        let (_, found, _) = above.select_nth_unstable(rank - from);
        from = rank;
        Some(*found)
    })
}
