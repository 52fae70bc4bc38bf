//! Keyed hashes: what the file holds in place of values that could be guessed.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::{Connection, Error, Result};
use sha2::Sha256;
use uuid::Uuid;

use super::meta;
use crate::event::CallerDigest;

/// HMAC-SHA-256 (RFC 2104) under the key of one file.
#[derive(Debug, Clone)]
pub(super) struct KeyedHash(Hmac<Sha256>);

/// The key in `meta` of the key: 64 hexadecimal digits, used as they stand there.
const KEY: &str = "hash_key";

impl KeyedHash {
    /// Returns the hash under the key of this file, which gets one if it has none.
    pub(super) fn of_file(conn: &Connection) -> Result<Self> {
        let random = || Uuid::new_v4().simple();
        // If another process comes first, its key counts.
        conn.execute(
            "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING",
            [KEY, &format!("{}{}", random(), random())],
        )?;
        let key = meta::get(conn, KEY)?.ok_or(Error::QueryReturnedNoRows)?;
        Ok(Self::new(key.as_bytes()))
    }

    /// Returns the hash under `key`.
    pub(super) fn new(key: &[u8]) -> Self {
        // HMAC takes keys of any length.
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// Returns the first eight bytes of the hash of these parts.
    pub(super) fn of(&self, parts: &[&[u8]]) -> [u8; 8] {
        let mut hash = self.0.clone();
        for part in parts {
            // With its length, so that no two lists of parts have the same bytes.
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let bytes = hash.finalize().into_bytes();
        std::array::from_fn(|place| bytes[place])
    }

    /// Returns what `sessions.caller` holds of a caller: 16 hexadecimal digits.
    pub(super) fn caller(&self, caller: &CallerDigest) -> String {
        let hash = self.of(&[b"caller", &caller.sha256]);
        hash.iter().fold(String::new(), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
