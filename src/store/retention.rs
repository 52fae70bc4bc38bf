use std::fmt;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a file keeps rows, and how large it gets, for
/// [`StoreBuilder::retention`](super::StoreBuilder::retention).
///
/// The writer thread removes old rows in slices of a few milliseconds, between two
/// transactions of events. It checks the age of rows when the file is opened, every
/// hour and every 65,536 events. It checks the size after every transaction. The
/// larger the excess, the more of its time it spends on removal, from a fifth to 95
/// %. If events arrive faster than rows can be removed, they wait in the queue;
/// when it is full, they are dropped and counted.
///
/// | rows | removed by age | removed by size |
/// |---|---|---|
/// | requests, and sessions by when they were last seen | yes | yes, the oldest first |
/// | polls: `tasks/get`, `tasks/list` and `ping` | by an age of their own | before all other requests |
/// | losses and ended runs of writers | yes | beyond the newest 1,024 |
/// | statistics of removed requests | by ages of their own | beyond a quarter of `max_bytes` |
/// | listings and their changes | no | beyond another quarter |
/// | SSE events and records of sessions | yes, or earlier by the age of their own store | no, and their size does not count |
///
/// The newest SSE event of a session stays for as long as an SDK keeps the session. Rows that
/// a registered shipper has not copied stay at any age; a file over its limit loses them last.
///
/// Ages are measured by the system clock. If it is set forward by more than the age,
/// every row is old.
///
/// ```
/// use std::time::Duration;
/// use tower_mcp_store::{Retention, Store};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("mcp.db");
///
/// let week = Duration::from_secs(7 * 24 * 60 * 60);
/// let store = Store::builder(path)
///     .retention(Retention::default().max_age(week).max_bytes(None))
///     .open()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The getters have the prefix `get_`, like those of [`std::process::Command`], because
/// the setters have the plain names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a retention does nothing before `StoreBuilder::retention`"]
pub struct Retention {
    pub(super) max_age: Option<Duration>,
    pub(super) max_bytes: Option<u64>,
    pub(super) polls: Option<Duration>,
    pub(super) hourly: Option<Duration>,
    pub(super) daily: Option<Duration>,
}

impl Default for Retention {
    /// 30 days and 1 GiB; one day for polls; 60 days for hourly and 400 days for daily statistics.
    fn default() -> Self {
        Self {
            max_age: Some(30 * DAY),
            max_bytes: Some(1 << 30),
            polls: Some(DAY),
            hourly: Some(60 * DAY),
            daily: Some(400 * DAY),
        }
    }
}

impl Retention {
    /// Keeps everything for ever.
    pub const fn unlimited() -> Self {
        Self {
            max_age: None,
            max_bytes: None,
            polls: None,
            hourly: None,
            daily: None,
        }
    }

    /// Sets the maximal age of a row; 30 days by default, `None` for no limit.
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// Sets how many bytes of the file may be in use; 1 GiB by default, `None` for no
    /// limit. The oldest rows are removed first.
    ///
    /// If rows arrive faster than the writer thread can remove them, up to half as much
    /// again is in use. Beyond that, events are dropped and counted. Free pages do not
    /// count: an eighth of the file, or 1 MiB, stays free for reuse. So the file stays
    /// below twice this size, if that is some MiB or more. The WAL beside the file does
    /// not count either; it is about 16 MiB long.
    pub fn max_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_bytes = bytes.into();
        self
    }

    /// Sets the maximal age of a poll; one day by default, `None` for the age of other
    /// rows.
    ///
    /// Polls are requests of `tasks/get`, `tasks/list` and `ping`. A client may send
    /// dozens of them for one call of a tool. In a file that is too large they are
    /// removed first, so they never displace other requests. Statistics count them for
    /// as long as other requests.
    pub fn polls(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.polls = age.into();
        self
    }

    /// Sets how long the statistics of each hour are kept; 60 days by default, `None`
    /// for ever. They are kept at least as long as their requests.
    pub fn hourly_statistics(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.hourly = age.into();
        self
    }

    /// Sets how long the statistics of each day are kept; 400 days by default, `None`
    /// for ever. They are kept at least as long as their requests.
    pub fn daily_statistics(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.daily = age.into();
        self
    }

    /// Returns the maximal age of a row; `None` if there is no limit.
    pub const fn get_max_age(&self) -> Option<Duration> {
        self.max_age
    }

    /// Returns how many bytes of the file may be in use; `None` if there is no limit.
    pub const fn get_max_bytes(&self) -> Option<u64> {
        self.max_bytes
    }

    /// Returns the maximal age of a poll; `None` if it is that of other rows.
    pub const fn get_polls(&self) -> Option<Duration> {
        self.polls
    }

    /// Returns how long the statistics of each hour are kept; `None` if for ever.
    pub const fn get_hourly_statistics(&self) -> Option<Duration> {
        self.hourly
    }

    /// Returns how long the statistics of each day are kept; `None` if for ever.
    pub const fn get_daily_statistics(&self) -> Option<Duration> {
        self.daily
    }
}

