//! A span of time.

/// A span of time in unix milliseconds, from `since` (inclusive) to `until` (exclusive).
///
/// An open end, as [`Window::ALL`] has two, is serialised as `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Window {
    /// The first millisecond.
    #[serde(serialize_with = "unless_open")]
    pub since: i64,
    /// The first millisecond after it.
    #[serde(serialize_with = "unless_open")]
    pub until: i64,
}

impl Window {
    /// All of time.
    pub const ALL: Self = Self {
        since: i64::MIN,
        until: i64::MAX,
    };

    /// Returns the window from `since` on.
    pub const fn since(since: i64) -> Self {
        Self { since, ..Self::ALL }
    }

    /// Returns this window with another end.
    #[must_use]
    pub const fn until(self, until: i64) -> Self {
        Self { until, ..self }
    }
}

/// An open end is a number beyond 53 bits, which many readers of JSON cannot hold.
fn unless_open<S: serde::Serializer>(moment: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    let is_open = [Window::ALL.since, Window::ALL.until].contains(moment);
    serde::Serialize::serialize(&(!is_open).then_some(*moment), serializer)
}

impl Default for Window {
    fn default() -> Self {
        Self::ALL
    }
}
