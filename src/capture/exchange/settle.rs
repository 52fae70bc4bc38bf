//! How an exchange ends, and what then becomes of each of its requests.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::call::{BytesOut, Call, CallSession, Outcome};
use super::super::ending::{self, Ending, ResponseHead};
use super::super::recorder::Recorder;
use super::{Exchange, KnownBy, Phase, State, Unread};
use crate::event::{RequestEvent, StoreEvent};
use crate::wire::Memory;

impl Exchange {
    /// The HTTP part of the exchange is over, or all of it; only the first call
    /// counts, and a shutdown.
    pub(in super::super) fn end(self: &Arc<Self>, recorder: &Recorder, ending: Ending) {
        let mut state = self.state();
        match &state.phase {
            Phase::Over(_) => return,
            Phase::Detached(_) if ending != Ending::Shutdown => return,
            Phase::Detached(_) => {}
            Phase::Open => recorder.landed(),
        }
        let ending = match ending {
            Ending::BodyFailed | Ending::Dropped if state.request_failed => Ending::CallerGone,
            ending => ending,
        };
        if state.known_by == KnownBy::Nothing && self.may_hold_requests(&ending, &state) {
            state.known_by = match self.unread_call(recorder) {
                Some(call) => {
                    state.calls.push(Some(call));
                    KnownBy::Headers
                }
                None => {
                    recorder.count_unidentified();
                    KnownBy::Nobody
                }
            };
        }
        let waits = !recorder.is_closed() && !state.session_over;
        let State {
            calls,
            open,
            response,
            session_over,
            slot,
            ..
        } = &mut *state;
        let response = response.as_ref();
        for slot in calls.iter_mut() {
            let elsewhere = slot
                .as_ref()
                .is_some_and(|call| self.may_come_elsewhere(&ending, response, call));
            if elsewhere && waits {
                continue;
            }
            let Some(mut call) = slot.take() else {
                continue;
            };
            let outcome = match (call.outcome.take(), call.copy.take()) {
                (Some(outcome), _) => outcome,
                (None, Some(copy)) => self.outcome_of_copy(recorder, &mut call, *copy, response),
                (None, None) if elsewhere && *session_over => {
                    self.unanswered(&self.given_up(&ending), response, &call)
                }
                (None, None) => self.unanswered(&ending, response, &call),
            };
            self.emit(recorder, call, outcome, response);
        }
        *open = calls.iter().flatten().count();
        if *open == 0 {
            return self.over(recorder, &mut state, ending);
        }
        // Only what waits is kept.
        calls.retain(|call| call.is_some());
        calls.shrink_to_fit();
        recorder.index(slot, calls);
        state.memory = Memory::default();
        let (slot, bytes) = (state.slot, self.bytes(&state));
        state.phase = Phase::Detached(ending);
        drop(state);
        recorder.detach(slot, self, bytes);
    }

    /// The bytes of memory that a detached exchange holds.
    fn bytes(&self, state: &State) -> usize {
        let calls = state.calls.iter().flatten().map(Call::heap).sum::<usize>();
        let spilled = match state.calls.spilled() {
            true => state.calls.capacity() * size_of::<Option<Call>>(),
            false => 0,
        };
        let response = state.response.as_ref().and_then(|head| head.text.as_ref());
        let response = response.map_or(0, |text| text.len());
        size_of::<Self>() + self.head.heap() + spilled + calls + response
    }

    /// The session is over: no answer comes on a stream of it any more.
    pub(in super::super) fn session_over(&self, recorder: &Recorder) {
        self.state().session_over = true;
        self.give_up(recorder);
    }

    /// What waits for its answer to come elsewhere waits no longer.
    pub(in super::super) fn give_up(&self, recorder: &Recorder) {
        let mut state = self.state();
        let Phase::Detached(ending) = &state.phase else {
            return;
        };
        let ending = self.given_up(ending);
        for call in std::mem::take(&mut state.calls).into_iter().flatten() {
            let response = state.response.as_ref();
            let outcome = self.unanswered(&ending, response, &call);
            self.emit(recorder, call, outcome, response);
        }
        self.over(recorder, &mut state, ending);
    }

