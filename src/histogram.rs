//! Latencies counted in buckets, so that the cells of a long time can be merged.
//!
//! The buckets are those of an HDR histogram of two significant figures: a reported
//! value is within 1/256 (0.4 %) of the true value, and exact below 256 microseconds.
//! Merging adds counts, so it adds no error.
//!
//! The file holds only the buckets that are not empty, in rising order. Each one is the
//! distance of its lowest value from that of the previous bucket, and its count, both
//! as LEB128. A single call takes at most seven bytes. The library's own form takes
//! forty before the first bucket.

use std::iter;

/// Values below this have a bucket each.
const EXACT: u64 = 1 << (STEP_BITS + 1);

/// From there on, the values between two powers of two have this many buckets, as a power of two.
const STEP_BITS: u32 = 7;

/// The largest relative error of a reported value.
pub(crate) const ERROR: f64 = 1.0 / EXACT as f64;

/// Its size grows with the recorded values: 2 KiB for short ones, 26 KiB for those of
/// an hour, 58 KiB at most.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Histogram {
    /// The number of values in each bucket, up to the last bucket that is not empty.
    counts: Vec<u64>,
}

impl Histogram {
    pub(crate) fn record(&mut self, value: u64) {
        self.record_many(value, 1);
    }

    /// Adds the output of [`encode`](Self::encode). Of a damaged blob, the readable part
    /// counts.
    pub(crate) fn merge(&mut self, blob: &[u8]) {
        for (value, count) in buckets(blob) {
            self.record_many(value, count);
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        let mut before = 0;
        for (value, _, count) in self.buckets() {
            push(&mut blob, value - before);
            push(&mut blob, count);
            before = value;
        }
        blob
    }

    /// Returns the buckets that are not empty, in rising order: the lowest and the highest
    /// value of each, and its number of values.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let counts = self.counts.iter().enumerate();
        let counts = counts.filter(|(_, count)| **count > 0);
        counts.map(|(bucket, count)| {
            let (lowest, width) = values(bucket);
            (lowest, lowest + (width - 1), *count)
        })
    }

    /// Returns the number of values.
    pub(crate) fn count(&self) -> u64 {
        let counts = self.counts.iter().copied();
        counts.fold(0, u64::saturating_add)
    }

    /// Returns the value that a part `q` of all values do not exceed (nearest rank), within
    /// 0.4 %; `None` if there are no values.
    pub(crate) fn quantile(&self, q: f64) -> Option<u64> {
        let rank = (q * self.count() as f64).ceil().max(1.0) as u64;
        let mut sum: u64 = 0;
        let bucket = self.counts.iter().position(|count| {
            sum = sum.saturating_add(*count);
            sum >= rank
        })?;
        let (lowest, width) = values(bucket);
        Some(lowest + width / 2)
    }

    /// Adds the values of another histogram.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
    }

    pub(crate) fn record_many(&mut self, value: u64, count: u64) {
        let bucket = bucket(value);
        if let Some(sum) = self.counts.get_mut(bucket) {
            *sum = sum.saturating_add(count);
        } else if count > 0 {
            self.counts.resize(bucket, 0);
            self.counts.push(count);
        }
    }
}

/// Returns the place of the bucket of a value.
fn bucket(value: u64) -> usize {
    // The number of low bits that the bucket leaves out.
    let bits = (EXACT - 1).leading_zeros() - (value | (EXACT - 1)).leading_zeros();
    ((bits as usize) << STEP_BITS) + (value >> bits) as usize
}

/// Returns the lowest value of the bucket at a place, and the number of its values.
fn values(bucket: usize) -> (u64, u64) {
    let bits = (bucket >> STEP_BITS).saturating_sub(1);
    (((bucket - (bits << STEP_BITS)) as u64) << bits, 1 << bits)
}

/// Returns the buckets in the output of [`Histogram::encode`]: the lowest value of each, and
/// its count. Of a damaged blob, it returns the readable part.
pub(crate) fn buckets(mut blob: &[u8]) -> impl Iterator<Item = (u64, u64)> {
    let mut value: u64 = 0;
    iter::from_fn(move || {
        let (distance, count) = (number(&mut blob)?, number(&mut blob)?);
        value = value.checked_add(distance)?;
        Some((value, count))
    })
}

fn push(blob: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        blob.push(value as u8 | 0x80);
        value >>= 7;
    }
    blob.push(value as u8);
}

/// Reads a number from the front of `blob`. Bits beyond 64 are lost.
fn number(blob: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (place, byte) in blob.iter().enumerate() {
        value |= u64::from(byte & 0x7f)
            .checked_shl(7 * place as u32)
            .unwrap_or(0);
        if *byte < 0x80 {
            *blob = blob.get(place + 1..)?;
            return Some(value);
        }
    }
    None
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
    fn short_latencies_are_reported_exactly() {
        for value in 0..256 {
            assert_eq!(of(&[value]).quantile(0.5), Some(value));
        }
    }

    #[test]
    fn single_call_takes_at_most_seven_bytes() {
        for (latency, length) in [(200, 3), (1_250, 3), (60_000, 4), (3_600_000_000, 6)] {
            assert_eq!(of(&[latency]).encode().len(), length, "{latency}");
        }
        // A year.
        assert!(of(&[31_536_000_000_000]).encode().len() <= 8);
    }

    #[test]
    fn form_in_the_file_stays_the_same() {
        let blob = [3, 1, 0xc5, 0x01, 2, 0xf8, 0x4c, 1];
        assert_eq!(of(&[3, 200, 200, 10_080]).encode(), blob);
        assert_eq!(decoded(&blob).count(), 4);
    }

    #[test]
    fn empty_histogram_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
        assert_eq!(decoded(&[]), Histogram::default());
    }

    proptest! {
        #[test]
        fn quantile_is_within_half_a_percent_of_the_value_at_that_rank(
            mut values in prop::collection::vec(value(), 1..200),
            q in 0.0..=1.0_f64,
        ) {
            let found = of(&values).quantile(q).unwrap();
            values.sort_unstable();
            let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
            let exact = values[rank - 1];
            prop_assert!(found.abs_diff(exact) <= exact / 256, "{found} for {exact}");
        }

        #[test]
        fn merging_encoded_histograms_equals_recording_all_their_values(
            parts in prop::collection::vec(prop::collection::vec(value(), 0..20), 1..4),
        ) {
            let mut merged = Histogram::default();
            for part in &parts {
                merged.merge(&of(part).encode());
            }
            let all = parts.concat();
            let mut added = Histogram::default();
            parts.iter().for_each(|part| added.add(&of(part)));
            prop_assert_eq!(&added, &merged);
            prop_assert_eq!(merged.count(), all.len() as u64);
            prop_assert_eq!(merged, of(&all));
        }

        #[test]
        fn damaged_blob_is_read_without_harm(blob in prop::collection::vec(any::<u8>(), 0..64)) {
            let read = decoded(&blob);
            prop_assert_eq!(decoded(&read.encode()).count(), read.count());
        }
    }
}
