//! Values of settings: durations, sizes, addresses, and values of one server.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use jiff::{Span, SpanRelativeTo};

pub(super) const UNLIMITED: &str = "unlimited";

/// A value, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit<T>(pub(crate) Option<T>);

/// Parses a duration, whose days have 24 hours.
pub(in crate::args) fn duration(text: &str) -> Result<Duration, String> {
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

/// Parses a number of things of which there is at least one.
pub(super) fn at_least_one(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a number from 1 on")
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

/// A value for the server of this name, or for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named<T> {
    pub(crate) server: Option<Box<str>>,
    pub(crate) value: T,
}

impl<T: FromStr> FromStr for Named<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        let is_known = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        let (server, value) = match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && name.bytes().all(is_known) => {
                (Some(name.into()), value)
            }
            _ => (None, text),
        };
        let value = value.parse()?;
        Ok(Self { server, value })
    }
}

/// An address to listen on: a host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(Box<str>);

impl Address {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the system chooses a free port.
    pub(crate) fn is_any_port(&self) -> bool {
        self.0.ends_with(":0")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
        let is_host = !host.contains(':') || host.starts_with('[') && host.ends_with(']');
        if !is_host || port.parse::<u16>().is_err() {
            return Err("expected an address such as 127.0.0.1:3000, or a port such as 3000");
        }
        // A port alone must not open the proxy to other machines.
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        Ok(Self(format!("{host}:{port}").into()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Address, Limit, Named, age, duration, size, size_limit};

    #[test]
    fn name_before_the_first_equals_sign_is_that_of_a_server() {
        for (text, server, value) in [
            ("a-1_b=http://h/?c=d", Some("a-1_b"), "http://h/?c=d"),
            ("http://h/?c=d", None, "http://h/?c=d"),
            ("A=b", None, "A=b"),
            ("=b", None, "=b"),
            ("a=", Some("a"), ""),
        ] {
            let named: Named<String> = text.parse().unwrap();
            assert_eq!((named.server.as_deref(), &*named.value), (server, value));
        }
    }

    #[test]
    fn port_alone_is_an_address_of_loopback() {
        for (text, expected) in [
            ("4205", "127.0.0.1:4205"),
            (":4205", "127.0.0.1:4205"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:0", "[::1]:0"),
            ("localhost:1", "localhost:1"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().as_str(), expected);
        }
        for text in [
            "",
            ":",
            "127.0.0.1",
            "h:",
            "h:70000",
            "::1:80",
            "http://h:1/",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

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
