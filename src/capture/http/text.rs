//! Bounds of texts.

use std::borrow::Cow;

/// Returns at most `limit` characters of `text`, and whether something was cut off.
pub(in crate::capture) fn bounded(text: &str, limit: usize) -> (&str, bool) {
    // A character has at least one byte.
    if text.len() <= limit {
        return (text, false);
    }
    match text.char_indices().nth(limit) {
        Some((end, _)) => (&text[..end], true),
        None => (text, false),
    }
}

/// Returns the bytes of a text on the heap.
pub(in crate::capture) fn owned_bytes(text: Option<&Cow<'static, str>>) -> usize {
    match text {
        Some(Cow::Owned(text)) => text.capacity(),
        Some(Cow::Borrowed(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_in_characters_not_bytes() {
        assert_eq!(bounded("méteo", 2), ("mé", true));
        assert_eq!(bounded("mé", 2), ("mé", false));
    }
}
