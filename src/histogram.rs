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

/// The fewest figures that keep the error below one percent.
const SIGNIFICANT_FIGURES: u8 = 2;

/// The largest relative error of a reported value.
pub(crate) const ERROR: f64 = 1.0 / 256.0;

/// Its size grows with the recorded values: 2 KiB for short ones, 26 KiB for those of
/// an hour.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Histogram(hdrhistogram::Histogram<u64>);

impl Default for Histogram {
    fn default() -> Self {
        let counts = hdrhistogram::Histogram::new(SIGNIFICANT_FIGURES);
        Self(counts.expect("the figures are among those the library allows"))
    }
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
        for bucket in self.0.iter_recorded() {
            let lowest = self.0.lowest_equivalent(bucket.value_iterated_to());
            push(&mut blob, lowest.saturating_sub(before));
            push(&mut blob, bucket.count_at_value());
            before = lowest;
        }
        blob
    }

    /// Returns the buckets that are not empty, in rising order: the lowest and the highest
    /// value of each, and its number of values.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.0.iter_recorded().map(|bucket| {
            let value = bucket.value_iterated_to();
            (
                self.0.lowest_equivalent(value),
                self.0.highest_equivalent(value),
                bucket.count_at_value(),
            )
        })
    }

    /// Returns the number of values.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns the value that a part `q` of all values do not exceed (nearest rank), within
    /// 0.4 %; `None` if there are no values.
    pub(crate) fn quantile(&self, q: f64) -> Option<u64> {
        let highest = self.0.value_at_quantile(q);
        (!self.0.is_empty()).then(|| self.0.median_equivalent(highest))
    }

    /// Adds the values of another histogram.
    pub(crate) fn add(&mut self, other: &Self) {
        // Growing, up to 58 KiB, fails only if memory cannot be addressed.
        let added = self.0.add(&other.0);
        debug_assert!(added.is_ok());
    }

    pub(crate) fn record_many(&mut self, value: u64, count: u64) {
        // Growing, up to 58 KiB, fails only if memory cannot be addressed.
        let added = self.0.record_n(value, count);
        debug_assert!(added.is_ok());
    }
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
