/// The result of one slice of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    /// The number of rows rolled up or deleted, or of pages returned.
    pub(crate) count: u64,
    /// Whether nothing is left to do.
    pub(crate) is_last: bool,
}

/// A span of time to prune, in unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: i64,
    pub(crate) before: i64,
}

impl Span {
    pub(super) const ALL: Self = Self {
        from: i64::MIN,
        before: i64::MAX,
    };
}
