//! Handles the response: its head, and the answers in its body or on another stream
//! of the session.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use http::StatusCode;

use super::call::{Answer, AnswerCopy, Call, CallState};
use super::decide::{self, Refusal, ResponseHead};
use super::effect::{Effect, Effects};
use super::outcome::{BytesOut, Outcome};
use super::task_notice::TaskNotice;
use super::{Exchange, KnownBy, Phase, State, add};
use crate::capture::context::Context;
use crate::capture::http::{Headers, Media};
use crate::capture::listing::ListingAnswer;
use crate::capture::request_context::Era;
use crate::capture::session::{self, CallSession, NamedSession, ServerInfo};
use crate::event::{RequestStatus, SessionSource};
use crate::wire::Scanner;

/// The most bytes of copies of answers that one exchange remembers.
const COPIED_BYTES: usize = 64 * 1024;

/// How the size of the current answer is determined.
#[derive(Debug, Clone, Copy)]
pub(in crate::capture) enum SizeRule {
    /// By the JSON body; the answer is `alone` there or in an array.
    Json { alone: bool },
    /// By its event, which ended this many bytes after the last answer's event. Several
    /// answers may share the event.
    Event { len: u64, several: bool },
}

/// The use of an answer on another stream for a request of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) enum CopyUse {
    /// It answers a request that can only be answered elsewhere.
    Answer,
    /// Like `Answer`; a request whose own exchange is open remembers it.
    Remember,
}

impl Exchange {
    /// Returns whether a request of the exchange is an `initialize`.
    pub(in crate::capture) fn initializes(&self) -> bool {
        let state = self.state();
        let mut calls = state.calls.iter().filter_map(CallState::call);
        calls.any(|call| call.client.is_some())
    }

    /// Handles the response head. `named` is the session that the head names, if the
    /// exchange initializes. Returns the scanner of the request, which then reads the
    /// body.
    pub(in crate::capture) fn answered(
        &self,
        effects: &mut Effects,
        status: StatusCode,
        headers: &Headers<'_>,
        opaque: bool,
        named: Option<Arc<str>>,
    ) -> Option<Box<Scanner>> {
        let mut state = self.state();
        if status == StatusCode::NOT_FOUND {
            self.not_found(&state, effects);
        }
        // An `initialize` belongs to the session that its response names.
        let mut calls = state.calls.iter_mut().filter_map(CallState::call_mut);
        if let Some(id) = named
            && let Some(call) = calls.find(|call| call.client.is_some())
        {
            effects.push(Effect::SessionNamed(id.clone()));
            let by_query = false;
            call.session = CallSession::Named(NamedSession { id, by_query });
        }
        state.response = Some(ResponseHead {
            status,
            ttfb_us: self.elapsed_us(),
            opaque,
            event_stream: headers.media() == Media::EventStream,
            resumable: false,
            text: None,
            refusal: None,
        });
        state.scanner.take()
    }

    /// Handles a 404, which ends the session that a request names. If the request or
    /// the session is of a revision without sessions, the 404 may only mean that there
    /// is no such method.
    fn not_found(&self, state: &State, effects: &mut Effects) {
        let mut calls = state.calls.iter().filter_map(CallState::call);
        let modern = self.head.era != Era::Unsaid || calls.any(|call| call.modern);
        if let (Some(session), false) = (&self.head.session, modern) {
            effects.push(Effect::SessionNotFound(session.id.clone()));
        }
    }

    pub(in crate::capture) fn response_bytes(&self, len: usize) {
        add(&self.response_bytes, len);
    }

    /// Returns whether a request waits for this answer.
    pub(in crate::capture) fn awaits(&self, answer: &Answer) -> bool {
        let state = self.state();
        let mut waiting = state.calls.iter().filter_map(CallState::waiting);
        waiting.any(|call| answer.id.is_none_or(|id| call.id == Some(id)))
    }

    /// Returns whether every request is known and has its answer.
    pub(in crate::capture) fn is_settled(&self) -> bool {
        let state = self.state();
        let waits = state.calls.iter().any(|call| call.waiting().is_some());
        !waits && state.known_by != KnownBy::Nothing
    }

