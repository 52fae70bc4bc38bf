//! The revisions of the protocol.

use std::borrow::Cow;

use crate::capture::http::bounded;

/// The known revisions, so that their names cost no allocation.
const PROTOCOL_VERSIONS: [&str; 5] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// The first revision without sessions.
const FIRST_MODERN: &str = "2026-07-28";

/// Longest name of a revision that is kept, in characters.
pub(in crate::capture) const NAME_CHARS: usize = 256;

/// Returns the name of a revision, borrowed if it is a known one.
pub(in crate::capture) fn protocol_version(name: &str) -> Cow<'static, str> {
    match PROTOCOL_VERSIONS.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(bounded(name, NAME_CHARS).0.to_owned()),
    }
}

/// Returns the revision that is part of a caller's class. All unknown names are one
/// class.
pub(in crate::capture) fn revision(version: Option<&str>) -> &'static str {
    match version {
        None => "",
        Some(name) => PROTOCOL_VERSIONS
            .into_iter()
            .find(|known| *known == name)
            .unwrap_or("other"),
    }
}

/// Returns whether a revision is stateless. Revisions are dates, so they sort as
/// text.
pub(in crate::capture) fn is_modern(version: &str) -> bool {
    version.len() == FIRST_MODERN.len() && version >= FIRST_MODERN
}