    /// How an exchange ended whose answer was to come elsewhere.
    fn given_up(&self, ending: &Ending) -> Ending {
        match ending {
            Ending::Complete => Ending::Detached,
            _ if self.is_by_query() => Ending::Detached,
            ending => ending.clone(),
        }
    }

    pub(super) fn close_if_settled(&self, recorder: &Recorder, state: &mut State) {
        if state.open == 0
            && let Phase::Detached(ending) = &state.phase
        {
            let ending = ending.clone();
            self.over(recorder, state, ending);
        }
    }

    fn over(&self, recorder: &Recorder, state: &mut State, ending: Ending) {
        recorder.forget(state.slot);
        if self.awaits_listing.swap(false, Relaxed) {
            recorder.listings.expect_no_more();
        }
        state.phase = Phase::Over(ending);
    }

    /// The session is one of the 2024-11-05 transport.
    pub(super) fn is_by_query(&self) -> bool {
        self.head
            .session
            .as_ref()
            .is_some_and(|session| session.by_query)
    }

    /// Whether the answer to a request may come on another stream of its session.
    fn may_come_elsewhere(
        &self,
        ending: &Ending,
        response: Option<&ResponseHead>,
        call: &Call,
    ) -> bool {
        let went_well = |response: &&ResponseHead| response.status.is_success();
        let (
            Ending::Complete | Ending::BodyFailed | Ending::Dropped | Ending::CallerGone,
            Some(response),
        ) = (ending, response.filter(went_well))
        else {
            return false;
        };
        let CallSession::Named(session) = &call.session else {
            return false;
        };
        let answered = call.outcome.is_some() || call.copy.is_some();
        let waits = !answered && call.cancelled.is_none() && !call.modern && !call.is_unread();
        let resumable = response.event_stream && response.resumable && !response.opaque;
        waits && (session.by_query || resumable)
    }

    pub(super) fn unanswered(
        &self,
        ending: &Ending,
        response: Option<&ResponseHead>,
        call: &Call,
    ) -> Outcome {
        let mut outcome = ending::outcome(ending, response, call);
        outcome.latency_us = self.elapsed_us();
        outcome
    }

    /// Whether a body that told nothing may have held a request that the
    /// server executed, or refused without reading it.
    fn may_hold_requests(&self, ending: &Ending, state: &State) -> bool {
        let may = match (ending, &state.response) {
            // The server read it and found no JSON either.
            (_, Some(response)) if response.is_error() || response.status.is_redirection() => {
                state.unread != Unread::Unclosed
            }
            (_, Some(_)) => state.unread != Unread::Broken,
            (Ending::ServiceFailed(_) | Ending::Panicked, None) => state.unread != Unread::Unclosed,
            // The caller left, or was made to, while it was still sending.
            (_, None) => state.unread == Unread::Undecodable,
        };
        may && self.head.may_be_json
    }

    /// The request of a body that told nothing, as far as the mirror headers
    /// name it.
    fn unread_call(&self, recorder: &Recorder) -> Option<Call> {
        let method = self.head.mirror.method();
        let method = method.filter(|method| !method.starts_with("notifications/"))?;
        let name = self.head.mirror.name();
        let id = self.request_id;
        Some(Call::unread(id, method, name, recorder, &self.head))
    }

    pub(super) fn emit(
        &self,
        recorder: &Recorder,
        call: Call,
        outcome: Outcome,
        response: Option<&ResponseHead>,
    ) {
        let session_id = match &call.session {
            CallSession::None => None,
            CallSession::Named(session) => Some(session.id.clone()),
            CallSession::Derived(session) => {
                session.announce(recorder, None);
                Some(session.id.clone())
            }
        };
        if recorder.skips(&call.method) {
            return;
        }
        let proxy = recorder.config.proxy.clone();
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
        if recorder.config.error_text {
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
        recorder.store.record(StoreEvent::Request(row));
    }
}