    pub(in crate::capture) fn begins_session(&self) -> bool {
        self.begins_session.load(Relaxed)
    }

    pub(in crate::capture) fn awaits_listing(&self) -> bool {
        self.awaits_listing.load(Relaxed)
    }

    /// Notes that the response is a stream that a client can resume.
    pub(in crate::capture) fn resumable(&self) {
        if let Some(response) = &mut self.state().response {
            response.resumable = true;
        }
    }

    /// Notes that the rest of the response cannot be read.
    pub(in crate::capture) fn opaque(&self) {
        if let Some(response) = &mut self.state().response {
            response.opaque = true;
        }
    }

    /// Takes the beginning of an error body that is plain text.
    pub(in crate::capture) fn error_text(&self, text: Box<str>) {
        if let Some(response) = &mut self.state().response {
            response.text = Some(text);
        }
    }

    /// Handles notifications about tasks in the response.
    pub(in crate::capture) fn tasks_notified(
        &self,
        cx: &Context,
        effects: &mut Effects,
        notices: Vec<TaskNotice>,
    ) {
        let state = self.state();
        let session = match state.calls.iter().find_map(CallState::call) {
            Some(call) => call.session.clone(),
            None => {
                let named = self.head.session.clone();
                named.map_or(CallSession::None, CallSession::Named)
            }
        };
        let caller = self.head.caller_in(&session);
        let session_id = match session {
            CallSession::Named(session) => Some(session.id),
            CallSession::Derived(_) | CallSession::None => None,
        };
        effects.list.extend(
            notices
                .into_iter()
                .map(|notice| Effect::TaskStatus(notice.event(cx, session_id.clone(), caller))),
        );
    }

    /// Handles a JSON-RPC response. Returns whether a request waited for it. If a
    /// request asked for a listing, takes `found` out of the answer.
    pub(in crate::capture) fn answered_by(
        &self,
        cx: &Context,
        effects: &mut Effects,
        answer: &mut Answer,
        size: SizeRule,
    ) -> bool {
        let mut state = self.state();
        let State {
            calls, response, ..
        } = &mut *state;
        let alone = matches!(size, SizeRule::Json { alone: true });
        // An error that names no request belongs to the only waiting request. If it is the
        // whole body, it refuses the whole batch.
        let for_all = answer.id.is_none()
            && (alone || calls.iter().filter_map(CallState::waiting).count() == 1);
        let mut matched = false;
        for slot in calls.iter_mut() {
            let Some(call) = slot.waiting_mut() else {
                continue;
            };
            if !answer.id.map_or(for_all, |id| call.id == Some(id)) {
                continue;
            }
            matched = true;
            let bytes_out = match size {
                SizeRule::Json { .. } if !call.in_batch => BytesOut::Body,
                SizeRule::Event {
                    len,
                    several: false,
                } => BytesOut::Exactly(len),
                SizeRule::Json { .. } | SizeRule::Event { .. } => BytesOut::Exactly(answer.len),
            };
            let outcome = self.outcome(cx, effects, call, answer, bytes_out);
            if bytes_out == BytesOut::Body {
                slot.answered(outcome);
            } else {
                self.emit(cx, effects, slot, outcome, response.as_ref());
            }
            if answer.id.is_some() {
                break;
            }
        }
        // Servers give such an error an id of their own (Python 1.x "server-error"), send
        // it with 200 (tower-mcp), or send it before the requests are known.
        if let (false, true, RequestStatus::Error, Some(response)) =
            (matched, alone, answer.outcome.status, response)
            && (response.is_error() || answer.id.is_none())
        {
            response.refusal = Some(Refusal::of(answer));
        }
        matched
    }

