//! The relevant parts of a request head, read once, and what is known of its
//! session.

use std::borrow::Cow;
use std::sync::Arc;

use http::{Uri, request};

use super::context::Context;
use super::http::{Headers, MirrorHeaders, Principal, bounded, header_text, owned_bytes};
use super::session::{
    self, CallSession, Caller, ClientInfo, Known, NAME_CHARS, NamedSession, Sessions,
};
use crate::clock;
use crate::event::{CallerDigest, Traceparent, bounded_id};

/// The relevant parts of a request head.
pub(super) struct RequestContext {
    pub(super) caller: Caller,
    pub(super) session: Option<NamedSession>,
    /// The [`hash`](Sessions::hash) of the session's id.
    pub(super) session_hash: Option<u64>,
    /// The client that began the session, if it is known.
    client: Option<Arc<ClientInfo>>,
    pub(super) era: Era,
    /// From the header, else what the session negotiated.
    pub(super) protocol_version: Option<Cow<'static, str>>,
    pub(super) traceparent: Option<Traceparent>,
    /// Hash that distinguishes paths; see
    /// [`Sessions::hash_path`](super::session::Sessions::hash_path).
    pub(super) path: u64,
    pub(super) mirror: MirrorHeaders,
    /// Whether the body may be JSON, by the headers and the session.
    pub(super) may_be_json: bool,
}

/// Whether a head says that its requests are of a revision without sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// The head says nothing; each request may say so.
    Unsaid,
    Modern,
    /// The requests belong to the session that the head names. If that session
    /// negotiated a revision without sessions, the server created a session
    /// nevertheless.
    Session,
}

impl Era {
    fn of(version: Option<&str>, session: Option<&Known>) -> Self {
        if session.is_some_and(Known::is_modern) {
            Self::Session
        } else if version.is_some_and(session::is_modern) {
            Self::Modern
        } else {
            Self::Unsaid
        }
    }

    /// Returns whether a request is of a revision without sessions. The header is not
    /// evaluated for an `initialize`.
    pub(super) fn is_modern(self, body_says_so: bool, initialize: bool) -> bool {
        match self {
            Self::Session => false,
            Self::Modern => body_says_so || !initialize,
            Self::Unsaid => body_says_so,
        }
    }
}

impl RequestContext {
    /// Reads a head whose header names the session `by_header`.
    pub(super) fn of(
        cx: &Context,
        sessions: &Sessions,
        head: &request::Parts,
        headers: &Headers<'_>,
        by_header: Option<Known>,
    ) -> Self {
        let by_query = by_header.is_none();
        let known = by_header.or_else(|| session_in_query(cx, sessions, &head.uri));
        let version = version_in_header(cx, headers);
        let era = Era::of(version.as_deref(), known.as_ref());
        let session_hash = known.as_ref().map(|known| known.hash);
        let (session, negotiated, client) = match known {
            Some(Known {
                id,
                hash: _,
                protocol_version,
                client,
            }) => (
                Some(NamedSession { id, by_query }),
                protocol_version,
                client,
            ),
            None => (None, None, None),
        };
        let may_be_json = headers.may_be_json() || headers.speak_of_mcp() || session.is_some();
        Self {
            caller: caller(sessions, head, headers),
            session,
            session_hash,
            client,
            era,
            protocol_version: version.or(negotiated),
            traceparent: headers
                .traceparent
                .and_then(|value| Traceparent::parse(value.as_bytes())),
            path: sessions.hash_path(&head.uri),
            mirror: MirrorHeaders::of(headers),
            may_be_json,
        }
    }

    /// Returns whether the headers name a revision without sessions.
    pub(super) fn is_modern(&self) -> bool {
        self.era == Era::Modern
    }

    /// Returns the digest of the caller of a request in this session.
    pub(super) fn caller_in(&self, session: &CallSession) -> Option<CallerDigest> {
        match session {
            CallSession::Derived(session) => session.caller,
            CallSession::Named(_) => self.caller.digest(self.client.as_deref()),
            CallSession::None => self.caller.digest(None),
        }
    }

