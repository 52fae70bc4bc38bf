//! Parses and formats times and spans.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{RoundMode, SignedDuration, Span, Timestamp, Unit, Zoned, ZonedRound};

/// The bounds of [`interval`].
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3_600);

/// Returns the current time in unix milliseconds.
pub fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Parses a time into unix milliseconds: a span before now, a day, a time of day, or a date.
pub fn moment(text: &str) -> Result<i64, String> {
    parse(text, &Zoned::now()).ok_or_else(|| {
        "expected a span back from now, such as 30m, 2h or 7d, \
         a day, such as today or 2026-11-20, \
         or a time, such as 10:00, 'yesterday 10:00' or 2026-11-20T10:00"
            .to_owned()
    })
}

fn parse(text: &str, now: &Zoned) -> Option<i64> {
    let text = text.trim();
    let back = |span: Span| (!span.is_negative()).then(|| now.checked_sub(span).ok())?;
    let moment = if let Some(moment) = of_day(text, now) {
        moment.timestamp()
    } else if let Some(ms) = milliseconds(text) {
        return Some(ms);
    } else if let Ok(span) = text.parse::<Span>() {
        back(span)?.timestamp()
    } else if let Ok(moment) = text.parse::<Timestamp>() {
        moment
    } else if text.contains('[') {
        // With the name of a time zone.
        text.parse::<Zoned>().ok()?.timestamp()
    } else {
        let local = text.parse::<DateTime>().ok()?;
        local.to_zoned(now.time_zone().clone()).ok()?.timestamp()
    };
    Some(moment.as_millisecond())
}

/// Parses `now`, `today`, `yesterday`, a time of day, or a time of one of these days.
fn of_day(text: &str, now: &Zoned) -> Option<Zoned> {
    if text == "now" {
        return Some(now.clone());
    }
    let (day, time) = text.split_once(' ').unwrap_or((text, "00:00"));
    let (date, time) = match day {
        "today" => (now.date(), time),
        "yesterday" => (now.date().yesterday().ok()?, time),
        _ => (now.date(), text),
    };
    // Jiff also parses the time of a date with a time.
    let is_time = |c: char| c.is_ascii_digit() || ":.".contains(c);
    if !time.contains(':') || !time.chars().all(is_time) {
        return None;
    }
    let time = time.trim().parse::<Time>().ok()?;
    date.to_datetime(time)
        .to_zoned(now.time_zone().clone())
        .ok()
}

/// Parses unix milliseconds, which have at least 12 digits since 1973.
fn milliseconds(text: &str) -> Option<i64> {
    let is_number = text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// Parses a duration.
pub fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|span| Duration::try_from(span).ok())
        .ok_or_else(|| "expected a duration, such as 500ms, 2s or 1m 30s".to_owned())
}

/// Parses an interval. A number without a unit is in seconds.
pub fn interval(text: &str) -> Result<Duration, String> {
    let span = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => text
            .parse::<SignedDuration>()
            .ok()
            .and_then(|span| Duration::try_from(span).ok()),
    };
    span.filter(|span| (SHORTEST..=LONGEST).contains(span))
        .ok_or_else(|| "expected a duration from 100ms to 1h, such as 500ms or 2s".to_owned())
}

/// Returns the name of the system's time zone, such as `Europe/Berlin`.
pub fn zone() -> String {
    let zone = TimeZone::system();
    match zone.iana_name() {
        Some(name) => name.to_owned(),
        None => zone.to_offset(Timestamp::now()).to_string(),
    }
}