    /// Handles an answer that passed on a GET stream of its session. Returns whether
    /// the exchange has such a request and can use the answer in this way.
    ///
    /// While the exchange is open, it can still answer the request itself. The passed
    /// answer may be the replay of an older one, and is only remembered. (In 2024-11-05
    /// every answer comes on the GET stream, and the server may be about to send 202.)
    pub(in crate::capture) fn answered_elsewhere(
        &self,
        cx: &Context,
        effects: &mut Effects,
        answer: &mut Answer,
        copy_use: CopyUse,
        event_len: u64,
    ) -> bool {
        let mut state = self.state();
        let may_answer = matches!(state.phase, Phase::Open) && !self.is_by_query();
        match (may_answer, copy_use) {
            (true, CopyUse::Remember) => return self.remember_copy(&mut state, answer),
            (true, CopyUse::Answer) => return false,
            (false, _) => {}
        }
        let State {
            calls, response, ..
        } = &mut *state;
        let slot = calls.iter_mut().find(|slot| {
            let call = slot.waiting();
            call.is_some_and(|call| call.waits_elsewhere(answer))
        });
        let Some(slot) = slot else {
            return false;
        };
        let Some(call) = slot.waiting_mut() else {
            return false;
        };
        let outcome = if self.is_by_query() {
            let bytes_out = BytesOut::Exactly(event_len);
            self.outcome(cx, effects, call, answer, bytes_out)
        } else {
            let outcome = self.outcome(cx, effects, call, answer, BytesOut::None);
            decide::resumed(outcome)
        };
        if response.is_none() {
            // The row waits for the HTTP status, so that it does not depend on which of the two
            // comes first.
            slot.answered(outcome);
            return true;
        }
        self.emit(cx, effects, slot, outcome, response.as_ref());
        self.finish_if_settled(&mut state, effects);
        true
    }

    /// Remembers a copy of the answer to a request. Returns whether a request had none.
    fn remember_copy(&self, state: &mut State, answer: &Answer) -> bool {
        let State { calls, copied, .. } = state;
        let mut waiting = calls.iter_mut().filter_map(CallState::waiting_mut);
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

    /// Returns the outcome of a request whose exchange ended without its answer, while
    /// a copy of the answer passed elsewhere.
    pub(super) fn outcome_of_copy(
        &self,
        cx: &Context,
        effects: &mut Effects,
        call: &mut Call,
        copy: AnswerCopy,
        response: Option<&ResponseHead>,
    ) -> Outcome {
        let AnswerCopy {
            mut outcome,
            server,
        } = copy;
        // The copy may have arrived before the head.
        let ttfb_us = response.map_or(0, |response| response.ttfb_us);
        outcome.latency_us = outcome.latency_us.max(ttfb_us);
        let outcome = decide::resumed(decide::answered(call, outcome));
        self.begin_session(cx, effects, call, &outcome, server.as_deref());
        outcome
    }

    /// Returns the outcome of an answered request. Begins the session that the answer
    /// opens, and adds an effect for a listing in it.
    fn outcome(
        &self,
        cx: &Context,
        effects: &mut Effects,
        call: &mut Call,
        answer: &mut Answer,
        bytes_out: BytesOut,
    ) -> Outcome {
        let mut outcome = answer.outcome.clone();
        outcome.latency_us = self.elapsed_us();
        outcome.bytes_out = bytes_out;
        let outcome = decide::answered(call, outcome);
        self.begin_session(cx, effects, call, &outcome, answer.server.as_deref());
        if let Some(listing) = call.listing.take()
            && outcome.status == RequestStatus::Ok
            && let Some(found) = answer.found.take()
        {
            effects.push(Effect::Listing(ListingAnswer {
                call: listing,
                found,
                session: call.session.clone(),
                protocol_version: call.protocol_version.clone(),
                caller: self.head.caller.clone(),
            }));
        }
        outcome
    }

    /// Begins the session that a successful answer opens.
    fn begin_session(
        &self,
        cx: &Context,
        effects: &mut Effects,
        call: &mut Call,
        outcome: &Outcome,
        server: Option<&ServerInfo>,
    ) {
        if let (CallSession::Derived(session), Some(server)) = (&call.session, server) {
            effects.push(Effect::Announce {
                session: session.clone(),
                server: Some(Box::new(server.clone())),
            });
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
        let id = session.id.clone();
        let caller = self.head.caller.digest(Some(&client));
        let mut event = session::begun(cx, id, self.head.caller.ts, source, *client, server);
        event.protocol_version = version;
        event.caller = caller;
        effects.push(Effect::Session {
            session: session.clone(),
            event,
        });
    }
}
