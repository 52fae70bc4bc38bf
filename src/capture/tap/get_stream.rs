//! Requests other than POST: GET streams, on which answers to earlier requests may
//! come, and the ends of sessions.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, request};

use super::message_stream::{EventContent, EventReader, MessageStream};
use crate::capture::exchange::Answer;
use crate::capture::http::{Content, Headers, Media};
use crate::capture::recorder::Recorder;
use crate::capture::request_context;
use crate::capture::session::NamedSession;
use crate::event::{CallerDigest, StoreEvent};
use crate::wire::{EventEnd, EventKind, Scanner};

/// Longest URI of an `endpoint` event that is read, in bytes. Part of an id would
/// name no session.
const ENDPOINT_BYTES: usize = 8 * 1024;

/// An exchange without requests, before its response head: a DELETE ends the
/// session that it names, and a GET may be answered with a stream.
///
/// A 404 to a GET says nothing about the session: frameworks answer so if a server
/// has no route for GET, and clients try one anyway.
pub(in crate::capture) struct GetStreamWatch {
    recorder: Arc<Recorder>,
    session: Option<Arc<str>>,
    caller: Option<CallerDigest>,
    path: u64,
    method: Method,
}

impl GetStreamWatch {
    pub(in crate::capture) fn of(recorder: &Arc<Recorder>, head: &request::Parts) -> Option<Self> {
        let headers = Headers::of(&head.headers);
        let session = recorder.session_in_header(&headers);
        let modern = request_context::is_modern(&headers, session.as_ref());
        let matters = session.is_some() || head.method == Method::GET;
        (matters && !modern).then(|| Self {
            recorder: recorder.clone(),
            caller: request_context::caller(&recorder.sessions, head, &headers).digest(
                session
                    .as_ref()
                    .and_then(|session| session.client.as_deref()),
            ),
            session: session.map(|session| session.id),
            path: recorder.sessions.hash_path(&head.uri),
            method: head.method.clone(),
        })
    }

    /// Handles the response head. Returns the tap for the body, if the body matters.
    pub(in crate::capture) fn answered(
        self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<GetStreamTap> {
        let Self {
            recorder,
            session,
            caller,
            path,
            method,
        } = self;
        if let (Some(session), &Method::DELETE) = (&session, &method) {
            match status {
                status if status.is_success() => recorder.session_closed(session.clone()),
                StatusCode::NOT_FOUND => recorder.session_not_found(session.clone(), path),
                _ => {}
            }
        }
        let headers = Headers::of(headers);
        let is_stream =
            method == Method::GET && status.is_success() && headers.media() == Media::EventStream;
        let content = Content::of(&headers).ok().filter(|_| is_stream)?;
        Some(GetStreamTap {
            recorder,
            content: Some(content),
            session: session.map(|id| NamedSession {
                id,
                by_query: false,
            }),
            caller,
            messages: MessageStream::default(),
            scanner: Scanner::new(),
            endpoint: Vec::new(),
        })
    }
}

/// Reads the body of a GET stream.
pub(in crate::capture) struct GetStreamTap {
    recorder: Arc<Recorder>,
    /// `None` once the rest cannot be read.
    content: Option<Content>,
    session: Option<NamedSession>,
    caller: Option<CallerDigest>,
    messages: MessageStream,
    scanner: Scanner,
    /// The data of the event, while it may name the session.
    endpoint: Vec<u8>,
}

impl GetStreamTap {
    pub(in crate::capture) fn data(&mut self, data: &Bytes) {
        let Some(mut content) = self.content.take() else {
            return;
        };
        let flow = content.read(data, &mut |data| {
            self.read(Some(data));
            ControlFlow::Continue(())
        });
        if let Ok(ControlFlow::Continue(())) = flow {
            self.content = Some(content);
        }
    }

    /// Reads the next chunk; `None` ends the stream.
    fn read(&mut self, chunk: Option<&[u8]>) {
        let Self {
            recorder,
            session,
            caller,
            messages,
            scanner,
            endpoint,
            ..
        } = self;
        let mut reader = Elsewhere {
            recorder,
            session,
            caller: *caller,
            endpoint,
        };
        scanner.keep_content(recorder.cx.config.tool_error_text);
        messages.read(&recorder.cx, scanner, chunk, &mut reader);
    }
}

/// Reports answers on a GET stream to the exchanges that wait for them, and records
/// the server's notifications about tasks.
struct Elsewhere<'a> {
    recorder: &'a Recorder,
    session: &'a mut Option<NamedSession>,
    caller: Option<CallerDigest>,
    endpoint: &'a mut Vec<u8>,
}

impl EventReader for Elsewhere<'_> {
    fn data(&mut self, data: &[u8]) {
        if self.session.is_none() {
            // One more byte shows that the URI is too long.
            let room = (ENDPOINT_BYTES + 1).saturating_sub(self.endpoint.len());
            let data = &data[..room.min(data.len())];
            self.endpoint.extend_from_slice(data);
        }
    }

    fn wants_listing(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| self.recorder.awaits_listing(&session.id))
    }

    fn wants_server(&self) -> bool {
        true
    }

    fn wants(&self, _: &Answer) -> bool {
        true
    }

    fn event(&mut self, event: &EventEnd, content: EventContent<'_>) {
        let Self {
            recorder,
            session,
            caller,
            endpoint,
        } = self;
        let EventContent {
            answers,
            mut document,
            changed,
            tasks,
        } = content;
        match (&session, event.kind) {
            (Some(session), EventKind::Message) => {
                for mut answer in answers {
                    let document = document.as_deref_mut();
                    recorder.answered_elsewhere(&session.id, &mut answer, document, event);
                }
            }
            (None, EventKind::Endpoint) if endpoint.len() <= ENDPOINT_BYTES => {
                let uri = String::from_utf8_lossy(endpoint);
                let id = request_context::session_of_endpoint(&uri);
                **session = id.map(|id| NamedSession {
                    id: recorder
                        .sessions
                        .announce(&request_context::kept(&recorder.cx, id)),
                    by_query: true,
                });
            }
            _ => {}
        }
        if event.kind == EventKind::Message {
            recorder.listings_changed(changed);
            let session_id = session.as_ref().map(|session| &session.id);
            for notice in tasks {
                let event = notice.event(&recorder.cx, session_id.cloned(), *caller);
                recorder.store.record(StoreEvent::TaskStatus(event));
            }
        }
        endpoint.clear();
    }
}

impl Drop for GetStreamTap {
    /// Ends a 2024-11-05 session, because its GET stream ends.
    fn drop(&mut self) {
        self.read(None);
        if let Some(NamedSession { id, by_query: true }) = self.session.take() {
            self.recorder.session_closed(id);
        }
    }
}