/// Formats a time in UTC, if the calendar can represent it.
pub fn utc(ms: i64) -> Option<String> {
    let moment = Timestamp::from_millisecond(ms).ok()?;
    Some(moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// Formats a time in the local zone, to the millisecond.
pub fn local(ms: i64) -> String {
    show(ms, "%Y-%m-%d %H:%M:%S%.3f")
}

/// Formats a time in the local zone, to the second.
pub fn local_second(ms: i64) -> String {
    show(ms, "%Y-%m-%d %H:%M:%S")
}

/// Formats a time in the local zone, to the minute.
pub fn local_minute(ms: i64) -> String {
    show(ms, "%Y-%m-%d %H:%M")
}

/// Formats a day in the local zone.
pub fn local_day(ms: i64) -> String {
    show(ms, "%Y-%m-%d")
}

/// The most hours or days that are counted separately.
const MOST_STARTS: usize = 10_000;

/// Returns when each local hour or day of a window begins, in unix milliseconds. Returns
/// `None` if there are too many.
pub fn starts(since: i64, until: i64, days: bool) -> Option<Vec<i64>> {
    let (unit, step) = match days {
        true => (Unit::Day, Span::new().days(1)),
        false => (Unit::Hour, Span::new().hours(1)),
    };
    let since = Timestamp::from_millisecond(since).ok()?;
    let since = since.to_zoned(TimeZone::system());
    let mut start = since
        .round(ZonedRound::new().smallest(unit).mode(RoundMode::Trunc))
        .ok()?;
    let mut starts = Vec::new();
    while start.timestamp().as_millisecond() < until {
        if starts.len() == MOST_STARTS {
            return None;
        }
        starts.push(start.timestamp().as_millisecond());
        start = start.checked_add(step).ok()?;
    }
    Some(starts)
}

/// Formats the time of day, to the millisecond, if it is today.
pub fn today(ms: i64) -> Option<String> {
    of_today(ms, "%H:%M:%S%.3f")
}

/// Formats the time of day, to the second, if it is today.
pub fn today_second(ms: i64) -> Option<String> {
    of_today(ms, "%H:%M:%S")
}

fn of_today(ms: i64, format: &str) -> Option<String> {
    let now = Zoned::now();
    let moment = Timestamp::from_millisecond(ms).ok()?;
    let zoned = moment.to_zoned(now.time_zone().clone());
    (zoned.date() == now.date()).then(|| zoned.strftime(format).to_string())
}

fn show(ms: i64, format: &str) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(moment) => {
            let zoned = moment.to_zoned(TimeZone::system());
            zoned.strftime(format).to_string()
        }
        // Outside of the range of the calendar.
        Err(_) => format!("{ms} ms"),
    }
}

/// Formats a latency of microseconds with three digits.
pub fn latency(us: i64) -> String {
    let value = us as f64;
    let (value, unit) = match us {
        ..1_000 => return format!("{us} µs"),
        1_000..999_500 => (value / 1e3, "ms"),
        999_500..60_000_000 => (value / 1e6, "s"),
        _ => return span(us / 1_000),
    };
    let decimals = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// Formats a span of milliseconds in its two largest units.
pub fn span(ms: i64) -> String {
    let seconds = ms / 1_000;
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {rest} s"),
        3_600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Zoned;

    use std::time::Duration;

    use super::{duration, interval, latency, parse, span};

    #[test]
    fn spans_are_subtracted_from_now_and_times_are_local() {
        let now: Zoned = "2026-11-21T12:00[Europe/Berlin]".parse().unwrap();
        let hour = 3_600_000;
        let ms = now.timestamp().as_millisecond();
        for (text, expected) in [
            ("30m", ms - hour / 2),
            ("2h", ms - 2 * hour),
            ("7d", ms - 7 * 24 * hour),
            ("1d 12h", ms - 36 * hour),
            ("0s", ms),
            ("2026-11-21T10:00", ms - 2 * hour),
            ("2026-11-21T10:00:00Z", ms - hour),
            ("2026-11-21T10:00:00+01:00", ms - 2 * hour),
            ("2026-11-21", ms - 12 * hour),
            ("2026-11-21T10:00[Asia/Tokyo]", ms - 10 * hour),
            ("now", ms),
            ("today", ms - 12 * hour),
            ("yesterday", ms - 36 * hour),
            ("10:00", ms - 2 * hour),
            ("10:00:30", ms - 2 * hour + 30_000),
            ("today 10:00", ms - 2 * hour),
            ("yesterday 18:00", ms - 18 * hour),
            ("1795046400000", 1_795_046_400_000),
            ("2026-11-20T10:00:00.123Z", ms - 25 * hour + 123),
            ("2026-11-21T10:00+09:00[Asia/Tokyo]", ms - 10 * hour),
        ] {
            assert_eq!(parse(text, &now), Some(expected), "{text}");
        }
        for text in [
            "",
            "x",
            "7",
            "25:00",
            "tomorrow",
            "yesterday noon",
            "-2h",
            "2 fortnights",
            "99999999y",
            "2026-13-01",
            "2026-11-21T10:00[Nowhere]",
        ] {
            assert_eq!(parse(text, &now), None, "{text}");
        }
    }

    #[test]
    fn durations_have_units_and_no_sign() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1_500)));
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        for text in ["", "5", "-1s", "x"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn intervals_have_a_unit_or_are_of_seconds() {
        for (text, ms) in [
            ("2", 2_000),
            ("0.5", 500),
            ("500ms", 500),
            ("2s", 2_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(interval(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "0", "-1", "99ms", "2h", "NaN", "inf", "x"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn latencies_have_three_digits_and_spans_two_units() {
        for (us, text) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_250, "1.25 ms"),
            (12_340, "12.3 ms"),
            (9_999, "10.0 ms"),
            (999_499, "999 ms"),
            (999_950, "1.00 s"),
            (2_500_000, "2.50 s"),
            (61_000_000, "1 min 1 s"),
        ] {
            assert_eq!(latency(us), text);
        }
        assert_eq!(span(90 * 60_000), "1 h 30 min");
        assert_eq!(span(50 * 3_600_000), "2 d 2 h");
    }
}
