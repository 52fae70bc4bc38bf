//! Values out of rows that any program may have written: SQLite lets a column
//! hold what it likes, and one odd value must not hide the rows beside it.

use rusqlite::Row;
use rusqlite::types::ValueRef;

/// A value as text; `None` for NULL. Invalid UTF-8 becomes U+FFFD.
pub(super) fn optional_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Null => None,
        ValueRef::Integer(value) => Some(value.to_string()),
        ValueRef::Real(value) => Some(value.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(match str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        }),
    })
}

/// A value as text; the empty text for NULL.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    optional_text(row, column).map(Option::unwrap_or_default)
}

/// A number; `None` for what is none.
pub(super) fn optional_number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(value) => Some(value),
        ValueRef::Real(value) => Some(value as i64),
        _ => None,
    })
}

/// A number; 0 for what is none.
pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<i64> {
    optional_number(row, column).map(Option::unwrap_or_default)
}
