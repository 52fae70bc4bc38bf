//! Values of settings: durations and sizes.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::{Span, SpanRelativeTo};

const UNLIMITED: &str = "unlimited";

/// A value, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<T>(pub(crate) Option<T>);

/// Parses a duration, whose days have 24 hours.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parse = |text: &str| {
        let span: Span = text.parse().ok()?;
        let days = SpanRelativeTo::days_are_24_hours();
        Duration::try_from(span.to_duration(days).ok()?).ok()
    };
    parse(text).ok_or_else(|| "expected a duration, such as 500ms, 10s, 5m or 30d".to_owned())
}

/// Parses a duration, or `unlimited`.
pub(super) fn age(text: &str) -> Result<Limit<Duration>, String> {
    match text {
        UNLIMITED => Ok(Limit(None)),
        text => Ok(Limit(Some(duration(text).map_err(or_unlimited)?))),
    }
}

/// Parses a size in memory.
pub(super) fn size(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| "the size is too large".to_owned())
}

/// Parses a size, or `unlimited`.
pub(super) fn size_limit(text: &str) -> Result<Limit<u64>, String> {
    match text {
        UNLIMITED => Ok(Limit(None)),
        text => Ok(Limit(Some(bytes(text).map_err(or_unlimited)?))),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let parsed = text.parse::<ByteSize>();
    let size = parsed.map_err(|_| "expected a size, such as 1GiB, 500MB or 65536".to_owned())?;
    Ok(size.as_u64())
}

fn or_unlimited(expected: String) -> String {
    format!("{expected}, or {UNLIMITED}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Limit, age, duration, size, size_limit};

    #[test]
    fn durations_have_units_and_no_sign() {
        let seconds = Duration::from_secs;
        for (text, expected) in [
            ("30d", seconds(30 * 86_400)),
            ("1w", seconds(7 * 86_400)),
            ("1d 12h", seconds(36 * 3_600)),
            ("5m", seconds(300)),
            ("40ms", Duration::from_millis(40)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(duration(text), Ok(expected), "{text}");
        }
        for text in ["", "5", "-5m", "1 month", "unlimited", "99999999999d"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(age("unlimited"), Ok(Limit(None)));
        assert_eq!(age("1h"), Ok(Limit(Some(seconds(3_600)))));
        assert!(age("ever").unwrap_err().ends_with("30d, or unlimited"));
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        for (text, expected) in [
            ("1GiB", 1 << 30),
            ("4 MiB", 4 << 20),
            ("500MB", 500_000_000),
            ("65536", 65_536),
            ("0", 0),
        ] {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
        for text in ["", "-1", "GiB", "1 parsec"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size_limit("unlimited"), Ok(Limit(None)));
        assert_eq!(size_limit("1KiB"), Ok(Limit(Some(1024))));
    }
}
