//! What is no POST: GET streams, on which answers to earlier requests may
//! come, and the ends of sessions.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, StatusCode, request, response};

use super::call::Answer;
use super::content::Content;
use super::head::{self, NamedSession};
use super::headers::{Headers, Media};
use super::held::HeldAnswers;
use super::listing::{Document, Stale};
use super::recorder::Recorder;
use crate::wire::{EventKind, Scanner, SseDecoder, SseItem};

/// Longest URI of an `endpoint` event that is looked at, in bytes. A part of an id
/// names no session.
const ENDPOINT_BYTES: usize = 8 * 1024;

/// An exchange without requests, before its response head: a DELETE ends the
/// session that it names, and a GET may be answered with a stream.
///
/// A 404 to a GET says nothing of the session: frameworks answer so where a
/// server has no route for GET, and clients try one all the same.
pub(super) struct StreamWatch {
    recorder: Arc<Recorder>,
    session: Option<Arc<str>>,
    path: u64,
    method: Method,
}

impl StreamWatch {
    pub(super) fn of(recorder: &Arc<Recorder>, head: &request::Parts) -> Option<Self> {
        let headers = Headers::of(&head.headers);
        let session = head::session_in_header(recorder, &headers);
        let modern = head::is_modern(&headers, session.as_ref());
        let matters = session.is_some() || head.method == Method::GET;
        (matters && !modern).then(|| Self {
            recorder: recorder.clone(),
            session: session.map(|session| session.id),
            path: recorder.sessions.hash_path(&head.uri),
            method: head.method.clone(),
        })
    }

    /// The response head came; what its body is to be watched for.
    pub(super) fn answered(self, head: &response::Parts) -> Option<StreamTap> {
        let Self {
            recorder,
            session,
            path,
            method,
        } = self;
        if let (Some(session), &Method::DELETE) = (&session, &method) {
            match head.status {
                status if status.is_success() => recorder.session_closed(session.clone()),
                StatusCode::NOT_FOUND => recorder.session_not_found(session, path),
                _ => {}
            }
        }
        let headers = Headers::of(&head.headers);
        let is_stream = method == Method::GET
            && head.status.is_success()
            && headers.media() == Media::EventStream;
        let content = Content::of(&headers).ok().filter(|_| is_stream)?;
        Some(StreamTap {
            recorder,
            content: Some(content),
            session: session.map(|id| NamedSession {
                id,
                by_query: false,
            }),
            decoder: SseDecoder::default(),
            scanner: Scanner::new(),
            event: EventUnderWay::default(),
        })
    }
}

/// Reads the body of a GET stream.
pub(super) struct StreamTap {
    recorder: Arc<Recorder>,
    /// None once it can be read no further.
    content: Option<Content>,
    session: Option<NamedSession>,
    decoder: SseDecoder,
    scanner: Scanner,
    event: EventUnderWay,
}

/// What the current event held so far; its type may come last.
#[derive(Default)]
struct EventUnderWay {
    answers: HeldAnswers,
    /// What it says has changed.
    stale: Stale,
    /// Its data, where it may be a listing.
    document: Option<Document>,
    /// The data, while an `endpoint` event may still name the session.
    endpoint: Vec<u8>,
}

impl StreamTap {
    pub(super) fn data(&mut self, data: &Bytes) {
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

    /// Reads on; no chunk is the end.
    fn read(&mut self, chunk: Option<&[u8]>) {
        let Self {
            recorder,
            session,
            decoder,
            scanner,
            event,
            ..
        } = self;
        let mut on_item = |item: SseItem<'_>| match item {
            SseItem::Data(data) => {
                if session.is_none() {
                    // One byte more tells that there are too many.
                    let room = (ENDPOINT_BYTES + 1).saturating_sub(event.endpoint.len());
                    event
                        .endpoint
                        .extend_from_slice(&data[..room.min(data.len())]);
                }
                let awaited = match &event.document {
                    Some(_) => true,
                    // Asked once for each event.
                    None => session
                        .as_ref()
                        .filter(|_| scanner.offset() == 0)
                        .is_some_and(|session| recorder.awaits_listing(&session.id)),
                };
                if awaited {
                    Document::read(&mut event.document, recorder, scanner.offset(), data);
                }
                let document = event.document.as_ref();
                scanner.feed(data, &mut |message| {
                    event.stale.notice(message);
                    if event.answers.has_room()
                        && let Some(answer) = Answer::of(message, true)
                    {
                        event.answers.push(answer.with_listing(message, document));
                    }
                });
            }
            SseItem::End(end) => {
                let answers = event.answers.take();
                match (&session, end.kind) {
                    (Some(session), EventKind::Message) => {
                        for answer in &answers {
                            recorder.answered_elsewhere(
                                &session.id,
                                answer,
                                event.document.as_mut(),
                                &end,
                            );
                        }
                    }
                    (None, EventKind::Endpoint) if event.endpoint.len() <= ENDPOINT_BYTES => {
                        let uri = String::from_utf8_lossy(&event.endpoint);
                        *session = head::session_of_endpoint(&uri).map(|id| NamedSession {
                            id: recorder.sessions.announce(&head::kept(recorder, id)),
                            by_query: true,
                        });
                    }
                    _ => {}
                }
                let stale = std::mem::take(&mut event.stale);
                if end.kind == EventKind::Message {
                    recorder.stale(stale);
                }
                event.endpoint.clear();
                event.document = None;
                scanner.reset();
            }
        };
        match chunk {
            Some(chunk) => decoder.feed(chunk, &mut on_item),
            None => decoder.finish(&mut on_item),
        }
    }
}

impl Drop for StreamTap {
    /// The end of its GET stream ends a 2024-11-05 session.
    fn drop(&mut self) {
        self.read(None);
        if let Some(NamedSession { id, by_query: true }) = self.session.take() {
            self.recorder.session_closed(id);
        }
    }
}
