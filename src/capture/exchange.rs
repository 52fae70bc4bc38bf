//! One HTTP exchange: the one place that its future and its two bodies report
//! to, and from which each request leaves as exactly one row.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::header::{HeaderMap, HeaderValue};
use http::{StatusCode, request, response};
use uuid::Uuid;

use super::call::{Answer, BytesOut, Call, CallSession, Outcome, ServerInfo};
use super::ending::{self, ResponseHead};
use super::headers::{self, Media, Principal};
use super::recorder::Recorder;
use super::session::{self, ClientInfo, NAME_CHARS};
use super::tap::ResponseTap;
use crate::clock;
use crate::event::{RequestEvent, RequestStatus, SessionSource, StoreEvent, TraceId};

pub(super) use super::ending::Ending;

/// What the head of a request says, read once.
pub(super) struct RequestHead {
    pub(super) ts: i64,
    pub(super) session: Option<Arc<str>>,
    /// From the header, else what the session negotiated.
    pub(super) protocol_version: Option<Cow<'static, str>>,
    pub(super) principal: Option<Arc<str>>,
    pub(super) authorization: Option<u64>,
    pub(super) trace_id: Option<TraceId>,
    path: u64,
    mirrored_method: Option<HeaderValue>,
    mirrored_name: Option<HeaderValue>,
    /// Whether the body may be JSON, going by its media type.
    may_be_json: bool,
}

impl RequestHead {
    fn of(recorder: &Recorder, head: &request::Parts) -> Self {
        let headers = &head.headers;
        let (session, negotiated) = Self::session_id(recorder, headers)
            .map_or((None, None), |(id, version)| (Some(id), version));
        let version = headers
            .get(headers::PROTOCOL_VERSION)
            .map(|version| session::protocol_version(&headers::text(version)));
        Self {
            ts: clock::unix_ms(),
            session,
            protocol_version: version.or(negotiated),
            principal: head.extensions.get::<Principal>().map(Principal::name),
            authorization: session::authorization(&recorder.sessions, headers),
            trace_id: headers
                .get(headers::TRACEPARENT)
                .and_then(|value| TraceId::from_traceparent(value.as_bytes())),
            path: recorder.sessions.hash(head.uri.path()),
            mirrored_method: headers.get(headers::METHOD).cloned(),
            mirrored_name: headers.get(headers::NAME).cloned(),
            may_be_json: matches!(Media::of(headers), Media::Json | Media::Unnamed),
        }
    }

    /// The session that a request or response names, and the revision that was
    /// negotiated for it.
    pub(super) fn session_id(
        recorder: &Recorder,
        headers: &HeaderMap,
    ) -> Option<(Arc<str>, Option<Cow<'static, str>>)> {
        let value = headers.get(headers::SESSION_ID)?;
        let text = headers::text(value);
        let (id, cut) = headers::bounded(&text, NAME_CHARS);
        recorder.count_truncated(cut.into());
        Some(recorder.sessions.named(id))
    }

    /// Whether the headers speak of a revision without sessions.
    pub(super) fn is_modern(&self) -> bool {
        self.protocol_version
            .as_deref()
            .is_some_and(session::is_modern)
    }
}

/// How the size of the answer just seen is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    /// In a JSON body, and whether it is `alone` there or in an array.
    Json { alone: bool },
    /// In an event that ended this many bytes after the last answer's;
    /// `several` answers may share it.
    Event { len: u64, several: bool },
}

/// One HTTP exchange that may hold JSON-RPC requests.
pub(super) struct Exchange {
    pub(super) recorder: Arc<Recorder>,
    pub(super) head: RequestHead,
    started: Instant,
    request_id: Uuid,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    /// Whether an answer is to be asked what it says of the server.
    begins_session: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The requests without a row; one that got it leaves its place empty.
    calls: Vec<Option<Call>>,
    /// How many of them wait for their answer.
    open: usize,
    /// Whether the request body was read to the end of its JSON value.
    request_read: bool,
    response: Option<ResponseHead>,
    ended: Option<Ending>,
    slot: usize,
}

