//! Why a request has no row.

use std::borrow::Cow;
use std::fmt;

/// Why a request has no row. Each variant is counted in one of the [`Stats`](crate::Stats).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRow {
    /// Its method is one of those that are skipped. Counted as `skipped`.
    Skipped(Cow<'static, str>),
    /// Its body is not JSON, and its head names no request. Counted as `other_media`.
    OtherMedia,
    /// Its body names no request, and neither does its head. Counted as `unidentified`.
    Unidentified(Unread),
    /// The requests before it in the batch take all the memory for a batch. Counted as
    /// `unidentified`.
    BatchFull,
}

/// Why a request body names no request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Unread {
    /// It was not read to its end.
    #[default]
    Rest,
    /// It is in a coding that the layer does not decode.
    Undecodable,
    /// It ended inside a JSON value.
    Unclosed,
    /// It failed before its end.
    Broken,
}

impl fmt::Display for NoRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Skipped(method) => return write!(f, "skipped: its method is {method}"),
            Self::OtherMedia => "other media: its Content-Type is not JSON",
            Self::Unidentified(Unread::Rest) => "unidentified: the server did not read its body",
            Self::Unidentified(Unread::Undecodable) => {
                "unidentified: its body is in an encoding that cannot be read"
            }
            Self::Unidentified(Unread::Unclosed) => "unidentified: its body is incomplete JSON",
            Self::Unidentified(Unread::Broken) => "unidentified: its body broke off",
            Self::BatchFull => "unidentified: its batch is too long",
        })
    }
}
