//! One HTTP exchange: the one place that its future and its two bodies report
//! to, and from which each request leaves as exactly one row. What they say is
//! taken in here, what becomes of it is in `settle.rs`.
//!
//! Its HTTP part may be over before a request has its answer: a stream with
//! event ids can be resumed by a GET, and in the 2024-11-05 transport every
//! answer comes on the session's GET stream. Such an exchange is detached: it
//! keeps the requests that wait until the answer passes elsewhere, the client
//! cancels, the session closes, or the grace time is over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{StatusCode, request, response};
use smallvec::SmallVec;
use uuid::{NoContext, Timestamp, Uuid};

use super::call::{Answer, BytesOut, Call, CallSession, Outcome, ServerInfo};
use super::ending::{self, ResponseHead};
use super::head::{self, RequestHead};
use super::headers::{Headers, Media};
use super::listing::Document;
use super::recorder::Recorder;
use super::session::ClientInfo;
use crate::event::{EndReason, RequestStatus, SessionSource, StoreEvent};
use crate::wire::{Field, Memory, Message, Token, method};

pub(super) use super::ending::Ending;

mod settle;

/// How the size of the answer just seen is told.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    /// In a JSON body, and whether it is `alone` there or in an array.
    Json { alone: bool },
    /// In an event that ended this many bytes after the last answer's;
    /// `several` answers may share it.
    Event { len: u64, several: bool },
}

/// An exchange, and what it is recorded by: whoever watches a part of it holds
/// both. The exchange itself does not hold its recorder, which may hold it.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) recorder: Arc<Recorder>,
    pub(super) exchange: Arc<Exchange>,
}

/// One HTTP exchange that may hold JSON-RPC requests.
pub(super) struct Exchange {
    pub(super) head: RequestHead,
    started: Instant,
    request_id: Uuid,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    /// Whether an answer is to be asked what it says of the server.
    begins_session: AtomicBool,
    /// Whether an answer may be a listing.
    awaits_listing: AtomicBool,
    /// Whoever holds it asks nothing of other exchanges.
    state: Mutex<State>,
}

/// The requests without a row, nearly always one; what got its row leaves its
/// place empty.
pub(super) type Calls = SmallVec<[Option<Call>; 1]>;

#[derive(Default)]
struct State {
    calls: Calls,
    /// How many of them wait for their answer.
    open: usize,
    known_by: KnownBy,
    /// The request body is compressed and not decoded.
    unreadable: bool,
    response: Option<ResponseHead>,
    phase: Phase,
    /// The session is over: no answer comes on a stream of it.
    session_over: bool,
    /// What the request was read with, for the response.
    memory: Memory,
    slot: usize,
}

/// What tells which requests the exchange holds.
#[derive(Default, PartialEq)]
enum KnownBy {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The request body, read to the end of its JSON value.
    Body,
    /// The mirror headers: the exchange was over before its body was read.
    Headers,
    /// Nothing, and that was counted.
    Nobody,
}

#[derive(Default)]
enum Phase {
    #[default]
    Open,
    /// The HTTP part ended this way, which tells what becomes of a request
    /// whose answer does not come.
    Detached(Ending),
    Over(Ending),
}