    /// Returns the bytes that it holds on the heap.
    pub(super) fn heap(&self) -> usize {
        let client = self.client.as_ref().map_or(0, |client| client.bytes());
        let session = self.session.as_ref().map_or(0, |session| session.id.len());
        let version = owned_bytes(self.protocol_version.as_ref());
        session + client + version + self.mirror.heap()
    }
}

/// Returns the caller of a request with this head, at the current time.
pub(super) fn caller(sessions: &Sessions, head: &request::Parts, headers: &Headers<'_>) -> Caller {
    Caller {
        ts: clock::unix_ms(),
        principal: head.extensions.get::<Principal>().map(Principal::name),
        authorization: headers
            .authorization
            .map(|value| sessions.hash_authorization(value.as_bytes())),
    }
}

/// Returns the session id in `Mcp-Session-Id`, as it is stored. An empty header
/// names no session.
pub(super) fn session_id<'a>(cx: &Context, headers: &Headers<'a>) -> Option<Cow<'a, str>> {
    let value = headers.session_id?;
    let value = (!value.as_bytes().trim_ascii().is_empty()).then_some(value)?;
    Some(match header_text(value) {
        Cow::Borrowed(id) => kept(cx, id),
        Cow::Owned(id) => kept(cx, &id).into_owned().into(),
    })
}

/// Returns the session that a GET stream announced for this URI (2024-11-05).
fn session_in_query(cx: &Context, sessions: &Sessions, uri: &Uri) -> Option<Known> {
    let id = session_of_endpoint(uri.query()?)?;
    let kept = bounded_id(id);
    let known = sessions.announced(&kept)?;
    cx.count_truncated(matches!(kept, Cow::Owned(_)).into());
    Some(known)
}

/// Returns a session id as it is stored.
pub(super) fn kept<'a>(cx: &Context, id: &'a str) -> Cow<'a, str> {
    let kept = bounded_id(id);
    cx.count_truncated(matches!(kept, Cow::Owned(_)).into());
    kept
}

/// Returns the revision of `MCP-Protocol-Version`.
fn version_in_header(cx: &Context, headers: &Headers<'_>) -> Option<Cow<'static, str>> {
    let text = header_text(headers.protocol_version?);
    let (version, cut) = bounded(&text, NAME_CHARS);
    cx.count_truncated(cut.into());
    Some(session::protocol_version(version))
}

/// Returns whether the head of a GET or DELETE names a revision without sessions.
pub(super) fn is_modern(headers: &Headers<'_>, session: Option<&Known>) -> bool {
    let version = headers.protocol_version.map(header_text);
    Era::of(version.as_deref(), session) == Era::Modern
}

/// Returns the session in an `endpoint` event's URI, or in a query.
pub(super) fn session_of_endpoint(uri: &str) -> Option<&str> {
    let query = uri.rsplit_once('?').map_or(uri, |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, value)| names_session(name) && !value.is_empty())
        .map(|(_, value)| value)
}

/// `sessionId` (TypeScript), `session_id` (Python), `sessionid` (Go).
fn names_session(name: &str) -> bool {
    name.replace('_', "").eq_ignore_ascii_case("sessionid")
}

#[cfg(test)]
mod tests {
    use super::session_of_endpoint;

    #[test]
    fn session_of_an_endpoint_is_in_its_query() {
        let cases = [
            ("/messages?sessionId=a-1", Some("a-1")),
            ("http://host/m/?x=1&session_id=b#f", Some("b")),
            ("sessionId=c", Some("c")),
            ("/?sessionid=d", Some("d")),
            ("/messages?sessionId=", None),
            ("/messages?id=1", None),
            ("/messages", None),
        ];
        for (uri, session) in cases {
            assert_eq!(session_of_endpoint(uri), session, "{uri}");
        }
    }
}
