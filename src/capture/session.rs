//! The sessions that a layer knows: named by the server, or derived from who calls.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashlink::{DefaultHashBuilder, LruCache};
use http::Uri;
use uuid::Uuid;

use super::context::Context;
use super::headers::{self, owned_bytes};
use crate::event::{SessionEvent, SessionSource};
use crate::wire::{Field, Message};

/// The revisions that are spoken, so that their names cost no allocation.
const PROTOCOL_VERSIONS: [&str; 5] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// The first revision without sessions.
const FIRST_MODERN: &str = "2026-07-28";

/// How many sessions of each kind are remembered; the ones not heard of for
/// longest are forgotten first.
const REMEMBERED: usize = 10_000;

/// The silence that ends a derived session.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// Longest name of a revision that is kept, in characters.
pub(super) const NAME_CHARS: usize = 256;

/// A revision's name, borrowed where it is known.
pub(super) fn protocol_version(name: &str) -> Cow<'static, str> {
    match PROTOCOL_VERSIONS.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(headers::bounded(name, NAME_CHARS).0.to_owned()),
    }
}

/// A revision as callers are classed by it: what a client may make up is one class.
pub(super) fn revision(version: Option<&str>) -> &'static str {
    match version {
        None => "",
        Some(name) => PROTOCOL_VERSIONS
            .into_iter()
            .find(|known| *known == name)
            .unwrap_or("other"),
    }
}

/// Whether a revision is stateless. Revisions are dates, so they sort.
pub(super) fn is_modern(version: &str) -> bool {
    version.len() == FIRST_MODERN.len() && version >= FIRST_MODERN
}

/// Who a client says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientInfo {
    pub(super) name: Option<Box<str>>,
    pub(super) version: Option<Box<str>>,
    /// How many of these were cut.
    pub(super) cut: usize,
}

impl ClientInfo {
    pub(super) fn of(message: &Message) -> Self {
        let mut cut = 0;
        let name = [Field::ClientName, Field::MetaClientName];
        let version = [Field::ClientVersion, Field::MetaClientVersion];
        Self {
            name: first_text(message, name, &mut cut),
            version: first_text(message, version, &mut cut),
            cut,
        }
    }

    /// The bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.name, &self.version].into_iter().flatten();
        size_of::<Self>() + texts.map(|text| text.len()).sum::<usize>()
    }
}

/// What a result says of the server, for the session that it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerInfo {
    pub(super) name: Option<Box<str>>,
    pub(super) version: Option<Box<str>>,
    pub(super) protocol_version: Option<Cow<'static, str>>,
    /// How many of these were cut.
    pub(super) cut: usize,
}

impl ServerInfo {
    pub(super) fn of(message: &Message) -> Self {
        let revision = Field::ResultProtocolVersion;
        let mut cut = usize::from(message.was_cut(revision));
        let name = [Field::ServerName, Field::MetaServerName];
        let version = [Field::ServerVersion, Field::MetaServerVersion];
        Self {
            name: first_text(message, name, &mut cut),
            version: first_text(message, version, &mut cut),
            protocol_version: message.text(revision).map(protocol_version),
            cut,
        }
    }

    /// The bytes of memory that it takes.
    pub(super) fn size(&self) -> usize {
        let texts = [&self.name, &self.version].into_iter().flatten();
        let texts = texts.map(|text| text.len()).sum::<usize>();
        size_of::<Self>() + texts + owned_bytes(self.protocol_version.as_ref())
    }
}

/// Returns the first of these fields that is there, and adds to `cut` if it was cut.
fn first_text<const N: usize>(
    message: &Message,
    fields: [Field; N],
    cut: &mut usize,
) -> Option<Box<str>> {
    let (field, text) = fields
        .into_iter()
        .find_map(|field| Some((field, message.text(field)?)))?;
    *cut += usize::from(message.was_cut(field));
    Some(text.into())
}

/// A session that a request or response names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedSession {
    pub(super) id: Arc<str>,
    /// Of the 2024-11-05 transport: named in the query, answered on the GET stream.
    pub(super) by_query: bool,
}

