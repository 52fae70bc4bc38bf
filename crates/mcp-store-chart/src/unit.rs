//! What a number measures.

use mcp_store_text::{numbers, time};

/// What the numbers of an axis measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// A number of things.
    Count,
    /// A latency in microseconds.
    Microseconds,
    /// A size in bytes.
    Bytes,
    /// A percentage, from 0 to 100.
    Percent,
}

impl Unit {
    /// Returns a short label of an axis.
    pub(crate) fn tick(self, value: f64) -> String {
        match self {
            Self::Count => scaled(value, 1e3, &["", "k", "M", "G", "T"], ""),
            Self::Bytes => scaled(value, 1e3, &["B", "kB", "MB", "GB", "TB"], " "),
            Self::Percent => format!("{} %", short(value)),
            Self::Microseconds if value >= 1e6 => format!("{} s", short(value / 1e6)),
            Self::Microseconds => scaled(value, 1e3, &["µs", "ms", "s"], " "),
        }
    }

    /// Returns a number in full.
    pub(crate) fn full(self, value: f64) -> String {
        let whole = value.round() as i64;
        match self {
            Self::Count => numbers::count(whole),
            Self::Bytes => numbers::bytes(whole),
            Self::Percent => format!("{value:.1} %"),
            Self::Microseconds => time::latency(whole),
        }
    }

    /// Whether only whole numbers occur.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Self::Count | Self::Bytes | Self::Microseconds)
    }
}

fn scaled(value: f64, base: f64, units: &[&str], space: &str) -> String {
    let mut value = value;
    let mut rest = units;
    while let [_, _, ..] = rest
        && value.abs() >= base
    {
        value /= base;
        rest = &rest[1..];
    }
    let unit = rest.first().copied().unwrap_or_default();
    format!("{}{space}{unit}", short(value))
}

/// Formats a number with up to two decimals.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::Unit;

    #[test]
    fn ticks_are_short() {
        for (unit, value, expected) in [
            (Unit::Count, 0.0, "0"),
            (Unit::Count, 1_500.0, "1.5k"),
            (Unit::Count, 20e6, "20M"),
            (Unit::Microseconds, 200.0, "200 µs"),
            (Unit::Microseconds, 5_000.0, "5 ms"),
            (Unit::Microseconds, 100e6, "100 s"),
            (Unit::Bytes, 2_000.0, "2 kB"),
            (Unit::Percent, 12.5, "12.5 %"),
        ] {
            assert_eq!(unit.tick(value), expected);
        }
        assert_eq!(Unit::Count.full(12_345.0), "12,345");
    }
}
