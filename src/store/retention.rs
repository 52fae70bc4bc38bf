use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long and how much a file keeps, for
/// [`StoreBuilder::retention`](super::StoreBuilder::retention).
///
/// The writer removes what is beyond it in slices of a few milliseconds,
/// between two groups of events. It looks for what is too old when the file is
/// opened, every hour and every 65,536 events, and for what is too much after
/// every group. The share of its time that it spends on this grows with what is too
/// much, from a fifth to 95 %: events that then come faster than rows can be
/// removed wait in the queue, and are dropped and counted when that is full.
/// Requests, sessions by when they were last seen, losses, and the runs of writers
/// are removed, of the latter two only what is too old or more than a thousand; the statistics of removed requests are kept for as long as is set
/// here, the oldest not beyond a quarter of `max_bytes`. So are listings and their
/// changes, the oldest not beyond another quarter. What an event store and a session store hold goes at the age they
/// were told, or earlier by this one (but not the newest event of a session that
/// an SDK still keeps), and its size does not count here.
///
/// Times are the system clock's: set forward by more than the age, it makes every
/// row old.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub(super) max_age: Option<Duration>,
    pub(super) max_bytes: Option<u64>,
    pub(super) hourly: Option<Duration>,
    pub(super) daily: Option<Duration>,
}

impl Default for Retention {
    /// 30 days and 1 GiB; statistics of hours 60 days, of days 400.
    fn default() -> Self {
        Self {
            max_age: Some(30 * DAY),
            max_bytes: Some(1 << 30),
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
            hourly: None,
            daily: None,
        }
    }

    /// How old a row gets; 30 days by default, `None` for any age.
    #[must_use]
    pub fn max_age(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.max_age = age.into();
        self
    }

    /// How much of the file is in use at most, in bytes; 1 GiB by default,
    /// `None` for any size. The oldest rows go first.
    ///
    /// Under a load that no removing keeps up with there is more, up to half as
    /// much again; then events are dropped and counted. Free pages do not count:
    /// some stay in the file, an eighth of it or 1 MiB, to be used again. So the
    /// file stays below twice this size, where that is some MiB or more. The WAL
    /// beside the file does not count either; it is some 16 MiB long.
    #[must_use]
    pub fn max_bytes(mut self, bytes: impl Into<Option<u64>>) -> Self {
        self.max_bytes = bytes.into();
        self
    }

    /// How long the statistics of each hour are kept; 60 days by default,
    /// `None` for ever. Never shorter than the requests they are made of.
    #[must_use]
    pub fn hourly_statistics(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.hourly = age.into();
        self
    }

    /// The same for each day; 400 days by default.
    #[must_use]
    pub fn daily_statistics(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.daily = age.into();
        self
    }
}
