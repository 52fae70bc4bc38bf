//! What the head of a request says, read once.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::HeaderValue;
use http::{Uri, request};

use super::headers::{self, Headers, Media, Principal};
use super::recorder::Recorder;
use super::session::{self, NAME_CHARS};
use crate::clock;
use crate::event::TraceId;
use crate::wire::{Field, Message, method};

/// A session that a request or response names.
#[derive(Debug, Clone)]
pub(super) struct NamedSession {
    pub(super) id: Arc<str>,
    /// Of the 2024-11-05 transport: named in the query, answered on the GET stream.
    pub(super) by_query: bool,
}

/// The head of a request, as far as it matters.
pub(super) struct RequestHead {
    /// When it was received, in unix milliseconds.
    pub(super) ts: i64,
    pub(super) session: Option<NamedSession>,
    /// From the header, else what the session negotiated.
    pub(super) protocol_version: Option<Cow<'static, str>>,
    pub(super) principal: Option<Arc<str>>,
    /// Tells callers apart; see [`Sessions::hash`](super::session::Sessions::hash).
    pub(super) authorization: Option<u64>,
    pub(super) trace_id: Option<TraceId>,
    /// Tells paths apart; see [`Sessions::hash_path`](super::session::Sessions::hash_path).
    pub(super) path: u64,
    /// `Mcp-Method` and `Mcp-Name`, which mirror the body (2026-07-28).
    pub(super) mirrored_method: Option<HeaderValue>,
    pub(super) mirrored_name: Option<HeaderValue>,
    /// Whether the body may be JSON, going by its media type.
    pub(super) may_be_json: bool,
}

impl RequestHead {
    pub(super) fn of(recorder: &Recorder, head: &request::Parts, headers: &Headers<'_>) -> Self {
        let sessions = &recorder.sessions;
        let by_header = session_in_header(recorder, headers);
        let (session, negotiated) =
            match by_header.or_else(|| session_in_query(recorder, &head.uri)) {
                Some((session, negotiated)) => (Some(session), negotiated),
                None => (None, None),
            };
        let version = headers
            .protocol_version
            .map(|version| session::protocol_version(&headers::text(version)));
        Self {
            ts: clock::unix_ms(),
            session,
            protocol_version: version.or(negotiated),
            principal: head.extensions.get::<Principal>().map(Principal::name),
            authorization: headers
                .authorization
                .map(|value| sessions.hash(value.as_bytes())),
            trace_id: headers
                .traceparent
                .and_then(|value| TraceId::from_traceparent(value.as_bytes())),
            path: sessions.hash_path(&head.uri),
            mirrored_method: headers.method.cloned(),
            mirrored_name: headers.name.cloned(),
            may_be_json: matches!(headers.media(), Media::Json | Media::Unnamed),
        }
    }

    /// Whether the headers speak of a revision without sessions.
    pub(super) fn is_modern(&self) -> bool {
        self.protocol_version
            .as_deref()
            .is_some_and(session::is_modern)
    }

    /// Whether a mirror header says something else than the request it came
    /// with. One that is not there says nothing; nor does what was cut.
    pub(super) fn contradicts(&self, request: &Message) -> bool {
        let differs = |header: &str, field| {
            !request.was_cut(field) && request.text(field).is_none_or(|text| text != header)
        };
        let method = self.mirrored_method.as_ref().map(headers::text);
        if method.is_some_and(|method| differs(&method, Field::Method)) {
            return true;
        }
        let Some(name) = self.mirrored_name.as_ref().map(headers::decoded) else {
            return false;
        };
        let (method, aim) = method::of(request);
        let is_mirrored = method::mirrored(&method).is_some();
        is_mirrored && aim.is_none_or(|(_, field)| differs(&name, field))
    }
}

type Negotiated = Option<Cow<'static, str>>;

/// The session of `Mcp-Session-Id`, and the revision negotiated for it.
pub(super) fn session_in_header(
    recorder: &Recorder,
    headers: &Headers<'_>,
) -> Option<(NamedSession, Negotiated)> {
    let text = headers::text(headers.session_id?);
    let (id, cut) = headers::bounded(&text, NAME_CHARS);
    recorder.count_truncated(cut.into());
    let (id, negotiated) = recorder.sessions.named(id);
    Some((
        NamedSession {
            id,
            by_query: false,
        },
        negotiated,
    ))
}

/// The session that a GET stream announced for this URI (2024-11-05).
fn session_in_query(recorder: &Recorder, uri: &Uri) -> Option<(NamedSession, Negotiated)> {
    let id = session_of_endpoint(uri.query()?)?;
    let (id, negotiated) = recorder.sessions.announced(id)?;
    Some((NamedSession { id, by_query: true }, negotiated))
}

/// The session part of an `endpoint` event's URI, or of a query.
pub(super) fn session_of_endpoint(uri: &str) -> Option<&str> {
    let query = uri.rsplit_once('?').map_or(uri, |(_, query)| query);
    let query = query.split('#').next().unwrap_or_default();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .find(|(name, value)| names_session(name) && !value.is_empty())
        .map(|(_, value)| headers::bounded(value, NAME_CHARS).0)
}

/// `sessionId` (TypeScript), `session_id` (Python), `sessionid` (Go).
fn names_session(name: &str) -> bool {
    name.replace('_', "").eq_ignore_ascii_case("sessionid")
}

#[cfg(test)]
mod tests {
    use super::session_of_endpoint;

    #[test]
    fn the_session_of_an_endpoint_is_in_its_query() {
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
