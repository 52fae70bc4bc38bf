//! The sessions that a layer knows: named by the server, or derived from the
//! caller.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashlink::{DefaultHashBuilder, LruCache};
use http::Uri;

use crate::store::KeyedHash;
use crate::wire::{Field, Message};

mod caller;
mod derived;
mod peers;
mod revision;

pub(in crate::capture) use caller::Caller;
pub(in crate::capture) use derived::{DerivedSession, begun};
pub(in crate::capture) use peers::{ClientInfo, ServerInfo};
pub(in crate::capture) use revision::{NAME_CHARS, is_modern, protocol_version, revision};

/// The most sessions of each kind that are remembered. The least recently used are
/// evicted.
const REMEMBERED: usize = 10_000;

/// A derived session ends after this time without a request.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// The key of all hashes of this process, so that two layers give a caller one identity.
static PROCESS_KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// A session that a request or response names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) struct NamedSession {
    pub(in crate::capture) id: Arc<str>,
    /// The session is one of the 2024-11-05 transport: named in the query, answered on
    /// the GET stream.
    pub(in crate::capture) by_query: bool,
}

/// The session that a request belongs to.
#[derive(Debug, Clone)]
pub(in crate::capture) enum CallSession {
    None,
    Named(NamedSession),
    Derived(Arc<DerivedSession>),
}

impl CallSession {
    pub(in crate::capture) fn id(&self) -> Option<&Arc<str>> {
        match self {
            Self::None => None,
            Self::Named(session) => Some(&session.id),
            Self::Derived(session) => Some(&session.id),
        }
    }
}

/// What is known of a session that a message names.
pub(in crate::capture) struct Known {
    pub(in crate::capture) id: Arc<str>,
    /// The [`hash`](Sessions::hash) of the id.
    pub(in crate::capture) hash: u64,
    /// The revision that was negotiated for it.
    pub(in crate::capture) protocol_version: Option<Cow<'static, str>>,
    /// The client that began it.
    pub(in crate::capture) client: Option<Arc<ClientInfo>>,
}

impl Known {
    /// Returns whether it negotiated a revision without sessions, although it has one.
    pub(in crate::capture) fn is_modern(&self) -> bool {
        self.protocol_version.as_deref().is_some_and(is_modern)
    }
}

/// The remembered state of a session that the layer saw begin, or found in the
/// file.
#[derive(Debug, Clone)]
struct Named {
    id: Arc<str>,
    hash: u64,
    /// Hash of the path on which it began, if it is known.
    path: Option<u64>,
    protocol_version: Negotiated,
    client: Arc<ClientInfo>,
}

impl Named {
    fn known(&self) -> Known {
        Known {
            id: self.id.clone(),
            hash: self.hash,
            protocol_version: self.protocol_version.clone(),
            client: Some(self.client.clone()),
        }
    }
}

/// The sessions that GET streams announced (2024-11-05).
struct Announced {
    /// Those whose stream is open.
    live: HashMap<Arc<str>, Negotiated>,
    /// Those whose stream has ended. A client may still name them.
    ended: LruCache<Arc<str>, (Arc<str>, Negotiated)>,
}

type Negotiated = Option<Cow<'static, str>>;

/// All sessions of one layer.
pub(in crate::capture) struct Sessions {
    named: Mutex<LruCache<Arc<str>, Named>>,
    announced: Mutex<Announced>,
    derived: Mutex<LruCache<u64, (Arc<DerivedSession>, i64)>>,
    /// The key that several servers share.
    shared_key: Option<KeyedHash>,
    /// Keyed with [`PROCESS_KEY`], so that a hash has no meaning outside the process.
    hasher: RandomState,
    /// Unkeyed, for values where an attacker gains nothing from collisions.
    fast_hasher: DefaultHashBuilder,
}

impl Sessions {
    /// Makes an empty set of sessions. `shared_key` is the configured key for all keyed
    /// hashes.
    pub(in crate::capture) fn new(shared_key: Option<KeyedHash>) -> Self {
        Self {
            shared_key,
            named: Mutex::new(LruCache::new(REMEMBERED)),
            announced: Mutex::new(Announced {
                live: HashMap::new(),
                ended: LruCache::new(REMEMBERED),
            }),
            derived: Mutex::new(LruCache::new(REMEMBERED)),
            hasher: PROCESS_KEY.clone(),
            fast_hasher: DefaultHashBuilder::default(),
        }
    }

