/// What one slice of work did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    /// How many rows were rolled up or deleted, or pages returned.
    pub(crate) count: u64,
    /// Whether there was nothing more to do.
    pub(crate) is_last: bool,
}

/// A stretch of time, in unix milliseconds, that is to be pruned.
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
