/// The length of a cell of statistics, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BucketWidth {
    Hour,
    Day,
}

impl BucketWidth {
    pub(crate) const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// Returns the value of `request_rollups.width`, in milliseconds.
    pub(crate) const fn ms(self) -> i64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 24 * 3_600_000,
        }
    }

    /// Returns the start of the cell that contains the moment `ts`.
    pub(crate) fn start(self, ts: i64) -> i64 {
        ts.saturating_sub(ts.rem_euclid(self.ms()))
    }

    /// Returns the start of the first cell that contains no moment before `ts`.
    pub(crate) fn next_start(self, ts: i64) -> i64 {
        let start = self.start(ts);
        match start < ts {
            true => start.saturating_add(self.ms()),
            false => start,
        }
    }
}
