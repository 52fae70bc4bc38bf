//! What the response says: its head, and the answers in its body or on another
//! stream of the session.

use std::sync::atomic::Ordering::Relaxed;

use http::{StatusCode, response};

use super::super::call::{
    Answer, AnswerCopy, BytesOut, Call, CallSession, Outcome, Refusal, ServerInfo,
};
use super::super::ending::{self, ResponseHead};
use super::super::head::{self, Era, NamedSession};
use super::super::headers::{Headers, Media};
use super::super::listing::Document;
use super::super::recorder::Recorder;
use super::super::session::{ClientInfo, Known};
use super::{Elsewhere, Exchange, KnownBy, Measure, Phase, State, add};
use crate::event::{RequestStatus, SessionSource, StoreEvent};
use crate::wire::{EventId, Memory};

/// How much of the copies of answers one exchange remembers, in bytes.
const COPIED_BYTES: usize = 64 * 1024;

impl Exchange {
    /// The response head came; gives the memory to read the body with.
    pub(in super::super) fn answered(
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
            refusal: None,
        });
        std::mem::take(&mut state.memory)
    }

    /// A 404 ends the session that a request names. Where the request or the session
    /// is of a revision without sessions, it may say that there is no such method.
    fn not_found(&self, recorder: &Recorder) {
        let modern = self.head.era != Era::Unsaid
            || self.state().calls.iter().flatten().any(|call| call.modern);
        if let (Some(session), false) = (&self.head.session, modern) {
            recorder.session_not_found(&session.id, self.head.path);
        }
    }

    /// An `initialize` belongs to the session that its response names.
    fn session_named(&self, recorder: &Recorder, state: &mut State, headers: &Headers<'_>) {
        let State { calls, slot, .. } = state;
        let mut all = calls.iter_mut().flatten();
        let Some(call) = all.find(|call| call.client.is_some()) else {
            return;
        };
        if let Some(Known { id, .. }) = head::session_in_header(recorder, headers) {
            recorder.session_named(slot, &id);
            call.session = CallSession::Named(NamedSession {
                id,
                by_query: false,
            });
            recorder.index(slot, calls);
        }
    }

    pub(in super::super) fn response_bytes(&self, len: usize) {
        add(&self.response_bytes, len);
    }

    /// Whether a request waits for this answer.
    pub(in super::super) fn awaits(&self, answer: &Answer) -> bool {
        let state = self.state();
        let mut waiting = state
            .calls
            .iter()
            .flatten()
            .filter(|call| call.outcome.is_none());
        waiting.any(|call| answer.id.is_none_or(|id| call.id == Some(id)))
    }

    /// Whether every request is known and has its answer.
    pub(in super::super) fn is_settled(&self) -> bool {
        let state = self.state();
        state.open == 0 && state.known_by != KnownBy::Nothing
    }

    pub(in super::super) fn begins_session(&self) -> bool {
        self.begins_session.load(Relaxed)
    }

    pub(in super::super) fn awaits_listing(&self) -> bool {
        self.awaits_listing.load(Relaxed)
    }

    /// The response is a stream that a client can resume.
    pub(in super::super) fn resumable(&self) {
        if let Some(response) = &mut self.state().response {
            response.resumable = true;
        }
    }

    /// The rest of the response can't be read.
    pub(in super::super) fn opaque(&self) {
        if let Some(response) = &mut self.state().response {
            response.opaque = true;
        }
    }

    /// The beginning of an error body that is plain text.
    pub(in super::super) fn error_text(&self, text: Box<str>) {
        if let Some(response) = &mut self.state().response {
            response.text = Some(text);
        }
    }

    /// A JSON-RPC response passed; whether a request was waiting for it. A
    /// listing is read from the `document` in which it came.
    pub(in super::super) fn answered_by(
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
        // Servers give such an error an id of their own (Python 1.x "server-error"),
        // send it with 200 (tower-mcp), or answer before the requests are known.
        if let (false, Measure::Json { alone: true }, RequestStatus::Error, Some(response)) =
            (matched, measure, answer.outcome.status, response)
            && (response.is_error() || answer.id.is_none())
        {
            response.refusal = Some(Refusal::of(answer));
        }
        matched
    }

    /// The answer to a request of a session came in this event, which may be replayed
    /// on a GET stream.
    pub(in super::super) fn answered_in(
        &self,
        recorder: &Recorder,
        answer: &Answer,
        event: EventId,
    ) {
        if let (Some(session), Some(request)) = (&self.head.session, answer.id) {
            recorder.answered_in(&session.id, request, event);
        }
    }

    /// The answer to a request passed on a GET stream of its session; whether
    /// the request is one of this exchange, and waits for an answer in this way.
    ///
    /// While the exchange is open, it can still answer the request itself: what
    /// passed may be the replay of an older answer. So that is remembered at most.
    /// (In 2024-11-05 every answer comes on the GET stream, and the server may be
    /// about to say 202.)
    pub(in super::super) fn answered_elsewhere(
        &self,
        recorder: &Recorder,
        answer: &Answer,
        way: Elsewhere,
        document: Option<&mut Document>,
        event_len: u64,
    ) -> bool {
        let mut state = self.state();
        let may_answer = matches!(state.phase, Phase::Open) && !self.is_by_query();
        match (may_answer, way) {
            (true, Elsewhere::Copied) => return self.copied(&mut state, answer),
            (true, Elsewhere::Settled) => return false,
            (false, _) => {}
        }
        let State {
            calls,
            open,
            response,
            ..
        } = &mut *state;
        let waits = |call: &Call| call.waits_elsewhere(answer);
        let mut waiting = calls
            .iter_mut()
            .filter(|slot| slot.as_ref().is_some_and(waits));
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
            let outcome = self.outcome(recorder, &mut call, answer, document, BytesOut::None);
            ending::resumed(outcome)
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

    /// Remembers a copy of the answer to a request; whether there was one to be
    /// remembered.
    fn copied(&self, state: &mut State, answer: &Answer) -> bool {
        let State { calls, copied, .. } = state;
        let mut waiting = calls.iter_mut().flatten();
        let waits = |call: &&mut Call| call.waits_elsewhere(answer) && call.copy.is_none();
        let Some(call) = waiting.find(waits) else {
            return false;
        };
        let mut outcome = answer.outcome.clone();
        outcome.latency_us = self.elapsed_us();
        let copy = AnswerCopy {
            outcome,
            server: answer.server.clone(),
        };
        *copied += copy.size();
        if *copied <= COPIED_BYTES {
            call.copy = Some(Box::new(copy));
        }
        true
    }

    /// What the copy of an answer makes of its request, whose exchange has ended
    /// without one.
    pub(super) fn outcome_of_copy(
        &self,
        recorder: &Recorder,
        call: &mut Call,
        copy: AnswerCopy,
        response: Option<&ResponseHead>,
    ) -> Outcome {
        let AnswerCopy {
            mut outcome,
            server,
        } = copy;
        // The copy may have overtaken the head.
        let ttfb_us = response.map_or(0, |response| response.ttfb_us);
        outcome.latency_us = outcome.latency_us.max(ttfb_us);
        let outcome = ending::resumed(ending::answered(call, outcome));
        self.begin_session(recorder, call, &outcome, server.as_deref());
        outcome
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
            cut,
        } = *client;
        recorder.count_truncated(cut);
        let mut event = recorder.session(session.id.clone(), self.head.ts, source);
        event.client_name = name;
        event.client_version = client_version;
        event.protocol_version = version.clone();
        if let Some(server) = server {
            event.server_name = server.name.clone();
            event.server_version = server.version.clone();
            recorder.count_truncated(server.cut);
        }
        recorder.sessions.opened(session, self.head.path, version);
        recorder.store.record(StoreEvent::Session(event));
    }
}
