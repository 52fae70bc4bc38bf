//! Keyed hashes, which the file holds in place of values that could be guessed.
//!
//! All of them use one key. Unless the key is set, it is random and in the file. A
//! key that is set is never stored, so a person with only the file can guess
//! nothing. The file holds the fingerprint of each key under which it was recorded.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, Error, Result};
use sha2::Sha256;
use uuid::Uuid;

use super::bind::hex;
use super::meta;
use crate::event::CallerDigest;

/// HMAC-SHA-256 (RFC 2104) under one key.
#[derive(Clone)]
pub(crate) struct KeyedHash(Hmac<Sha256>);

/// The entry in `meta` of the hash key: 64 hexadecimal digits, used as text.
const KEY: &str = "hash_key";

/// The entry in `meta` of the fingerprints, with that of the newest writer last.
const FINGERPRINTS: &str = "key_fingerprints";

/// The most fingerprints in a file, so that a key that changes at each start does
/// not make the file grow.
const MOST_FINGERPRINTS: usize = 16;

impl KeyedHash {
    /// Returns the hash under the key of this file, which is created if it is missing.
    pub(super) fn of_file(conn: &Connection) -> Result<Self> {
        let random = || Uuid::new_v4().simple();
        // If another process is first, its key is used.
        meta::set_once(conn, KEY, &format!("{}{}", random(), random()))?;
        Self::recorded(conn)?.ok_or(Error::QueryReturnedNoRows)
    }

    /// Returns the hash under the key in this file, if it has one.
    pub(crate) fn recorded(conn: &Connection) -> Result<Option<Self>> {
        let key = meta::get(conn, KEY)?;
        Ok(key.map(|key| Self::new(key.as_bytes())))
    }

    /// Returns the hash under `key`.
    pub(crate) fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// Returns the hash of these parts. The first part names the kind of value.
    pub(super) fn whole(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = self.0.clone();
        for part in parts {
            // The length is part of the input, so that no two lists of parts have the same
            // bytes.
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into_bytes().into()
    }

    /// Returns the first eight bytes of the hash of these parts.
    pub(super) fn of(&self, parts: &[&[u8]]) -> [u8; 8] {
        let bytes = self.whole(parts);
        std::array::from_fn(|place| bytes[place])
    }

    /// Returns the value of `sessions.caller` for a caller: 16 hexadecimal digits.
    pub(super) fn caller(&self, caller: &CallerDigest) -> String {
        hex(self.of(&[b"caller", &caller.sha256]).iter())
    }

    /// Returns the hash of an `Authorization` header.
    pub(crate) fn authorization(&self, value: &[u8]) -> u64 {
        u64::from_le_bytes(self.of(&[b"authorization", value]))
    }

    /// Returns the fingerprint of the key: 16 hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> String {
        hex(self.of(&[b"fingerprint"]).iter())
    }

    /// Enters the fingerprint of the current key into the file. Returns the previous
    /// one if it differs.
    pub(super) fn enter(&self, conn: &Connection) -> Result<Option<String>> {
        let own = self.fingerprint();
        let mut all = fingerprints(conn)?;
        let before = all.last().filter(|last| **last != own).cloned();
        if all.last() != Some(&own) {
            all.retain(|other| *other != own);
            all.push(own);
            set_fingerprints(conn, &all)?;
        }
        Ok(before)
    }
}

/// Returns the fingerprints of the keys that the file was recorded under, the newest last.
pub(crate) fn fingerprints(conn: &Connection) -> Result<Vec<String>> {
    let all = meta::get(conn, FINGERPRINTS)?.unwrap_or_default();
    Ok(all.split_whitespace().map(str::to_owned).collect())
}

/// Stores fingerprints, the newest last. Only the newest are kept.
pub(super) fn set_fingerprints(conn: &Connection, all: &[String]) -> Result<()> {
    let first = all.len().saturating_sub(MOST_FINGERPRINTS);
    let newest = all.get(first..).unwrap_or_default();
    meta::set(conn, FINGERPRINTS, &newest.join(" "))
}

/// Shows nothing of the key.
impl fmt::Debug for KeyedHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    #[test]
    fn key_that_changes_with_each_start_does_not_make_the_file_grow() {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        let keys: Vec<_> = (0..100_u8).map(|key| KeyedHash::new(&[key; 32])).collect();
        for key in &keys {
            key.enter(&conn).unwrap();
        }
        let newest = keys[100 - MOST_FINGERPRINTS..].iter();
        let newest: Vec<_> = newest.map(KeyedHash::fingerprint).collect();
        assert_eq!(fingerprints(&conn).unwrap(), newest);
    }

    #[test]
    fn kinds_of_values_have_different_hashes_under_one_key() {
        let key = KeyedHash::new(&[7; 32]);
        let caller = key.caller(&CallerDigest::new([1; 32], true));
        assert_ne!(caller, hex(key.of(&[b"session", &[1; 32]]).iter()));
        assert_ne!(key.of(&[b"ab", b"c"]), key.of(&[b"a", b"bc"]));
        let other = KeyedHash::new(&[8; 32]);
        assert_ne!(caller, other.caller(&CallerDigest::new([1; 32], true)));
        assert_eq!(format!("{key:?}"), "KeyedHash(..)");
    }
}
