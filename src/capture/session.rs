//! The sessions that a layer knows: named by the server, or derived from who calls.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hashlink::LruCache;
use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use uuid::Uuid;

use super::call::ServerInfo;
use super::exchange::RequestHead;
use super::headers;
use super::recorder::Recorder;
use crate::clock;
use crate::event::{SessionEvent, SessionSource, StoreEvent};
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

/// Longest session id, client name and version that is kept, in characters.
pub(super) const NAME_CHARS: usize = 256;

/// A revision's name, borrowed where it is known.
pub(super) fn protocol_version(name: &str) -> Cow<'static, str> {
    match PROTOCOL_VERSIONS.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(headers::bounded(name, NAME_CHARS).0.to_owned()),
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
}

/// A session of a client that names none (2026-07-28).
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) id: Arc<str>,
    started_at: i64,
    client: ClientInfo,
    protocol_version: Option<Cow<'static, str>>,
    /// Whether its row was handed to the store. Held while it is handed over,
    /// so that no request of the session can come before it.
    announced: Mutex<bool>,
}

impl Derived {
    /// Hands the session's row to the store unless that was done.
    pub(super) fn announce(&self, recorder: &Recorder, server: Option<&ServerInfo>) {
        let mut announced = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *announced, true) {
            return;
        }
        let mut event = recorder.session(self.id.clone(), self.started_at, SessionSource::Derived);
        event.client_name = self.client.name.clone();
        event.client_version = self.client.version.clone();
        event.protocol_version = self.protocol_version.clone();
        if let Some(server) = server {
            event.server_name = server.name.clone();
            event.server_version = server.version.clone();
        }
        recorder.store.record(StoreEvent::Session(event));
    }

    pub(super) fn is_announced(&self) -> bool {
        *self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the layer remembers of a session that it saw begin.
#[derive(Debug, Clone)]
struct Named {
    id: Arc<str>,
    path: u64,
    protocol_version: Option<Cow<'static, str>>,
}

/// All sessions of one layer.
pub(super) struct Sessions {
    named: Mutex<LruCache<Arc<str>, Named>>,
    derived: Mutex<LruCache<u64, (Arc<Derived>, i64)>>,
    /// Keyed at random for each process, so that a hash tells nothing outside it.
    hasher: RandomState,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            named: Mutex::new(LruCache::new(REMEMBERED)),
            derived: Mutex::new(LruCache::new(REMEMBERED)),
            hasher: RandomState::new(),
        }
    }

    /// A hash that is only good in this process.
    pub(super) fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }

    /// The id as it is kept, and the revision that was negotiated for it.
    pub(super) fn named(&self, id: &str) -> (Arc<str>, Option<Cow<'static, str>>) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        match named.get(id) {
            Some(known) => (known.id.clone(), known.protocol_version.clone()),
            None => (id.into(), None),
        }
    }

    pub(super) fn opened(&self, id: Arc<str>, path: u64, version: Option<Cow<'static, str>>) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.insert(
            id.clone(),
            Named {
                id,
                path,
                protocol_version: version,
            },
        );
    }

    /// Forgets a session; whether it began on this path.
    pub(super) fn lost(&self, id: &str, path: u64) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let known = named.peek(id).is_some_and(|known| known.path == path);
        if known {
            named.remove(id);
        }
        known
    }

    pub(super) fn closed(&self, id: &str) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.remove(id);
    }

    /// The session of a request that names none: the same client name, version
    /// and caller, with less than 30 minutes of silence. `None` where the
    /// request says nothing of who sends it.
    pub(super) fn derive(&self, head: &RequestHead, message: &Message) -> Option<Arc<Derived>> {
        let name = message.text(Field::MetaClientName);
        let version = message.text(Field::MetaClientVersion);
        if name.is_none() && head.principal.is_none() && head.authorization.is_none() {
            return None;
        }
        let mut key = self.hasher.build_hasher();
        (name, version, &head.principal).hash(&mut key);
        if head.principal.is_none() {
            head.authorization.hash(&mut key);
        }
        let key = key.finish();

        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((session, last_seen)) = derived.get_mut(&key)
            && head.ts - *last_seen < SILENCE.as_millis() as i64
        {
            *last_seen = head.ts.max(*last_seen);
            return Some(session.clone());
        }
        let session = Arc::new(Derived {
            id: format!("derived:{}", Uuid::now_v7()).into(),
            started_at: head.ts,
            client: ClientInfo {
                name: name.map(Into::into),
                version: version.map(Into::into),
            },
            protocol_version: message
                .text(Field::MetaProtocolVersion)
                .map(protocol_version),
            announced: Mutex::new(false),
        });
        derived.insert(key, (session.clone(), head.ts));
        Some(session)
    }
}

/// Watches an exchange that holds no JSON-RPC requests for the end of a session:
/// a DELETE that is answered 2xx, or a 404 to whatever names one.
pub(super) struct SessionWatch {
    recorder: Arc<Recorder>,
    session: Arc<str>,
    path: u64,
    delete: bool,
}

impl SessionWatch {
    pub(super) fn of(recorder: &Arc<Recorder>, head: &http::request::Parts) -> Option<Self> {
        let session = RequestHead::session_id(recorder, &head.headers)?;
        let modern = head
            .headers
            .get(headers::PROTOCOL_VERSION)
            .is_some_and(|version| is_modern(&headers::text(version)));
        (!modern).then(|| Self {
            recorder: recorder.clone(),
            session: session.0,
            path: recorder.sessions.hash(head.uri.path()),
            delete: head.method == Method::DELETE,
        })
    }

    pub(super) fn answered(self, status: StatusCode) {
        let Self {
            recorder,
            session,
            path,
            delete,
        } = self;
        if delete && status.is_success() {
            recorder.sessions.closed(&session);
            recorder.close_session(session);
        } else if status == StatusCode::NOT_FOUND && recorder.sessions.lost(&session, path) {
            recorder.close_session(session);
        }
    }
}

/// The Authorization header as an identity: never the header, only a keyed hash.
pub(super) fn authorization(sessions: &Sessions, headers: &http::HeaderMap) -> Option<u64> {
    headers
        .get(AUTHORIZATION)
        .map(|value| sessions.hash(value.as_bytes()))
}

impl Recorder {
    /// The row of a session that begins at this recording point.
    pub(super) fn session(
        &self,
        id: Arc<str>,
        started_at: i64,
        source: SessionSource,
    ) -> SessionEvent {
        let mut event = SessionEvent::new(id);
        event.proxy = self.config.proxy.clone();
        event.started_at = started_at;
        event.source = source;
        event
    }

    fn close_session(&self, session_id: Arc<str>) {
        self.store.record(StoreEvent::SessionClosed {
            session_id,
            ended_at: clock::unix_ms(),
        });
    }

    /// A request that named this session was answered 404.
    pub(super) fn session_not_found(&self, session: &Arc<str>, path: u64) {
        if self.sessions.lost(session, path) {
            self.close_session(session.clone());
        }
    }
}
