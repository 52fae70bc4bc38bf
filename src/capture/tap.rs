//! Looks at the frames of one direction and tells the exchange what they say.
//!
//! A compressed body is read as what it decodes to, if the feature
//! `decompression` is on, and otherwise only counted. The size of a whole body
//! is always that of the bytes that passed. That of a message in a batch, and
//! of the events up to an answer, is counted in what was decoded, as only that
//! has a place where they end.

use std::ops::ControlFlow;

use bytes::Bytes;
use http::response;

use super::call::{Answer, Call};
use super::content::{Content, Undecodable};
use super::error_body::ErrorBody;
use super::exchange::{Calls, Ending, Measure, Unread, Watched};
use super::headers::{Headers, Media};
use super::held::HeldAnswers;
use super::listing::{Document, Stale};
use crate::wire::{EventKind, Kind, Memory, ScanState, Scanner, SseDecoder, SseItem};

/// How much a batch may make the layer remember, in bytes; what goes beyond it
/// gets no row and is counted as unidentified.
const BATCH_BYTES: usize = 1024 * 1024;

/// Notifications of one body that are looked at: each may be a cancellation,
/// which has to be found.
const NOTIFICATIONS: usize = 32;

/// Reads the JSON-RPC requests out of a request body.
pub(super) struct RequestTap {
    watched: Watched,
    scanner: Scanner,
    /// Requests of a batch that are complete; they count once it closes.
    calls: Vec<Option<Call>>,
    bytes: usize,
    notifications: usize,
    /// None once all requests are known, or none can be.
    content: Option<Content>,
}

impl RequestTap {
    pub(super) fn new(watched: Watched, content: Content) -> Self {
        Self {
            watched,
            scanner: Scanner::new(),
            calls: Vec::new(),
            bytes: 0,
            notifications: 0,
            content: Some(content),
        }
    }

    pub(super) fn data(&mut self, data: &Bytes) {
        self.watched.exchange.request_bytes(data.len());
        let Self {
            watched: Watched { recorder, exchange },
            scanner,
            calls,
            bytes,
            notifications,
            content,
        } = self;
        let Some(reader) = content else {
            return;
        };
        let mut alone = None;
        let read = reader.read(data, &mut |data| {
            scanner.feed(data, &mut |message| {
                match message.kind() {
                    Kind::Request => {}
                    Kind::Notification => {
                        *notifications += 1;
                        if *notifications <= NOTIFICATIONS {
                            exchange.notified(recorder, message);
                        }
                        return;
                    }
                    _ => return,
                }
                let call = Call::new(message, recorder, &exchange.head);
                if !message.in_batch() {
                    if exchange.head.mirror.contradicts(message) {
                        recorder.count_mismatched();
                    }
                    alone = Some(call);
                    return;
                }
                *bytes += call.size();
                if *bytes <= BATCH_BYTES {
                    calls.push(Some(call));
                } else {
                    recorder.count_unidentified();
                }
            });
            match scanner.state() {
                ScanState::Closed => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        });
        if scanner.state() == ScanState::Closed {
            *content = None;
            let calls = match alone {
                Some(call) => Calls::from_buf([Some(call)]),
                None => Calls::from_vec(std::mem::take(calls)),
            };
            exchange.requested(recorder, calls, scanner.take_memory());
        } else if let Err(Undecodable) = read {
            *content = None;
            exchange.unread(Unread::Undecodable);
        }
    }

    /// The body is over.
    pub(super) fn end(&mut self) {
        if self.content.take().is_none() {
            return;
        }
        let Watched { recorder, exchange } = &self.watched;
        match self.scanner.state() {
            ScanState::Empty => exchange.requested(recorder, Calls::new(), Memory::default()),
            _ => exchange.unread(Unread::Unclosed),
        }
    }

    /// The body failed: the server has no request, unless its value was closed before.
    pub(super) fn fail(&mut self) {
        self.watched.exchange.request_failed();
        if self.content.take().is_some() {
            self.watched.exchange.unread(Unread::Broken);
        }
    }
}

/// Reads the JSON-RPC responses out of a response body.
pub(super) struct ResponseTap {
    /// None once the body is over.
    watched: Option<Watched>,
    /// None once nothing more is to be known, or can be.
    content: Option<Content>,
    form: Form,
    scanner: Scanner,
    /// What was read since the scanner began, where it may be a listing.
    document: Option<Document>,
    error: Option<Box<ErrorBody>>,
    /// Bytes of the body that are still to pass, where its length is known.
    left: Option<u64>,
    in_step: bool,
}

/// What the bytes of a response are read as.
enum Form {
    Json,
    EventStream(Box<EventStream>),
    Unread,
}

#[derive(Default)]
struct EventStream {
    decoder: SseDecoder,
    held: HeldAnswers,
    /// What it says has changed, likewise.
    stale: Stale,
    /// Where the event of the last answer ended.
    answered_to: u64,
    /// An event had an id.
    resumable: bool,
    /// Every request of the exchange has its answer.
    settled: bool,
}

impl ResponseTap {
    /// The response head came.
    pub(super) fn new(watched: Watched, head: &response::Parts) -> Self {
        let headers = Headers::of(&head.headers);
        let (media, content) = (headers.media(), Content::of(&headers).ok());
        let Watched { recorder, exchange } = &watched;
        let memory = exchange.answered(recorder, head, &headers, content.is_none());
        let is_error = head.status.as_u16() >= 400;
        let form = match media {
            Media::Json | Media::Unnamed => Form::Json,
            Media::EventStream => Form::EventStream(Box::default()),
            // Errors are sent as JSON under any name.
            Media::Text | Media::Other if is_error => Form::Json,
            Media::Text | Media::Other => Form::Unread,
        };
        Self {
            watched: Some(watched),
            content,
            form,
            scanner: Scanner::reusing(memory),
            document: None,
            error: is_error
                .then(|| ErrorBody::of(media))
                .flatten()
                .map(Box::new),
            left: headers.body_length(head.status),
            in_step: false,
        }
    }

