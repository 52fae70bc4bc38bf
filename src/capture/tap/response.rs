//! Reads the JSON-RPC responses out of a response body.

use std::ops::ControlFlow;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;

use super::message_stream::{EventContent, EventReader, MessageStream};
use super::panic_flag::PanicFlag;
use crate::capture::exchange::{Answer, HttpEnd, SizeRule};
use crate::capture::exchange_handle::ExchangeHandle;
use crate::capture::http::{Content, ErrorBody, Headers, Media, Undecodable};
use crate::capture::listing::Document;
use crate::wire::{EventEnd, EventKind, ScanState, Scanner};

/// Reads the JSON-RPC responses out of a response body.
pub(in crate::capture) struct ResponseTap {
    /// `None` once the body is over.
    handle: Option<ExchangeHandle>,
    /// `None` once the rest does not matter or cannot be read.
    content: Option<Content>,
    form: Form,
    /// The scanner of the request, or one made at the first bytes.
    scanner: Option<Box<Scanner>>,
    /// A copy of a JSON body, if it may be a listing.
    document: Option<Document>,
    error: Option<Box<ErrorBody>>,
    /// Number of bytes of the body still to pass, if its length is known.
    left: Option<u64>,
    panic_flag: PanicFlag,
}

/// The format as which the bytes of a response are read.
enum Form {
    Json,
    EventStream(Box<EventStream>),
    Unread,
}

/// The state of an event stream that is the response to requests.
#[derive(Default)]
struct EventStream {
    messages: MessageStream,
    state: StreamState,
}

#[derive(Default)]
struct StreamState {
    /// Where the event of the last answer ended.
    answered_to: u64,
    /// An event with an id passed.
    resumable: bool,
    /// Every request of the exchange has its answer.
    settled: bool,
}

impl ResponseTap {
    /// Makes the tap of a response. Hyper never polls a body that is empty from the start,
    /// so such a body ends here.
    pub(in crate::capture) fn of<B: Body>(handle: ExchangeHandle, response: &Response<B>) -> Self {
        let mut tap = Self::new(handle, response.status(), response.headers());
        let body = response.body();
        // A length in the head takes precedence.
        tap.left = tap.left.or(body.size_hint().exact());
        if body.is_end_stream() || tap.is_whole() {
            tap.end(HttpEnd::Complete);
        }
        tap
    }

    fn new(handle: ExchangeHandle, status: StatusCode, headers: &HeaderMap) -> Self {
        let headers = Headers::of(headers);
        let (media, content) = (headers.media(), Content::of(&headers).ok());
        let scanner = handle.answered(status, &headers, content.is_none());
        let is_error = status.as_u16() >= 400;
        let form = match media {
            Media::Json | Media::Unnamed => Form::Json,
            Media::EventStream => Form::EventStream(Box::default()),
            // Servers send errors as JSON under any media type.
            Media::Text | Media::Other if is_error => Form::Json,
            Media::Text | Media::Other => Form::Unread,
        };
        Self {
            handle: Some(handle),
            content,
            form,
            scanner,
            document: None,
            error: is_error
                .then(|| ErrorBody::of(media))
                .flatten()
                .map(Box::new),
            left: headers.body_length(status),
            panic_flag: PanicFlag::default(),
        }
    }

    /// Returns whether every byte of a body of known length has passed. Then the client
    /// has the whole answer, even if it does not poll the body for its end.
    pub(in crate::capture) fn is_whole(&self) -> bool {
        self.left == Some(0)
    }