impl fmt::Display for Retention {
    /// Writes the age and the size, such as `30 days / 1 GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max_age {
            Some(age) => write_age(f, age)?,
            None => f.write_str("any age")?,
        }
        f.write_str(" / ")?;
        match self.max_bytes {
            Some(bytes) => write_size(f, bytes),
            None => f.write_str("any size"),
        }
    }
}

/// Writes an age in the largest unit that divides it.
fn write_age(f: &mut fmt::Formatter<'_>, age: Duration) -> fmt::Result {
    const UNITS: [(u64, &str); 3] = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let seconds = age.as_secs();
    let whole =
        |(length, _): &(u64, &str)| seconds.is_multiple_of(*length) && age.subsec_nanos() == 0;
    match UNITS.iter().find(|unit| seconds > 0 && whole(unit)) {
        Some((length, unit)) => {
            let count = seconds / length;
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{count} {unit}{plural}")
        }
        None => write!(f, "{age:?}"),
    }
}

/// Writes a size in the largest unit that divides it.
fn write_size(f: &mut fmt::Formatter<'_>, bytes: u64) -> fmt::Result {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let is_multiple = |(shift, _): &(u32, &str)| bytes.is_multiple_of(1 << shift);
    match UNITS.iter().find(|unit| bytes > 0 && is_multiple(unit)) {
        Some((shift, unit)) => write!(f, "{} {unit}", bytes >> shift),
        None => write!(f, "{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DAY, Retention};

    #[test]
    fn getters_return_what_the_setters_set() {
        let [age, polls, hours, days] = [4, 1, 8, 9].map(|count| Some(count * DAY));
        let retention = Retention::unlimited()
            .max_age(age)
            .max_bytes(1000)
            .polls(polls)
            .hourly_statistics(hours)
            .daily_statistics(days);

        assert_eq!(retention.get_max_age(), age);
        assert_eq!(retention.get_max_bytes(), Some(1000));
        assert_eq!(retention.get_polls(), polls);
        assert_eq!(retention.get_hourly_statistics(), hours);
        assert_eq!(retention.get_daily_statistics(), days);
    }

    #[test]
    fn text_names_age_and_size_in_their_largest_units() {
        let with = |age, bytes| {
            Retention::default()
                .max_age(age)
                .max_bytes(bytes)
                .to_string()
        };
        assert_eq!(Retention::default().to_string(), "30 days / 1 GiB");
        assert_eq!(Retention::unlimited().to_string(), "any age / any size");
        assert_eq!(with(Some(DAY), Some(1536 << 20)), "1 day / 1536 MiB");
        assert_eq!(with(Some(DAY / 2), Some(1000)), "12 hours / 1000 bytes");
        assert_eq!(
            with(Some(Duration::from_secs(90)), Some(0)),
            "90s / 0 bytes"
        );
        assert_eq!(with(Some(Duration::ZERO), None), "0ns / any size");
    }
}
