//! Latencies counted in buckets, so that the cells of a long time can be merged.
//!
//! The buckets are those of an HDR histogram: every power of two is divided
//! into 64 of the same width. The middle of a bucket is within 1/128 (0.8 %) of
//! everything in it, and below 128 microseconds each value has a bucket of its
//! own. Merging adds counts, so no error grows by it.
//!
//! In the file only the buckets stand that hold something, in rising order: for
//! each the number of empty buckets before it, then its count, both as LEB128.
//! A call by itself takes three bytes.
//!
//! No library, because what is needed of one is that form, and it is the whole
//! of the work: most cells hold a few calls, and thousands of them are merged
//! for one answer. hdrhistogram reads each blob into an array of all its
//! buckets before it can add it, and stores 40 bytes of header with each;
//! sketches-ddsketch and histogram leave the form to serde.

#![cfg_attr(not(test), expect(dead_code, reason = "read by the query side"))]

use std::iter;

/// Buckets of one power of two, as a power of two.
const PRECISION: u32 = 6;
const PER_POWER: usize = 1 << PRECISION;

/// How many buckets there are for 64 bits.
const BUCKETS: usize = (64 - PRECISION as usize + 1) * PER_POWER;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    /// Up to the last bucket that was ever used.
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn record(&mut self, value: u64) {
        self.add(bucket(value), 1);
    }

    /// Adds what [`encode`](Self::encode) gave. Of a damaged blob that counts
    /// which can be read.
    pub(crate) fn merge(&mut self, mut blob: &[u8]) {
        let mut next = 0;
        while let (Some(empty), Some(count)) = (number(&mut blob), number(&mut blob)) {
            let index = usize::try_from(empty)
                .ok()
                .and_then(|n| n.checked_add(next));
            let Some(index) = index.filter(|index| *index < BUCKETS) else {
                return;
            };
            self.add(index, count);
            next = index + 1;
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        let mut empty = 0;
        for &count in &self.counts {
            if count == 0 {
                empty += 1;
            } else {
                push(&mut blob, empty);
                push(&mut blob, count);
                empty = 0;
            }
        }
        blob
    }

    /// How many values are in it.
    pub(crate) fn count(&self) -> u64 {
        let total = |sum: u64, count: &u64| sum.saturating_add(*count);
        self.counts.iter().fold(0, total)
    }

    /// The value that a part `q` of all values do not exceed (nearest rank),
    /// within 0.8 %; `None` where there are no values.
    pub(crate) fn quantile(&self, q: f64) -> Option<u64> {
        let count = self.count();
        let rank = ((q * count as f64).ceil() as u64).clamp(1, count.max(1));
        let mut sum: u64 = 0;
        let found = self.counts.iter().position(|count| {
            sum = sum.saturating_add(*count);
            sum >= rank
        });
        found.map(middle)
    }

    fn add(&mut self, index: usize, count: u64) {
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        if let Some(sum) = self.counts.get_mut(index) {
            *sum = sum.saturating_add(count);
        }
    }
}

fn bucket(value: u64) -> usize {
    let power = value.checked_ilog2().unwrap_or(0);
    match power.checked_sub(PRECISION) {
        None => value as usize,
        // The highest bit counts one power, the bits below it the place in it.
        Some(shift) => (value >> shift) as usize + shift as usize * PER_POWER,
    }
}

/// The middle of a bucket, rounded down.
fn middle(index: usize) -> u64 {
    match (index / PER_POWER).checked_sub(1) {
        None => index as u64,
        Some(shift) => {
            let lowest = ((index % PER_POWER + PER_POWER) as u64) << shift;
            lowest + ((1 << shift) - 1) / 2
        }
    }
}

fn push(blob: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        blob.push(value as u8 | 0x80);
        value >>= 7;
    }
    blob.push(value as u8);
}

/// Takes a number off the front of `blob`; bits beyond 64 are lost.
fn number(blob: &mut &[u8]) -> Option<u64> {
    let length = blob.iter().position(|byte| *byte < 0x80)? + 1;
    let (digits, rest) = blob.split_at_checked(length)?;
    *blob = rest;
    let shifts = iter::successors(Some(0_u32), |shift| Some(shift + 7));
    Some(digits.iter().zip(shifts).fold(0, |value, (byte, shift)| {
        value | u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0)
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    fn decoded(blob: &[u8]) -> Histogram {
        let mut histogram = Histogram::default();
        histogram.merge(blob);
        histogram
    }

    /// Values of every magnitude.
    fn value() -> impl Strategy<Value = u64> {
        (0..64_u32, any::<u64>()).prop_map(|(shift, value)| value >> shift)
    }

    #[test]
    fn every_power_of_two_begins_where_the_one_before_it_ends() {
        for power in 1..64 {
            let first = 1_u64 << power;
            assert_eq!(bucket(first), bucket(first - 1) + 1, "2^{power}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn what_is_short_has_a_bucket_of_its_own() {
        for value in 0..128 {
            assert_eq!(middle(bucket(value)), value);
        }
    }

    #[test]
    fn a_call_by_itself_takes_three_bytes() {
        for latency in [200, 1_250, 60_000, 3_600_000_000] {
            assert_eq!(of(&[latency]).encode().len(), 3, "{latency}");
        }
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(decoded(&[]), Histogram::default());
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_one_percent_of_the_value_at_that_rank(
            mut values in prop::collection::vec(value(), 1..500),
            q in 0.0..=1.0_f64,
        ) {
            let found = of(&values).quantile(q).unwrap();
            values.sort_unstable();
            let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
            let exact = values[rank - 1];
            prop_assert!(found.abs_diff(exact) <= exact / 128, "{found} for {exact}");
        }

        #[test]
        fn merging_encoded_histograms_is_recording_all_their_values(
            parts in prop::collection::vec(prop::collection::vec(value(), 0..50), 1..6),
        ) {
            let mut merged = Histogram::default();
            for part in &parts {
                merged.merge(&of(part).encode());
            }
            let all = parts.concat();
            prop_assert_eq!(merged.count(), all.len() as u64);
            prop_assert_eq!(merged, of(&all));
        }

        #[test]
        fn a_damaged_blob_is_read_without_harm(blob in prop::collection::vec(any::<u8>(), 0..64)) {
            let read = decoded(&blob);
            prop_assert!(read.counts.len() <= BUCKETS);
            prop_assert_eq!(decoded(&read.encode()).count(), read.count());
        }
    }
}
