//! Values as SQLite holds them.

/// Returns a count as SQLite holds it: signed.
pub(super) fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Returns at most `chars` characters of a text.
pub(super) fn bounded(text: &str, chars: usize) -> &str {
    match text.char_indices().nth(chars) {
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}
