//! The caller of a request, as a part of the hashes of states.

use super::StateHash;
use crate::db::keyed_hash::KeyedHash;
use crate::event::{CallerDigest, RequestEvent, StateDigest, StateKind};

/// Prefix of a session id that this crate derived. It does not identify the caller,
/// because each layer derives its own.
const DERIVED: &str = "derived:";

/// The caller of a request, as far as it matters for links.
#[derive(Debug, Clone, Copy)]
pub(in crate::db) enum Caller<'e> {
    /// The session that the client names.
    Session(&'e str),
    Digest(&'e CallerDigest),
    Unknown,
}

impl<'e> Caller<'e> {
    pub(in crate::db) fn of(session_id: Option<&'e str>, digest: Option<&'e CallerDigest>) -> Self {
        match (session_id, digest) {
            (Some(id), _) if !id.starts_with(DERIVED) => Self::Session(id),
            (_, Some(digest)) => Self::Digest(digest),
            (_, None) => Self::Unknown,
        }
    }

    /// Returns whether no two users share it, so that sets of keys link as well.
    fn is_one_user(self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Digest(digest) => digest.has_credential,
            Self::Unknown => false,
        }
    }

    /// Returns the keyed hash of a state in a request of this caller, or in its answer;
    /// `None` for a set of keys if the caller may be several users. The last bit of the hash
    /// is 1 for a set of keys, so that a database without the digests can link, too.
    pub(super) fn hash(
        self,
        key: &KeyedHash,
        event: &RequestEvent,
        digest: &StateDigest,
    ) -> Option<StateHash> {
        let kind: &[u8] = match digest.kind {
            StateKind::State => b"state",
            StateKind::Keys if self.is_one_user() => b"keys",
            StateKind::Keys => return None,
        };
        let (caller_kind, caller): (&[u8], &[u8]) = match self {
            Self::Session(id) => (b"session", id.as_bytes()),
            Self::Digest(digest) => (b"caller", &digest.sha256),
            Self::Unknown => (b"", b""),
        };
        let tool = event.tool.as_deref().unwrap_or_default();
        let target = event.target.as_deref().unwrap_or_default();
        let parts: [&[u8]; 8] = [
            b"operation",
            kind,
            caller_kind,
            caller,
            event.method.as_bytes(),
            tool.as_bytes(),
            target.as_bytes(),
            &digest.sha256,
        ];
        let mut hash: StateHash = key.of(&parts);
        let [.., last] = &mut hash;
        *last = *last & !1 | u8::from(digest.kind == StateKind::Keys);
        Some(hash)
    }
}
