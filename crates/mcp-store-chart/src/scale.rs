//! Scales from numbers to pixels, and their ticks.

use crate::unit::Unit;

/// A scale of numbers. Its `range` may run backwards, as the one of a vertical axis does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    range: (f64, f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Linear,
    Log,
}

/// The steps of a linear axis, and the first digits of ticks on a logarithmic one.
const STEPS: [f64; 3] = [1.0, 2.0, 5.0];

impl Scale {
    /// Returns a linear scale from 0 to a round number, which is `highest` or more, and the
    /// step between its ticks. There are at most `ticks` steps.
    pub(crate) fn linear(highest: f64, unit: Unit, range: (f64, f64), ticks: usize) -> Self {
        let highest = match highest.is_finite() && highest > 0.0 {
            true => highest,
            false => 1.0,
        };
        let step = step(highest / ticks.max(1) as f64, unit);
        Self {
            kind: Kind::Linear,
            low: 0.0,
            high: (highest / step).ceil() * step,
            range,
        }
    }

    /// Returns a logarithmic scale. Numbers below 1 are drawn like 1.
    pub(crate) fn log(low: f64, high: f64, range: (f64, f64)) -> Self {
        let low = if low.is_finite() { low.max(1.0) } else { 1.0 };
        let high = if high.is_finite() { high } else { low };
        Self {
            kind: Kind::Log,
            low,
            // A domain of one number would have no size.
            high: high.max(low * 2.0),
            range,
        }
    }

    /// Returns the pixel of a number. A number outside of the domain is at its end.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let value = if value.is_nan() { self.low } else { value };
        let value = value.clamp(self.low, self.high);
        let part = match self.kind {
            Kind::Linear => (value - self.low) / (self.high - self.low),
            Kind::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        let (from, to) = self.range;
        from + part * (to - from)
    }

    /// Returns about `most` ticks or fewer, in rising order, all within the domain.
    pub(crate) fn ticks(&self, unit: Unit, most: usize) -> Vec<f64> {
        let most = most.max(2);
        match self.kind {
            Kind::Linear => {
                let step = step(self.high / most as f64, unit);
                let count = (self.high / step + 1e-9).floor() as usize;
                (0..=count).map(|n| n as f64 * step).collect()
            }
            Kind::Log => {
                let first = self.low.log10().floor() as i32;
                let last = self.high.log10().ceil() as i32;
                let of = |digits: &[f64]| -> Vec<f64> {
                    let decades = (first..=last).map(|decade| 10_f64.powi(decade));
                    let ticks = decades.flat_map(|decade| digits.iter().map(move |d| d * decade));
                    let is_inside = |tick: &f64| (self.low..=self.high).contains(tick);
                    ticks.filter(is_inside).collect()
                };
                let ticks = [&STEPS[..], &[1.0, 3.0], &STEPS[..1]]
                    .into_iter()
                    .map(of)
                    .find(|ticks| ticks.len() <= most)
                    .unwrap_or_else(|| of(&STEPS[..1]));
                let nth = ticks.len().div_ceil(most);
                ticks.into_iter().step_by(nth.max(1)).collect()
            }
        }
    }
}

/// Returns the least round step that is `least` or more.
fn step(least: f64, unit: Unit) -> f64 {
    let least = if unit.is_whole() {
        least.max(1.0)
    } else {
        least
    };
    let decade = 10_f64.powf(least.log10().floor());
    let digits = STEPS.into_iter().chain([10.0]);
    let mut steps = digits.map(|digit| digit * decade);
    steps
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(least)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![0.0..1e4_f64, 0.0..1e18_f64, Just(0.0), Just(f64::INFINITY)]
    }

    #[track_caller]
    fn assert_ticks(scale: &Scale, ticks: &[f64], most: usize) {
        assert!(!ticks.is_empty());
        assert!(ticks.len() <= most + 1, "{} ticks for {most}", ticks.len());
        assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
        assert!(
            ticks
                .iter()
                .all(|tick| (scale.low..=scale.high * (1.0 + 1e-9)).contains(tick))
        );
    }

    proptest! {
        #[test]
        fn ticks_rise_within_the_domain(
            low in value(), high in value(), most in 2..12_usize, log: bool,
        ) {
            let scale = match log {
                true => Scale::log(low, high, (0.0, 100.0)),
                false => Scale::linear(high, Unit::Count, (0.0, 100.0), most),
            };
            let ticks = scale.ticks(Unit::Count, most);
            // A logarithmic domain between two ticks has none.
            if !log || !ticks.is_empty() {
                assert_ticks(&scale, &ticks, most);
            }
        }

        #[test]
        fn greater_numbers_are_further_along(
            low in value(), high in value(), a in value(), b in value(), log: bool,
        ) {
            let scale = match log {
                true => Scale::log(low, high, (300.0, 10.0)),
                false => Scale::linear(high, Unit::Count, (300.0, 10.0), 5),
            };
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(scale.at(a) >= scale.at(b));
            prop_assert!((10.0..=300.0).contains(&scale.at(a)));
        }
    }

    #[test]
    fn linear_axis_ends_at_a_round_number() {
        let scale = Scale::linear(87.0, Unit::Count, (100.0, 0.0), 4);
        assert_eq!(scale.ticks(Unit::Count, 4), [0.0, 50.0, 100.0]);
        let few = Scale::linear(2.0, Unit::Count, (100.0, 0.0), 4);
        assert_eq!(few.ticks(Unit::Count, 4), [0.0, 1.0, 2.0]);
        assert_eq!(few.at(2.0), 0.0);
    }

    #[test]
    fn logarithmic_axis_has_decades_or_parts_of_them() {
        let short = Scale::log(1_000.0, 20_000.0, (0.0, 1.0));
        assert_eq!(
            short.ticks(Unit::Microseconds, 6),
            [1_000.0, 2_000.0, 5_000.0, 10_000.0, 20_000.0]
        );
        let long = Scale::log(1.0, 1e9, (0.0, 1.0));
        assert_eq!(long.ticks(Unit::Microseconds, 5), [1.0, 1e2, 1e4, 1e6, 1e8]);
    }
}