impl Exchange {
    pub(super) fn begin(recorder: &Arc<Recorder>, head: &request::Parts) -> Arc<Self> {
        let exchange = Arc::new(Self {
            recorder: recorder.clone(),
            head: RequestHead::of(recorder, head),
            started: Instant::now(),
            request_id: Uuid::now_v7(),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            begins_session: AtomicBool::new(false),
            state: Mutex::default(),
        });
        let slot = recorder.opened(Arc::downgrade(&exchange));
        exchange.state().slot = slot;
        exchange
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn elapsed_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    pub(super) fn request_id(&self) -> Uuid {
        self.request_id
    }

    pub(super) fn begins_session(&self) -> bool {
        self.begins_session.load(Relaxed)
    }

    pub(super) fn request_bytes(&self, len: usize) {
        self.request_bytes.fetch_add(len as u64, Relaxed);
    }

    pub(super) fn response_bytes(&self, len: usize) {
        self.response_bytes.fetch_add(len as u64, Relaxed);
    }

    pub(super) fn count_unidentified(&self) {
        self.recorder.count_unidentified();
    }

    /// How many requests wait for their answer.
    pub(super) fn open_calls(&self) -> usize {
        self.state().open
    }

    /// The request body was read to the end of its JSON value, or of itself:
    /// these are the requests that it holds.
    pub(super) fn requested(&self, mut calls: Vec<Call>) {
        for (index, call) in calls.iter_mut().enumerate() {
            // The first has the id that the handler was told.
            call.request_id = if index == 0 {
                self.request_id
            } else {
                Uuid::now_v7()
            };
        }
        let begins_session = calls.iter().any(|call| {
            call.client.is_some()
                || matches!(&call.session, CallSession::Derived(session) if !session.is_announced())
        });
        self.begins_session.store(begins_session, Relaxed);
        let mut state = self.state();
        state.request_read = true;
        match &state.ended {
            None => {
                state.open = calls.len();
                state.calls = calls.into_iter().map(Some).collect();
            }
            // The answer was over before the request: it ended as the exchange did.
            Some(ending) => {
                for call in calls {
                    let outcome = self.unanswered(ending, &state, &call);
                    self.emit(call, outcome, state.response.as_ref());
                }
            }
        }
    }

    /// The response head came.
    pub(super) fn answered(&self, head: &response::Parts) -> ResponseTap {
        let encoded = headers::is_encoded(&head.headers);
        let media = Media::of(&head.headers);
        let session = (head.status.is_success())
            .then(|| RequestHead::session_id(&self.recorder, &head.headers))
            .flatten()
            .map(|(id, _)| id);
        let mut state = self.state();
        if head.status == StatusCode::NOT_FOUND
            && !self.head.is_modern()
            && !state.calls.iter().flatten().any(|call| call.modern)
            && let Some(session) = &self.head.session
        {
            self.recorder.session_not_found(session, self.head.path);
        }
        state.response = Some(ResponseHead {
            status: head.status,
            ttfb_us: self.elapsed_us(),
            opaque: encoded,
            event_stream: media == Media::EventStream,
            session,
            text: None,
        });
        ResponseTap::new(media, encoded, head.status.as_u16() >= 400)
    }

    /// A JSON-RPC response passed; whether a request was waiting for it.
    pub(super) fn answered_by(&self, answer: Answer, measure: Measure) -> bool {
        let Answer {
            id,
            mut outcome,
            len: message_len,
            server,
        } = answer;
        outcome.latency_us = self.elapsed_us();
        let mut state = self.state();
        let State {
            calls,
            open,
            response,
            ..
        } = &mut *state;
        let Some(response) = response.as_ref() else {
            return false;
        };
        // An error that names no request is for the only one that waits; where
        // it is the whole body, it refuses a batch as a whole.
        let for_all = *open == 1 || matches!(measure, Measure::Json { alone: true });
        let mut matched = false;
        for slot in calls {
            let Some(call) = slot.as_mut().filter(|call| call.outcome.is_none()) else {
                continue;
            };
            if !id.map_or(for_all, |id| call.id == Some(id)) {
                continue;
            }
            matched = true;
            *open -= 1;
            outcome.bytes_out = match measure {
                Measure::Json { .. } if !call.in_batch => BytesOut::Body,
                Measure::Event {
                    len,
                    several: false,
                } => BytesOut::Exactly(len),
                Measure::Json { .. } | Measure::Event { .. } => BytesOut::Exactly(message_len),
            };
            let outcome = ending::answered(call, outcome.clone());
            self.begin_session(call, &outcome, server.as_deref(), response);
            if outcome.bytes_out == BytesOut::Body {
                call.outcome = Some(outcome);
            } else if let Some(call) = slot.take() {
                self.emit(call, outcome, Some(response));
            }
            if id.is_some() {
                break;
            }
        }
        matched
    }

    /// The session that a successful answer begins.
    fn begin_session(
        &self,
        call: &mut Call,
        outcome: &Outcome,
        server: Option<&ServerInfo>,
        response: &ResponseHead,
    ) {
        if let CallSession::Derived(session) = &call.session {
            session.announce(&self.recorder, server);
        }
        let Some(client) = call.client.take() else {
            return;
        };
        let version = server.and_then(|server| server.protocol_version.clone());
        if call.protocol_version.is_none() {
            call.protocol_version = version.clone();
        }
        let Some(id) = &response.session else {
            return;
        };
        call.session = CallSession::Named(id.clone());
        if outcome.status != RequestStatus::Ok {
            return;
        }
        let ClientInfo {
            name,
            version: client_version,
        } = *client;
        let mut event = self
            .recorder
            .session(id.clone(), self.head.ts, SessionSource::Header);
        event.client_name = name;
        event.client_version = client_version;
        event.protocol_version = version.clone();
        if let Some(server) = server {
            event.server_name = server.name.clone();
            event.server_version = server.version.clone();
        }
        self.recorder
            .sessions
            .opened(id.clone(), self.head.path, version);
        self.recorder.store.record(StoreEvent::Session(event));
    }

    /// The exchange is over; only the first call counts.
    pub(super) fn end(&self, ending: Ending) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        let calls = std::mem::take(&mut state.calls);
        let unread = if state.request_read {
            None
        } else {
            self.unread_call(&ending, &state)
        };
        for mut call in calls.into_iter().flatten().chain(unread) {
            let outcome = match call.outcome.take() {
                Some(outcome) => outcome,
                None => self.unanswered(&ending, &state, &call),
            };
            self.emit(call, outcome, state.response.as_ref());
        }
        self.recorder.closed(state.slot);
        state.ended = Some(ending);
    }