/// The session that a request belongs to.
#[derive(Debug, Clone)]
pub(super) enum CallSession {
    None,
    Named(NamedSession),
    Derived(Arc<Derived>),
}

impl CallSession {
    pub(super) fn id(&self) -> Option<&Arc<str>> {
        match self {
            Self::None => None,
            Self::Named(session) => Some(&session.id),
            Self::Derived(session) => Some(&session.id),
        }
    }
}

/// Who sends a request, and when: what derived sessions are told apart by.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// When the request was received, in unix milliseconds.
    pub(super) ts: i64,
    pub(super) principal: Option<Arc<str>>,
    /// A hash of the header; see [`Sessions::hash`].
    pub(super) authorization: Option<u64>,
}

impl Caller {
    /// Returns whether nothing tells this caller from others.
    pub(super) fn is_anonymous(&self) -> bool {
        self.principal.is_none() && self.authorization.is_none()
    }
}

/// Returns the row of a session that begins at this recording point.
pub(super) fn begun(
    cx: &Context,
    id: Arc<str>,
    started_at: i64,
    source: SessionSource,
    client: ClientInfo,
    server: Option<&ServerInfo>,
) -> SessionEvent {
    let mut event = SessionEvent::new(id);
    event.proxy = cx.config.proxy.clone();
    event.started_at = started_at;
    event.source = source;
    cx.count_truncated(client.cut);
    event.client_name = client.name;
    event.client_version = client.version;
    if let Some(server) = server {
        cx.count_truncated(server.cut);
        event.server_name = server.name.clone();
        event.server_version = server.version.clone();
    }
    event
}

/// A session of a client that names none (2026-07-28).
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) id: Arc<str>,
    started_at: i64,
    client: ClientInfo,
    protocol_version: Option<Cow<'static, str>>,
    /// Whether its row was handed to the store. Locked while it is handed over.
    announced: Mutex<bool>,
}