    /// The body says that this is its length. What its head says comes first.
    pub(super) fn expect(&mut self, length: Option<u64>) {
        self.left = self.left.or(length);
    }

    /// Whether every byte of a body of known length has passed: the client has
    /// the answer in full, whether or not the body is asked for its end.
    pub(super) fn is_whole(&self) -> bool {
        self.left == Some(0)
    }

    /// Runs a piece of the inner body; see [`AwaitedResponse::step`](super::future::AwaitedResponse::step).
    pub(super) fn step<T>(&mut self, run: impl FnOnce() -> T) -> T {
        self.in_step = true;
        let value = run();
        self.in_step = false;
        value
    }

    pub(super) fn data(&mut self, data: &Bytes) {
        let Some(watched) = &self.watched else {
            return;
        };
        let Watched { recorder, exchange } = watched;
        exchange.response_bytes(data.len());
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        let (form, scanner, error) = (&mut self.form, &mut self.scanner, &mut self.error);
        let document = &mut self.document;
        let Some(content) = &mut self.content else {
            return;
        };
        let read = content.read(data, &mut |data| {
            let mut wanted = error.as_mut().is_some_and(|error| error.read(data));
            match form {
                Form::Unread => {}
                Form::Json => {
                    if exchange.awaits_listing() {
                        Document::read(document, recorder, scanner.offset(), data);
                    }
                    scanner.feed(data, &mut |message| {
                        if let Some(answer) = Answer::of(message, exchange.begins_session()) {
                            exchange.answered_by(
                                recorder,
                                &answer.with_listing(message, document.as_ref()),
                                document.as_mut(),
                                Measure::Json {
                                    alone: !message.in_batch(),
                                },
                            );
                        }
                    });
                    wanted |= matches!(scanner.state(), ScanState::Empty | ScanState::Open);
                }
                Form::EventStream(stream) => {
                    stream.read(Some(data), scanner, document, watched);
                    wanted = !stream.settled;
                }
            }
            match wanted {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        match read {
            Ok(ControlFlow::Continue(())) => return,
            Ok(ControlFlow::Break(())) => {}
            Err(Undecodable) => exchange.opaque(),
        }
        self.content = None;
    }

    /// The body is over; every later call is ignored.
    pub(super) fn end(&mut self, ending: Ending) {
        let Some(watched) = self.watched.take() else {
            return;
        };
        let Watched { recorder, exchange } = &watched;
        if let Form::EventStream(stream) = &mut self.form {
            stream.read(None, &mut self.scanner, &mut self.document, &watched);
        }
        if let Some(text) = self
            .error
            .as_ref()
            .and_then(|error| error.text(ending == Ending::Complete))
        {
            exchange.error_text(text);
        }
        exchange.end(recorder, ending);
    }
}

impl Drop for ResponseTap {
    fn drop(&mut self) {
        self.end(if self.in_step {
            Ending::Panicked
        } else {
            Ending::Dropped
        });
    }
}

impl EventStream {
    /// Reads on; no chunk is the end.
    fn read(
        &mut self,
        chunk: Option<&[u8]>,
        scanner: &mut Scanner,
        document: &mut Option<Document>,
        watched: &Watched,
    ) {
        let Watched { recorder, exchange } = watched;
        let Self {
            decoder,
            held,
            stale,
            answered_to,
            resumable,
            settled,
        } = self;
        let mut on_item = |item: SseItem<'_>| match item {
            _ if *settled => {}
            SseItem::Data(data) => {
                if exchange.awaits_listing() {
                    Document::read(document, recorder, scanner.offset(), data);
                }
                scanner.feed(data, &mut |message| {
                    stale.notice(message);
                    if let Some(answer) = Answer::of(message, exchange.begins_session())
                        && held.has_room()
                        && exchange.awaits(&answer)
                    {
                        held.push(answer.with_listing(message, document.as_ref()));
                    }
                });
            }
            SseItem::End(event) => {
                if event.id.is_some() && !std::mem::replace(resumable, true) {
                    exchange.resumable();
                }
                let answers = held.take();
                let several = answers.len() > 1;
                let count = event.kind == EventKind::Message;
                for answer in answers.into_iter().filter(|_| count) {
                    let measure = Measure::Event {
                        len: event.end - *answered_to,
                        several,
                    };
                    if exchange.answered_by(recorder, &answer, document.as_mut(), measure) {
                        if let Some(event) = event.id {
                            exchange.answered_in(recorder, &answer, event);
                        }
                        *answered_to = event.end;
                        *settled = exchange.is_settled();
                    }
                }
                let stale = std::mem::take(stale);
                if event.kind == EventKind::Message {
                    recorder.stale(stale);
                }
                *document = None;
                scanner.reset();
            }
        };
        match chunk {
            Some(chunk) => decoder.feed(chunk, &mut on_item),
            None => decoder.finish(&mut on_item),
        }
    }
}