    /// The beginning of an error body that is plain text.
    pub(super) fn error_text(&self, text: Box<str>) {
        if let Some(response) = &mut self.state().response {
            response.text = Some(text);
        }
    }

    fn unanswered(&self, ending: &Ending, state: &State, call: &Call) -> Outcome {
        let mut outcome = ending::outcome(ending, state.response.as_ref(), call);
        outcome.latency_us = self.elapsed_us();
        outcome
    }

    /// The request of a body that the server refused to read, as far as the
    /// mirror headers name it.
    fn unread_call(&self, ending: &Ending, state: &State) -> Option<Call> {
        let refused = match (ending, &state.response) {
            (_, Some(response)) => response.is_error() || response.status.is_redirection(),
            (Ending::ServiceFailed(_) | Ending::Panicked, None) => true,
            // The caller left, or was made to, while it was still sending.
            (_, None) => false,
        };
        if !refused || !self.head.may_be_json {
            return None;
        }
        let method = self.head.mirrored_method.as_ref().map(headers::text);
        match method.filter(|method| !method.starts_with("notifications/")) {
            Some(method) => {
                let name = self.head.mirrored_name.as_ref().map(headers::decoded);
                Some(Call::unread(&method, name.as_deref(), self))
            }
            None => {
                self.count_unidentified();
                None
            }
        }
    }

    fn emit(&self, call: Call, outcome: Outcome, response: Option<&ResponseHead>) {
        let session_id = match &call.session {
            CallSession::None => None,
            CallSession::Named(id) => Some(id.clone()),
            CallSession::Derived(session) => {
                session.announce(&self.recorder, None);
                Some(session.id.clone())
            }
        };
        if self.recorder.skips(&call.method) {
            return;
        }
        let proxy = self.recorder.config.proxy.clone();
        let mut row = RequestEvent::received(
            call.request_id,
            self.head.ts,
            proxy,
            call.method,
            outcome.status,
        );
        row.session_id = session_id;
        row.tool = call.tool;
        row.target = call.target;
        row.latency_us = outcome.latency_us;
        row.error_code = outcome.error_code;
        if self.recorder.config.error_text {
            row.error_msg = outcome.error_msg;
        }
        row.bytes_in = Some(match call.in_batch {
            true => call.len,
            false => self.request_bytes.load(Relaxed),
        });
        row.bytes_out = match outcome.bytes_out {
            BytesOut::None => None,
            BytesOut::Exactly(len) => Some(len),
            BytesOut::Body => Some(self.response_bytes.load(Relaxed)),
        };
        row.http_status = response.map(|response| response.status.as_u16());
        row.tool_error = outcome.tool_error;
        row.end_reason = outcome.end_reason;
        row.ttfb_us = response.map(|response| response.ttfb_us);
        row.protocol_version = call.protocol_version;
        row.principal = self.head.principal.clone();
        row.trace_id = call.trace_id;
        self.recorder.store.record(StoreEvent::Request(row));
    }
}