impl Derived {
    /// Hands the session's row to `record`, unless that was done.
    ///
    /// The one place where a lock is held while the store's is taken: no request of
    /// the session may overtake its row.
    pub(super) fn announce(
        &self,
        cx: &Context,
        server: Option<&ServerInfo>,
        record: impl FnOnce(SessionEvent),
    ) {
        let mut announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *announced, true) {
            return;
        }
        let (id, client) = (self.id.clone(), self.client.clone());
        let mut event = begun(
            cx,
            id,
            self.started_at,
            SessionSource::Derived,
            client,
            server,
        );
        event.protocol_version = self.protocol_version.clone();
        record(event);
    }

    pub(super) fn is_announced(&self) -> bool {
        *self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a session that a message names.
pub(super) struct Known {
    pub(super) id: Arc<str>,
    /// The revision that was negotiated for it.
    pub(super) protocol_version: Option<Cow<'static, str>>,
}

impl Known {
    /// Whether it negotiated a revision without sessions, and has one all the same.
    pub(super) fn is_modern(&self) -> bool {
        self.protocol_version.as_deref().is_some_and(is_modern)
    }
}

/// What the layer remembers of a session that it saw begin, or found in the file.
#[derive(Debug, Clone)]
struct Named {
    id: Arc<str>,
    /// Hash of the path on which it began, where that is known.
    path: Option<u64>,
    protocol_version: Negotiated,
}

impl Named {
    fn known(&self) -> Known {
        Known {
            id: self.id.clone(),
            protocol_version: self.protocol_version.clone(),
        }
    }
}

/// The sessions that GET streams have announced (2024-11-05).
struct Announced {
    /// Each for as long as its stream lives.
    live: HashMap<Arc<str>, Negotiated>,
    /// A client may still name one whose stream has ended.
    ended: LruCache<Arc<str>, (Arc<str>, Negotiated)>,
}

type Negotiated = Option<Cow<'static, str>>;

/// All sessions of one layer.
pub(super) struct Sessions {
    named: Mutex<LruCache<Arc<str>, Named>>,
    announced: Mutex<Announced>,
    derived: Mutex<LruCache<u64, (Arc<Derived>, i64)>>,
    /// Keyed at random for each process, so that a hash tells nothing outside it.
    hasher: RandomState,
    /// For what nobody gains by a collision of.
    fast_hasher: DefaultHashBuilder,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            named: Mutex::new(LruCache::new(REMEMBERED)),
            announced: Mutex::new(Announced {
                live: HashMap::new(),
                ended: LruCache::new(REMEMBERED),
            }),
            derived: Mutex::new(LruCache::new(REMEMBERED)),
            hasher: RandomState::new(),
            fast_hasher: DefaultHashBuilder::default(),
        }
    }

    /// A hash that is only good in this process.
    pub(super) fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }

    /// Likewise, of a path. It only guards against a 404 that is none of the
    /// session's, and whoever names the session could end it anyway.
    pub(super) fn hash_path(&self, uri: &Uri) -> u64 {
        self.fast_hasher.hash_one(uri.path())
    }

    /// Returns what is known of the session with this id, which a header names.
    pub(super) fn named(&self, id: &str) -> Option<Known> {
        self.lock().get(id).map(|named| named.known())
    }

    /// Remembers a session that is open in the file.
    pub(super) fn found(&self, id: &str, protocol_version: Negotiated) -> Known {
        let id: Arc<str> = id.into();
        let mut named = self.lock();
        let session = named.entry(id.clone()).or_insert_with(|| Named {
            id,
            path: None,
            protocol_version,
        });
        session.known()
    }

    /// The same, only for a session that a GET stream has announced.
    pub(super) fn announced(&self, id: &str) -> Option<Known> {
        let mut announced = self.lock_announced();
        let Announced { live, ended } = &mut *announced;
        let (id, protocol_version) = match live.get_key_value(id) {
            Some(known) => known,
            None => ended.get(id).map(|(id, version)| (id, version))?,
        };
        Some(Known {
            id: id.clone(),
            protocol_version: protocol_version.clone(),
        })
    }

    /// Returns whether the GET stream of a session has ended, on which its answers
    /// came (2024-11-05).
    pub(super) fn is_over(&self, session: &NamedSession) -> bool {
        session.by_query && !self.lock_announced().live.contains_key(&session.id)
    }

    /// A GET stream announces a session.
    pub(super) fn announce(&self, id: &str) -> Arc<str> {
        let id: Arc<str> = id.into();
        let mut announced = self.lock_announced();
        announced.ended.remove(&id);
        announced.live.insert(id.clone(), None);
        id
    }

    /// A session was initialized.
    pub(super) fn opened(
        &self,
        session: &NamedSession,
        path: u64,
        version: Option<Cow<'static, str>>,
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
            path: Some(path),
            protocol_version: version,
        };
        self.lock().insert(id, known);
    }

    /// Returns whether a session is known that began on this path, or of whose path
    /// nothing is known.
    pub(super) fn may_have_begun_on(&self, id: &str, path: u64) -> bool {
        let is_here = |known: &Named| known.path.is_none_or(|known| known == path);
        self.lock().peek(id).is_some_and(is_here)
    }

    /// The session is over.
    pub(super) fn forget(&self, id: &str) {
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

    /// The session of a request that names none: the same client name, version
    /// and caller, with less than 30 minutes of silence. `None` where the
    /// request says nothing of who sends it.
    pub(super) fn derive(&self, caller: &Caller, message: &Message) -> Option<Arc<Derived>> {
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
        let session = Arc::new(Derived {
            id: format!("derived:{}", Uuid::now_v7()).into(),
            started_at: caller.ts,
            client: ClientInfo::of(message),
            protocol_version: message
                .text(Field::MetaProtocolVersion)
                .map(protocol_version),
            announced: Mutex::new(false),
        });
        derived.insert(key, (session.clone(), caller.ts));
        Some(session)
    }
}