    /// Returns a hash that has no meaning outside this process.
    pub(in crate::capture) fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }

    /// Returns a hash of an `Authorization` header. It is the same in all processes
    /// that share a key. Without a shared key, it has no meaning outside this process.
    pub(in crate::capture) fn hash_authorization(&self, value: &[u8]) -> u64 {
        match &self.shared_key {
            Some(key) => key.authorization(value),
            None => self.hash(value),
        }
    }

    /// Returns a hash of a path. It only protects against a 404 of another path, and a
    /// client that knows the session could end it anyway.
    pub(in crate::capture) fn hash_path(&self, uri: &Uri) -> u64 {
        self.fast_hasher.hash_one(uri.path())
    }

    /// Returns what is known of the session with this id, from a header.
    pub(in crate::capture) fn named(&self, id: &str) -> Option<Known> {
        self.lock().get(id).map(|named| named.known())
    }

    /// Remembers a session that is open in the file.
    pub(in crate::capture) fn found(
        &self,
        id: &str,
        protocol_version: Negotiated,
        client: ClientInfo,
    ) -> Known {
        let hash = self.hash(id);
        let id: Arc<str> = id.into();
        let mut named = self.lock();
        let session = named.entry(id.clone()).or_insert_with(|| Named {
            id,
            hash,
            path: None,
            protocol_version,
            client: Arc::new(client),
        });
        session.known()
    }

    /// Returns what is known of the session with this id, which a GET stream announced.
    pub(in crate::capture) fn announced(&self, id: &str) -> Option<Known> {
        let mut announced = self.lock_announced();
        let Announced { live, ended } = &mut *announced;
        let (id, protocol_version) = match live.get_key_value(id) {
            Some(known) => known,
            None => ended.get(id).map(|(id, version)| (id, version))?,
        };
        Some(Known {
            id: id.clone(),
            hash: self.hash(&**id),
            protocol_version: protocol_version.clone(),
            client: None,
        })
    }

    /// Returns whether the GET stream on which a session's answers came has ended
    /// (2024-11-05).
    pub(in crate::capture) fn is_over(&self, session: &NamedSession) -> bool {
        session.by_query && !self.lock_announced().live.contains_key(&session.id)
    }

    /// Adds a session that a GET stream announces.
    pub(in crate::capture) fn announce(&self, id: &str) -> Arc<str> {
        let id: Arc<str> = id.into();
        let mut announced = self.lock_announced();
        announced.ended.remove(&id);
        announced.live.insert(id.clone(), None);
        id
    }

    /// Adds a session that this client initialized.
    pub(in crate::capture) fn opened(
        &self,
        session: &NamedSession,
        path: u64,
        version: Option<Cow<'static, str>>,
        client: ClientInfo,
    ) {
        if session.by_query {
            if let Some(negotiated) = self.lock_announced().live.get_mut(&session.id) {
                *negotiated = version;
            }
            return;
        }
        let id = session.id.clone();
        let known = Named {
            id: id.clone(),
            hash: self.hash(&*id),
            path: Some(path),
            protocol_version: version,
            client: Arc::new(client),
        };
        self.lock().insert(id, known);
    }

    /// Returns whether a session is known that began on this path, or on an unknown
    /// path.
    pub(in crate::capture) fn may_have_begun_on(&self, id: &str, path: u64) -> bool {
        let is_here = |known: &Named| known.path.is_none_or(|known| known == path);
        self.lock().peek(id).is_some_and(is_here)
    }

    /// Forgets a session that is over.
    pub(in crate::capture) fn forget(&self, id: &str) {
        self.lock().remove(id);
        let mut announced = self.lock_announced();
        if let Some((id, negotiated)) = announced.live.remove_entry(id) {
            announced.ended.insert(id.clone(), (id, negotiated));
        }
    }

    fn lock_announced(&self) -> MutexGuard<'_, Announced> {
        self.announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Arc<str>, Named>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the session of a request that names none: the session of the same client
    /// name, version and caller, if it was silent for less than 30 minutes. `None` if
    /// the request does not identify its sender.
    pub(in crate::capture) fn derive(
        &self,
        caller: &Caller,
        message: &Message,
    ) -> Option<Arc<DerivedSession>> {
        let name = message.text(Field::MetaClientName);
        let version = message.text(Field::MetaClientVersion);
        if name.is_none() && caller.is_anonymous() {
            return None;
        }
        let mut key = self.hasher.build_hasher();
        (name, version, &caller.principal).hash(&mut key);
        if caller.principal.is_none() {
            caller.authorization.hash(&mut key);
        }
        let key = key.finish();

        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((session, last_seen)) = derived.get_mut(&key)
            && caller.ts - *last_seen < SILENCE.as_millis() as i64
        {
            *last_seen = caller.ts.max(*last_seen);
            return Some(session.clone());
        }
        let session = Arc::new(DerivedSession::new(caller, message));
        derived.insert(key, (session.clone(), caller.ts));
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_an_authorization_is_shared_between_processes_only_under_a_shared_key() {
        let hash = |key: Option<KeyedHash>| Sessions::new(key).hash_authorization(b"Bearer a");
        let key = || Some(KeyedHash::new(&[7; 32]));
        assert_eq!(hash(key()), hash(key()));
        assert_ne!(hash(key()), hash(Some(KeyedHash::new(&[8; 32]))));
        assert_ne!(hash(key()), hash(None));
    }

    #[test]
    fn layers_of_one_process_hash_an_authorization_equally() {
        let hash = || Sessions::new(None).hash_authorization(b"Bearer a");
        assert_eq!(hash(), hash());
    }
}