    /// Runs code of the inner body.
    #[inline(always)]
    pub(in crate::capture) fn step<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.panic_flag.run(code)
    }

    pub(in crate::capture) fn data(&mut self, data: &Bytes) {
        let Some(handle) = &self.handle else {
            return;
        };
        let (cx, exchange) = (handle.cx(), handle.exchange());
        exchange.response_bytes(data.len());
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        let Some(content) = &mut self.content else {
            return;
        };
        let scanner = self.scanner.get_or_insert_default();
        scanner.keep_content(cx.config.tool_error_text);
        let (form, error) = (&mut self.form, &mut self.error);
        let document = &mut self.document;
        let read = content.read(data, &mut |data| {
            let mut wanted = error.as_mut().is_some_and(|error| error.read(data));
            match form {
                Form::Unread => {}
                Form::Json => {
                    if exchange.awaits_listing() {
                        Document::read(document, cx, scanner.offset(), data);
                    }
                    scanner.feed(data, &mut |message| {
                        let Some(answer) = Answer::of(message, exchange.begins_session()) else {
                            return;
                        };
                        let mut answer = answer.with_listing(message, document.as_ref());
                        let alone = !message.in_batch();
                        let size = SizeRule::Json { alone };
                        let of = &handle.registered;
                        let document = document.as_mut();
                        handle
                            .recorder
                            .report(of, document, |exchange, cx, effects| {
                                exchange.answered_by(cx, effects, &mut answer, size)
                            });
                    });
                    wanted |= matches!(scanner.state(), ScanState::Empty | ScanState::Open);
                }
                Form::EventStream(stream) => {
                    let EventStream { messages, state } = &mut **stream;
                    messages.read(cx, scanner, Some(data), &mut Responses { handle, state });
                    wanted = !stream.state.settled;
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

    /// Ends the body. Later calls are ignored.
    pub(in crate::capture) fn end(&mut self, end: HttpEnd) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        if let Form::EventStream(stream) = &mut self.form {
            let EventStream { messages, state } = &mut **stream;
            let handle = &handle;
            messages.read(
                handle.cx(),
                self.scanner.get_or_insert_default(),
                None,
                &mut Responses { handle, state },
            );
        }
        if let Some(text) = self
            .error
            .as_ref()
            .and_then(|error| error.text(end == HttpEnd::Complete))
        {
            handle.exchange().error_text(text);
        }
        handle.end(end);
    }
}

impl Drop for ResponseTap {
    fn drop(&mut self) {
        self.end(self.panic_flag.end_of_drop());
    }
}

/// Reports the messages of an event stream to the exchange whose response it is.
struct Responses<'a> {
    handle: &'a ExchangeHandle,
    state: &'a mut StreamState,
}

impl EventReader for Responses<'_> {
    fn is_done(&self) -> bool {
        self.state.settled
    }

    fn wants_listing(&self) -> bool {
        self.handle.exchange().awaits_listing()
    }

    fn wants_server(&self) -> bool {
        self.handle.exchange().begins_session()
    }

    fn wants(&self, answer: &Answer) -> bool {
        self.handle.exchange().awaits(answer)
    }

    fn event(&mut self, event: &EventEnd, content: EventContent<'_>) {
        let ExchangeHandle {
            recorder,
            registered,
        } = self.handle;
        let exchange = &registered.exchange;
        if event.id.is_some() && !std::mem::replace(&mut self.state.resumable, true) {
            exchange.resumable();
        }
        if event.kind != EventKind::Message {
            return;
        }
        let EventContent {
            answers,
            mut document,
            changed,
            tasks,
        } = content;
        if !tasks.is_empty() {
            self.handle
                .report(|exchange, cx, effects| exchange.tasks_notified(cx, effects, tasks));
        }
        let several = answers.len() > 1;
        for mut answer in answers {
            let size = SizeRule::Event {
                len: event.end - self.state.answered_to,
                several,
            };
            let document = document.as_deref_mut();
            let matched = recorder.report(registered, document, |exchange, cx, effects| {
                exchange.answered_by(cx, effects, &mut answer, size)
            });
            if !matched {
                continue;
            }
            if let (Some(session), Some(request), Some(event)) =
                (&exchange.head.session, answer.id, event.id)
            {
                recorder.answered_in(&session.id, request, event);
            }
            self.state.answered_to = event.end;
            self.state.settled = exchange.is_settled();
        }
        recorder.listings_changed(changed);
    }
}
