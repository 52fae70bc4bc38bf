//! What happened beside the data: moments and stretches of time.

use crate::color::Color;

/// A moment at which something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// When, in unix milliseconds.
    pub at: i64,
    /// What happened.
    pub kind: MarkKind,
    /// What happened, in words.
    pub label: String,
}

/// What happened at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MarkKind {
    /// A tool or another item of a server changed.
    Change,
    /// A writer opened the file.
    Start,
}

/// A stretch of time that is unlike the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The first moment, in unix milliseconds.
    pub since: i64,
    /// The moment after the last, in unix milliseconds.
    pub until: i64,
    /// How it differs.
    pub kind: SpanKind,
    /// How it differs, in words.
    pub label: String,
}

/// How a stretch of time differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpanKind {
    /// Data are missing.
    Loss,
    /// Data are known only for wider stretches of time.
    Widened,
}

impl MarkKind {
    pub(crate) const ALL: [Self; 2] = [Self::Change, Self::Start];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Start => "writer start",
        }
    }

    pub(crate) fn color(self) -> Color {
        match self {
            Self::Change => Color::Ink,
            Self::Start => Color::Faint,
        }
    }

    /// Returns the dashes of its line.
    pub(crate) fn dashes(self) -> &'static str {
        match self {
            Self::Change => "",
            Self::Start => " stroke-dasharray=\"2 3\"",
        }
    }
}

impl SpanKind {
    pub(crate) const ALL: [Self; 2] = [Self::Loss, Self::Widened];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Widened => "counted by hours or days",
        }
    }
}
