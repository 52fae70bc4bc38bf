//! A stretch of time.

/// A stretch of time in unix milliseconds: from `since` on, before `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub struct Window {
    /// The first moment of it.
    pub since: i64,
    /// The first moment after it.
    pub until: i64,
}

impl Window {
    /// All of time.
    pub const ALL: Self = Self {
        since: i64::MIN,
        until: i64::MAX,
    };

    /// From a moment on.
    pub const fn since(since: i64) -> Self {
        Self { since, ..Self::ALL }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self::ALL
    }
}
