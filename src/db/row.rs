//! Values of rows that any program may have written.
//!
//! SQLite lets a column hold a value of any type. One odd value must not hide the
//! other rows, so every value can be read.

use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::event::{EndReason, Outcome, RequestStatus};

/// A type that any value of a column can be read as.
pub(crate) trait Lenient: Sized {
    fn read(value: ValueRef<'_>) -> Self;
}

/// Returns text; `None` for NULL. Invalid UTF-8 becomes U+FFFD.
impl Lenient for Option<String> {
    fn read(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => None,
            ValueRef::Integer(value) => Some(value.to_string()),
            ValueRef::Real(value) => Some(value.to_string()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(match str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => String::from_utf8_lossy(bytes).into_owned(),
            }),
        }
    }
}

/// Returns text; the empty text for NULL.
impl Lenient for String {
    fn read(value: ValueRef<'_>) -> Self {
        Option::read(value).unwrap_or_default()
    }
}

/// Returns a number; `None` for anything else.
impl Lenient for Option<i64> {
    fn read(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Integer(value) => Some(value),
            ValueRef::Real(value) => Some(value as i64),
            _ => None,
        }
    }
}

/// Returns a number; 0 for anything else.
impl Lenient for i64 {
    fn read(value: ValueRef<'_>) -> Self {
        Option::read(value).unwrap_or_default()
    }
}

/// Returns whether the value is a number other than 0.
impl Lenient for bool {
    fn read(value: ValueRef<'_>) -> Self {
        i64::read(value) != 0
    }
}

fn read<T: Lenient>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get_ref(column).map(T::read)
}

/// Returns a value as text; `None` for NULL.
pub(crate) fn optional_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    read(row, column)
}

/// Returns a value as text; the empty text for NULL.
pub(crate) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    read(row, column)
}

/// Returns a number; `None` for anything else.
pub(crate) fn optional_number(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<i64>> {
    read(row, column)
}

/// Returns a number; 0 for anything else.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<i64> {
    read(row, column)
}

/// The table accepts no other text than these three.
impl Lenient for RequestStatus {
    fn read(value: ValueRef<'_>) -> Self {
        word(value, &Self::ALL, Self::as_str).unwrap_or(Self::Error)
    }
}

/// Returns a reason that this release knows; `None` for anything else.
impl Lenient for Option<EndReason> {
    fn read(value: ValueRef<'_>) -> Self {
        word(value, EndReason::ALL, EndReason::as_str)
    }
}

/// Returns an outcome that this release knows; `None` for anything else.
impl Lenient for Option<Outcome> {
    fn read(value: ValueRef<'_>) -> Self {
        word(value, &Outcome::ALL, Outcome::as_str)
    }
}

/// Returns the word of a list that a value equals.
fn word<T: Copy>(value: ValueRef<'_>, words: &[T], as_str: fn(T) -> &'static str) -> Option<T> {
    let ValueRef::Text(text) = value else {
        return None;
    };
    let is_it = |word: &&T| as_str(**word).as_bytes() == text;
    words.iter().find(is_it).copied()
}