impl Exchange {
    pub(super) fn begin(
        recorder: &Recorder,
        head: &request::Parts,
        headers: &Headers<'_>,
    ) -> Arc<Self> {
        let head = RequestHead::of(recorder, head, headers);
        let exchange = Arc::new(Self {
            started: Instant::now(),
            request_id: request_id(head.ts),
            head,
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            begins_session: AtomicBool::new(false),
            awaits_listing: AtomicBool::new(false),
            state: Mutex::default(),
        });
        // Locked, so that who finds it there finds it with its slot.
        let mut state = exchange.state();
        state.slot = recorder.remember(&exchange);
        drop(state);
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

    // ===== what the request body says =====

    pub(super) fn request_bytes(&self, len: usize) {
        add(&self.request_bytes, len);
    }

    /// The request body was read to the end of its JSON value, or of itself:
    /// these are the requests that it holds.
    /// The memory they were read with can be used for the response.
    pub(super) fn requested(&self, recorder: &Recorder, mut calls: Calls, memory: Memory) {
        for (index, call) in calls.iter_mut().flatten().enumerate() {
            // The first has the id that the handler was told.
            call.request_id = if index == 0 {
                self.request_id
            } else {
                Uuid::now_v7()
            };
        }
        let begins_session = calls.iter().flatten().any(|call| {
            call.client.is_some()
                || matches!(&call.session, CallSession::Derived(session) if !session.is_announced())
        });
        self.begins_session.store(begins_session, Relaxed);
        let awaits_listing = calls.iter().flatten().any(|call| call.listing.is_some());
        self.awaits_listing.store(awaits_listing, Relaxed);
        let mut state = self.state();
        state.memory = memory;
        match std::mem::replace(&mut state.known_by, KnownBy::Body) {
            // Refused unread and read afterwards: it has its row.
            KnownBy::Headers => return,
            KnownBy::Nobody => recorder.uncount_unidentified(),
            KnownBy::Nothing | KnownBy::Body => {}
        }
        match &state.phase {
            Phase::Open | Phase::Detached(_) => {
                state.open = calls.len();
                state.calls = calls;
            }
            // The answer was over before the request: it ended as the exchange
            // did. More of the body may come or not, so, as in a batch, only
            // the message counts.
            Phase::Over(ending) => {
                let response = state.response.as_ref();
                for mut call in calls.into_iter().flatten() {
                    call.in_batch = true;
                    let outcome = self.unanswered(ending, response, &call);
                    self.emit(recorder, call, outcome, response);
                }
            }
        }
    }

    /// The request body cannot be read.
    pub(super) fn unreadable(&self) {
        self.state().unreadable = true;
    }

    /// A notification of the client's: it may cancel an earlier request of its
    /// session. (Under 2026-07-28 closing the stream does.)
    pub(super) fn notified(&self, recorder: &Recorder, message: &Message) {
        if message.text(Field::Method) == Some(method::CANCELLED)
            && let (Some(session), false) = (&self.head.session, self.head.is_modern())
            && let Some(request) = message.token(Field::RequestId)
        {
            let reason = message.text(Field::Reason);
            recorder.cancelled(&session.id, request, reason);
        }
    }

    // ===== what the response says =====

    /// The response head came; gives the memory to read the body with.
    pub(super) fn answered(
        &self,
        recorder: &Recorder,
        head: &response::Parts,
        headers: &Headers<'_>,
        opaque: bool,
    ) -> Memory {
        if head.status == StatusCode::NOT_FOUND {
            self.not_found(recorder);
        }
        let mut state = self.state();
        if head.status.is_success() {
            self.session_named(recorder, &mut state, headers);
        }
        state.response = Some(ResponseHead {
            status: head.status,
            ttfb_us: self.elapsed_us(),
            opaque,
            event_stream: headers.media() == Media::EventStream,
            resumable: false,
            text: None,
        });
        std::mem::take(&mut state.memory)
    }

    /// A 404 ends the session that a request names, unless it is of a revision
    /// without sessions, where it says that there is no such method.
    fn not_found(&self, recorder: &Recorder) {
        let modern =
            self.head.is_modern() || self.state().calls.iter().flatten().any(|call| call.modern);
        if let (Some(session), false) = (&self.head.session, modern) {
            recorder.session_not_found(&session.id, self.head.path);
        }
    }

    /// An `initialize` belongs to the session that its response names.
    fn session_named(&self, recorder: &Recorder, state: &mut State, headers: &Headers<'_>) {
        let slot = state.slot;
        let Some(call) = state
            .calls
            .iter_mut()
            .flatten()
            .find(|call| call.client.is_some())
        else {
            return;
        };
        if let Some((session, _)) = head::session_in_header(recorder, headers) {
            recorder.session_named(slot, &session.id);
            call.session = CallSession::Named(session);
        }
    }

    pub(super) fn response_bytes(&self, len: usize) {
        add(&self.response_bytes, len);
    }

    /// Whether a request waits for this answer.
    pub(super) fn awaits(&self, answer: &Answer) -> bool {
        let state = self.state();
        let mut waiting = state
            .calls
            .iter()
            .flatten()
            .filter(|call| call.outcome.is_none());
        waiting.any(|call| answer.id.is_none_or(|id| call.id == Some(id)))
    }

    /// Whether every request is known and has its answer.
    pub(super) fn is_settled(&self) -> bool {
        let state = self.state();
        state.open == 0 && state.known_by != KnownBy::Nothing
    }

    pub(super) fn begins_session(&self) -> bool {
        self.begins_session.load(Relaxed)
    }

    pub(super) fn awaits_listing(&self) -> bool {
        self.awaits_listing.load(Relaxed)
    }

    /// The response is a stream that a client can resume.
    pub(super) fn resumable(&self) {
        if let Some(response) = &mut self.state().response {
            response.resumable = true;
        }
    }

    /// The rest of the response can't be read.
    pub(super) fn opaque(&self) {
        if let Some(response) = &mut self.state().response {
            response.opaque = true;
        }
    }

    /// The beginning of an error body that is plain text.
    pub(super) fn error_text(&self, text: Box<str>) {
        if let Some(response) = &mut self.state().response {
            response.text = Some(text);
        }
    }

    /// A JSON-RPC response passed; whether a request was waiting for it. A
    /// listing is read from the `document` in which it came.
    pub(super) fn answered_by(
        &self,
        recorder: &Recorder,
        answer: &Answer,
        mut document: Option<&mut Document>,
        measure: Measure,
    ) -> bool {
        let mut state = self.state();
        let State {
            calls,
            open,
            response,
            ..
        } = &mut *state;
        // An error that names no request is for the only one that waits; where
        // it is the whole body, it refuses a batch as a whole.
        let for_all = *open == 1 || matches!(measure, Measure::Json { alone: true });
        let mut matched = false;
        for slot in calls {
            let Some(call) = slot.as_mut().filter(|call| call.outcome.is_none()) else {
                continue;
            };
            if !answer.id.map_or(for_all, |id| call.id == Some(id)) {
                continue;
            }
            matched = true;
            *open -= 1;
            let bytes_out = match measure {
                Measure::Json { .. } if !call.in_batch => BytesOut::Body,
                Measure::Event {
                    len,
                    several: false,
                } => BytesOut::Exactly(len),
                Measure::Json { .. } | Measure::Event { .. } => BytesOut::Exactly(answer.len),
            };
            let outcome = self.outcome(recorder, call, answer, document.as_deref_mut(), bytes_out);
            if bytes_out == BytesOut::Body {
                call.outcome = Some(outcome);
            } else if let Some(call) = slot.take() {
                self.emit(recorder, call, outcome, response.as_ref());
            }
            if answer.id.is_some() {
                break;
            }
        }
        matched
    }

    /// The answer to a request passed on a GET stream of its session; whether
    /// the request is one of this exchange.
    ///
    /// That may be while the exchange is still open: the server may have failed
    /// to notice that the client left, or be about to say 202.
    pub(super) fn answered_elsewhere(
        &self,
        recorder: &Recorder,
        answer: &Answer,
        document: Option<&mut Document>,
        event_len: u64,
    ) -> bool {
        let mut state = self.state();
        let State {
            calls,
            open,
            response,
            ..
        } = &mut *state;
        let waits = |call: &Call| call.outcome.is_none() && call.id == answer.id && !call.modern;
        let mut waiting = calls
            .iter_mut()
            .filter(|slot| answer.id.is_some() && slot.as_ref().is_some_and(waits));
        let Some((slot, mut call)) = waiting
            .next()
            .and_then(|slot| slot.take().map(|call| (slot, call)))
        else {
            return false;
        };
        *open -= 1;
        let outcome = if self.is_by_query() {
            let bytes_out = BytesOut::Exactly(event_len);
            self.outcome(recorder, &mut call, answer, document, bytes_out)
        } else {
            let mut outcome = self.outcome(recorder, &mut call, answer, document, BytesOut::None);
            outcome.end_reason = Some(EndReason::Resumed);
            outcome
        };
        if response.is_none() {
            // The row waits for the HTTP status, so that the winner of this
            // race cannot be told from it.
            call.outcome = Some(outcome);
            *slot = Some(call);
            return true;
        }
        self.emit(recorder, call, outcome, response.as_ref());
        self.close_if_settled(recorder, &mut state);
        true
    }

    /// What an answer makes of its request; begins the session that it opens,
    /// and hands the listing over that it holds.
    fn outcome(
        &self,
        recorder: &Recorder,
        call: &mut Call,
        answer: &Answer,
        document: Option<&mut Document>,
        bytes_out: BytesOut,
    ) -> Outcome {
        let mut outcome = answer.outcome.clone();
        outcome.latency_us = self.elapsed_us();
        outcome.bytes_out = bytes_out;
        let outcome = ending::answered(call, outcome);
        self.begin_session(recorder, call, &outcome, answer.server.as_deref());
        if let (Some(listing), Some(document), Some(found)) =
            (call.listing.take(), document, &answer.found)
            && outcome.status == RequestStatus::Ok
        {
            recorder.listed(&self.head, call, &listing, document, found);
        }
        outcome
    }

    /// The session that a successful answer begins.
    fn begin_session(
        &self,
        recorder: &Recorder,
        call: &mut Call,
        outcome: &Outcome,
        server: Option<&ServerInfo>,
    ) {
        if let CallSession::Derived(session) = &call.session {
            session.announce(recorder, server);
        }
        let Some(client) = call.client.take() else {
            return;
        };
        let version = server.and_then(|server| server.protocol_version.clone());
        if call.protocol_version.is_none() {
            call.protocol_version = version.clone();
        }
        let CallSession::Named(session) = &call.session else {
            return;
        };
        if outcome.status != RequestStatus::Ok {
            return;
        }
        let source = match session.by_query {
            true => SessionSource::Query,
            false => SessionSource::Header,
        };
        let ClientInfo {
            name,
            version: client_version,
        } = *client;
        let mut event = recorder.session(session.id.clone(), self.head.ts, source);
        event.client_name = name;
        event.client_version = client_version;
        event.protocol_version = version.clone();
        if let Some(server) = server {
            event.server_name = server.name.clone();
            event.server_version = server.version.clone();
        }
        recorder.sessions.opened(session, self.head.path, version);
        recorder.store.record(StoreEvent::Session(event));
    }

    /// The client cancelled a request; whether it is one of this exchange.
    pub(super) fn cancelled(
        &self,
        recorder: &Recorder,
        request: Token,
        reason: Option<&str>,
    ) -> bool {
        let mut state = self.state();
        let waits = |call: &Call| call.outcome.is_none() && call.id == Some(request);
        let Some(call) = state.calls.iter_mut().flatten().find(|call| waits(call)) else {
            return false;
        };
        call.cancelled = Some(reason.unwrap_or_default().into());
        // Whoever cancels does not come back for the answer.
        if let Phase::Detached(ending) = &state.phase {
            let ending = ending.clone();
            let mut meant = state
                .calls
                .iter_mut()
                .filter(|slot| slot.as_ref().is_some_and(waits));
            if let Some(call) = meant.next().and_then(Option::take) {
                state.open -= 1;
                let response = state.response.as_ref();
                let outcome = self.unanswered(&ending, response, &call);
                self.emit(recorder, call, outcome, response);
                self.close_if_settled(recorder, &mut state);
            }
        }
        true
    }
}

/// A new id of a request that was received at this time. It needs no order
/// among those of the same millisecond, which `Uuid::now_v7` takes a lock and
/// reads the clock again for.
fn request_id(unix_ms: i64) -> Uuid {
    let since_epoch = Duration::from_millis(unix_ms.unsigned_abs());
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        since_epoch.as_secs(),
        since_epoch.subsec_nanos(),
    ))
}

/// Adds to a sum to which nobody else adds at the same time: a body is polled
/// by one at a time.
fn add(sum: &AtomicU64, len: usize) {
    sum.store(sum.load(Relaxed) + len as u64, Relaxed);
}
