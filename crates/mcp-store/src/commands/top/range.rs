//! The span of time whose statistics are shown.

/// A span of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Range {
    Minute,
    #[default]
    QuarterHour,
    Hour,
    Day,
}

impl Range {
    pub(crate) const ALL: [Self; 4] = [Self::Minute, Self::QuarterHour, Self::Hour, Self::Day];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "1 min",
            Self::QuarterHour => "15 min",
            Self::Hour => "1 h",
            Self::Day => "24 h",
        }
    }

    pub(crate) fn ms(self) -> i64 {
        let minutes = match self {
            Self::Minute => 1,
            Self::QuarterHour => 15,
            Self::Hour => 60,
            Self::Day => 24 * 60,
        };
        minutes * 60_000
    }
}
