//! A session that the layer derives, and the row of any session.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::caller::Caller;
use super::peers::{ClientInfo, ServerInfo};
use super::revision::protocol_version;
use crate::capture::context::Context;
use crate::event::{CallerDigest, SessionEvent, SessionSource};
use crate::wire::{Field, Message};

/// Returns the row of a session that begins at this server.
pub(in crate::capture) fn begun(
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

/// A session of a client that names no session (2026-07-28).
#[derive(Debug)]
pub(in crate::capture) struct DerivedSession {
    pub(in crate::capture) id: Arc<str>,
    started_at: i64,
    client: ClientInfo,
    pub(in crate::capture) caller: Option<CallerDigest>,
    protocol_version: Option<Cow<'static, str>>,
    /// Whether its row was handed to the store. The lock is held during the hand-over.
    announced: Mutex<bool>,
}

impl DerivedSession {
    /// Makes a session that begins with this request of this caller.
    pub(super) fn new(caller: &Caller, request: &Message) -> Self {
        let client = ClientInfo::of(request);
        let version = request.text(Field::MetaProtocolVersion);
        Self {
            id: format!("derived:{}", Uuid::now_v7()).into(),
            started_at: caller.ts,
            caller: caller.digest(Some(&client)),
            client,
            protocol_version: version.map(protocol_version),
            announced: Mutex::new(false),
        }
    }

    /// Hands the session's row to `record`, unless that was done before.
    ///
    /// This is the one place that holds a lock while it takes the lock of the store: no
    /// request of the session may overtake the row of the session.
    pub(in crate::capture) fn announce(
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
        event.caller = self.caller;
        record(event);
    }

    pub(in crate::capture) fn is_announced(&self) -> bool {
        *self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
