//! How a file stores session ids: unchanged, or hashed.
//!
//! A client that knows the id of an open session can send requests in it, so an id
//! is a credential. Readers of the file do not need it. The hash is keyed: a
//! session has the same hash under one key, and different hashes in files with
//! different keys. Even a reader with the key cannot find random ids, because it
//! cannot guess them.

use std::borrow::Cow;

use super::bind::hex;
use super::keyed_hash::KeyedHash;
use crate::event::{RequestEvent, TaskId, bounded_id};

/// Prefix of an id that was hashed.
pub(crate) const HASHED: &str = "hashed:";

/// Prefix of an id that this crate derived for a client that sends none. It is not
/// a credential.
const DERIVED: &str = "derived:";

/// The kept bytes of the hash.
const LENGTH: usize = 16;

/// How a writer stores session ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionIdForm {
    Plain,
    Hashed,
}

/// Converts each session id to its form in one file.
#[derive(Debug, Clone)]
pub(crate) enum SessionIds {
    Plain,
    Hashed(Box<KeyedHash>),
}

impl SessionIds {
    pub(crate) fn new(form: SessionIdForm, key: &KeyedHash) -> Self {
        match form {
            SessionIdForm::Plain => Self::Plain,
            SessionIdForm::Hashed => Self::Hashed(Box::new(key.clone())),
        }
    }

    /// Returns the stored form of the id of a task, which is a credential, too.
    pub(super) fn stored_task(&self, id: &TaskId) -> Box<str> {
        self.stored(&id.bounded()).into()
    }

    /// Returns the stored form of a request's target: if ids are hashed, the hash of
    /// the `task` that a `tasks/*` request names.
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

    /// Returns the stored form of `id`.
    pub(crate) fn stored<'a>(&self, id: &'a str) -> Cow<'a, str> {
        let id = bounded_id(id);
        match self {
            Self::Hashed(key) if !id.starts_with(DERIVED) => {
                let hash = key.whole(&[b"session", id.as_bytes()]);
                Cow::Owned(HASHED.to_owned() + &hex(hash.iter().take(LENGTH)))
            }
            _ => id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashed(key: &[u8]) -> SessionIds {
        SessionIds::new(SessionIdForm::Hashed, &KeyedHash::new(key))
    }

    #[test]
    fn hash_is_hmac_sha_256_of_its_kind_and_of_the_id_with_their_lengths() {
        // The expected values are from Python's hmac.
        assert_eq!(
            hashed(&[7; 32]).stored("abc"),
            "hashed:b4bd39874d273ae3512575c61d4e3c5d"
        );
    }

    #[test]
    fn files_of_different_keys_cannot_be_joined_by_their_hashes() {
        let [a, b] = [hashed(&[1; 32]), hashed(&[2; 32])];
        assert_ne!(a.stored("abc"), b.stored("abc"));
        assert_ne!(a.stored("abc"), a.stored("abd"));
    }

    #[test]
    fn id_that_is_not_a_credential_is_stored_unchanged() {
        assert_eq!(hashed(&[7; 32]).stored("derived:abc"), "derived:abc");
        assert_eq!(SessionIds::Plain.stored("abc"), "abc");
    }
}
