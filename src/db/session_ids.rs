//! How a file holds session ids: as they are, or hashed.
//!
//! A client that knows the id of an open session can send requests in it, so an id is
//! a credential. Readers of the file do not need it. The hash is keyed, and the key is
//! in `meta`: a session has the same hash throughout a file, and different ones in
//! different files. A reader that has the key cannot find the ids either, as long as
//! they are random and cannot be guessed.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, Error, Result};
use sha2::Sha256;
use uuid::Uuid;
use uuid::fmt::Simple;

use super::bind::hex;
use super::meta;
use crate::event::{RequestEvent, TaskId, bounded_id};

/// The key in `meta` of the key of the hash: 64 hexadecimal digits, which are
/// used as they stand there.
const KEY: &str = "session_id_key";
const KEY_LENGTH: usize = 64;

/// What an id begins with that was hashed.
const HASHED: &str = "hashed:";

/// What an id begins with that this crate made up for a client that sends none.
/// It opens nothing.
const DERIVED: &str = "derived:";

/// Bytes of the hash that are kept.
const LENGTH: usize = 16;

/// How a writer is to store session ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionIdForm {
    Plain,
    Hashed,
}

/// Gives each session id the form in which it stands in one file.
#[derive(Debug, Clone)]
pub(crate) enum SessionIds {
    Plain,
    Hashed(Box<Hmac<Sha256>>),
}

impl SessionIds {
    /// For writing; makes the key of a file that has none.
    pub(super) fn of(conn: &Connection, form: SessionIdForm) -> Result<Self> {
        if form == SessionIdForm::Plain {
            return Ok(Self::Plain);
        }
        if let Some(found) = Self::recorded(conn)? {
            return Ok(found);
        }
        // Another process may have come first; its key is the one.
        meta::set_once(conn, KEY, &format!("{}{}", random(), random()))?;
        Self::recorded(conn)?.ok_or(Error::QueryReturnedNoRows)
    }

    /// For reading; `None` where no id was ever hashed.
    pub(crate) fn recorded(conn: &Connection) -> Result<Option<Self>> {
        let text = meta::get(conn, KEY)?;
        Ok(text.map(|text| {
            // Which is how HMAC itself fills up a key.
            let mut key = [0; KEY_LENGTH];
            for (to, from) in key.iter_mut().zip(text.bytes()) {
                *to = from;
            }
            Self::Hashed(Box::new(Hmac::new(&key.into())))
        }))
    }

    /// What stands in the file for the id of a task, which is a credential, too.
    pub(super) fn stored_task(&self, id: &TaskId) -> Box<str> {
        self.stored(&id.bounded()).into()
    }

    /// What stands in the file for the target of a request: where ids are hashed, the
    /// hash of the `task` that a `tasks/*` request names.
    pub(super) fn stored_target<'a>(
        &self,
        event: &'a RequestEvent,
        task: Option<&'a str>,
    ) -> Option<&'a str> {
        match self {
            Self::Hashed(_) if event.method.starts_with("tasks/") => task,
            _ => event.target.as_deref(),
        }
    }

    /// What stands in the file for `id`.
    pub(crate) fn stored<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let id = bounded_id(id);
        match self {
            Self::Hashed(keyed) if !id.starts_with(DERIVED) => {
                let hash = Mac::chain_update((**keyed).clone(), &*id).finalize();
                let hash = hash.into_bytes();
                Cow::Owned(HASHED.to_owned() + &hex(hash.iter().take(LENGTH)))
            }
            _ => id,
        }
    }
}

/// 122 random bits.
fn random() -> Simple {
    Uuid::new_v4().simple()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    fn file() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        conn
    }

    #[test]
    fn a_hash_is_hmac_sha_256_with_the_key_as_it_stands_in_the_file() {
        let conn = file();
        // Test case 2 of RFC 4231.
        meta::set(&conn, KEY, "Jefe").unwrap();
        let ids = SessionIds::recorded(&conn).unwrap().unwrap();
        assert_eq!(
            ids.stored("what do ya want for nothing?"),
            "hashed:5bdcc146bf60754e6a042426089575c7"
        );
    }

    #[test]
    fn a_reader_finds_the_hash_that_the_writer_stored() {
        let conn = file();
        assert!(SessionIds::recorded(&conn).unwrap().is_none());
        let writer = SessionIds::of(&conn, SessionIdForm::Hashed).unwrap();
        let reader = SessionIds::recorded(&conn).unwrap().unwrap();
        assert_eq!(writer.stored("abc"), reader.stored("abc"));
        assert_ne!(writer.stored("abc"), writer.stored("abd"));
        assert_eq!(meta::get(&conn, KEY).unwrap().unwrap().len(), KEY_LENGTH);
    }

    #[test]
    fn files_cannot_be_joined_by_their_hashes() {
        let [a, b] =
            [file(), file()].map(|conn| SessionIds::of(&conn, SessionIdForm::Hashed).unwrap());
        assert_ne!(a.stored("abc"), b.stored("abc"));
    }

    #[test]
    fn an_id_that_opens_nothing_stays_as_it_is() {
        let conn = file();
        let ids = SessionIds::of(&conn, SessionIdForm::Hashed).unwrap();
        assert_eq!(ids.stored("derived:abc"), "derived:abc");
        let plain = SessionIds::of(&conn, SessionIdForm::Plain).unwrap();
        assert_eq!(plain.stored("abc"), "abc");
    }
}
