//! Keyed hashes of states.

use std::fmt;

use rusqlite::types::ValueRef;
use serde::{Serialize, Serializer};

use crate::db::row::Lenient;

/// A keyed hash of the state that a request of an operation sent back, or that was in its
/// answer.
///
/// It is shown, and serialised, as 16 hexadecimal digits. Two requests of a file have the
/// same hash if they have the same state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateHash([u8; 8]);

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl Serialize for StateHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns the hash; `None` for anything but a blob of its length.
impl Lenient for Option<StateHash> {
    fn read(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Blob(bytes) => bytes.try_into().ok().map(StateHash),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_shown_as_the_digits_that_sqlite_shows() {
        let hash = Option::<StateHash>::read(ValueRef::Blob(&[0, 1, 2, 3, 4, 5, 0xab, 0xff]));
        assert_eq!(hash.unwrap().to_string(), "000102030405abff");
        for odd in [
            ValueRef::Null,
            ValueRef::Blob(b"short"),
            ValueRef::Text(b"8 bytes."),
        ] {
            assert_eq!(Option::<StateHash>::read(odd), None);
        }
    }
}
