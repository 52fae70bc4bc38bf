//! How an exchange ends, and the row of each of its requests.

use std::sync::atomic::Ordering::Relaxed;

use super::call::{Call, CallState};
use super::decide::{self, HttpEnd, ResponseHead};
use super::effect::{Effect, Effects};
use super::leg;
use super::outcome::{BytesOut, Outcome};
use super::{Exchange, KnownBy, Phase, State};
use crate::capture::context::Context;
use crate::capture::no_row::{NoRow, Unread};
use crate::capture::session::CallSession;
use crate::event::{EndReason, RequestEvent, RpcId, TaskId};

impl Exchange {
    /// Ends the HTTP part of the exchange. A second call does nothing, except that
    /// [`HttpEnd::Shutdown`] also ends a detached exchange.
    pub(in crate::capture) fn end(&self, cx: &Context, effects: &mut Effects, end: HttpEnd) {
        let mut state = self.state();
        match &state.phase {
            Phase::Over(_) => return,
            Phase::Detached(_) if end != HttpEnd::Shutdown => return,
            Phase::Detached(_) => {}
            Phase::Open => cx.http_done(),
        }
        let end = match end {
            HttpEnd::BodyFailed | HttpEnd::Dropped if state.request_failed => HttpEnd::CallerGone,
            end => end,
        };
        if state.known_by == KnownBy::Nothing && self.may_hold_requests(&end, &state) {
            state.known_by = match self.unread_call(cx) {
                // A body without any MCP header is seldom an MCP request.
                _ if !self.head.may_be_json => {
                    effects.push(Effect::NoRow(NoRow::OtherMedia));
                    KnownBy::Nothing
                }
                Some(call) => {
                    state.calls.push(CallState::Waiting(call));
                    KnownBy::Headers
                }
                None => {
                    if state.request_over {
                        let why = NoRow::Unidentified(state.unread);
                        effects.push(Effect::NoRow(why));
                    }
                    KnownBy::Unidentified
                }
            };
        }
        let waits = !cx.is_closed() && !state.session_over;
        let State {
            calls,
            response,
            session_over,
            ..
        } = &mut *state;
        let response = response.as_ref();
        let mut waiting = 0;
        for slot in calls.iter_mut() {
            let elsewhere = slot
                .waiting()
                .is_some_and(|call| self.may_come_elsewhere(&end, response, call));
            if elsewhere && waits {
                waiting += 1;
                continue;
            }
            let (call, outcome) = match std::mem::replace(slot, CallState::Done) {
                CallState::Done => continue,
                CallState::Answered(call, outcome) => (call, outcome),
                CallState::Waiting(mut call) => {
                    let outcome = match call.copy.take() {
                        Some(copy) => self.outcome_of_copy(cx, effects, &mut call, *copy, response),
                        None if elsewhere && *session_over => {
                            self.unanswered(&self.given_up(&end), response, &call)
                        }
                        None => self.unanswered(&end, response, &call),
                    };
                    (call, outcome)
                }
            };
            self.emit(cx, effects, call, outcome, response);
        }
        if waiting == 0 {
            return self.finish(&mut state, effects, end);
        }
        // Only waiting requests are kept.
        calls.retain(|call| call.waiting().is_some());
        calls.shrink_to_fit();
        state.scanner = None;
        let bytes = self.bytes(&state);
        state.phase = Phase::Detached(end);
        effects.push(Effect::Detach { bytes });
    }

    /// Returns the bytes of memory that a detached exchange holds.
    fn bytes(&self, state: &State) -> usize {
        let calls = state.calls.iter().map(CallState::heap).sum::<usize>();
        let spilled = match state.calls.spilled() {
            true => state.calls.capacity() * size_of::<CallState>(),
            false => 0,
        };
        let response = state.response.as_ref().and_then(|head| head.text.as_ref());
        let response = response.map_or(0, |text| text.len());
        size_of::<Self>() + self.head.heap() + spilled + calls + response
    }

    /// Reports that the session is over: no answer comes on its streams any more.
    pub(in crate::capture) fn session_over(&self, cx: &Context, effects: &mut Effects) {
        self.state().session_over = true;
        self.give_up(cx, effects);
    }

    /// Ends a detached exchange: its requests no longer wait for an answer elsewhere.
    pub(in crate::capture) fn give_up(&self, cx: &Context, effects: &mut Effects) {
        let mut state = self.state();
        let Phase::Detached(end) = &state.phase else {
            return;
        };
        let end = self.given_up(end);
        for mut call in std::mem::take(&mut state.calls) {
            if let Some(call) = call.take_waiting() {
                let response = state.response.as_ref();
                let outcome = self.unanswered(&end, response, &call);
                self.emit(cx, effects, call, outcome, response);
            }
        }
        self.finish(&mut state, effects, end);
    }

    /// Returns the end of an exchange whose answer was expected elsewhere.
    fn given_up(&self, end: &HttpEnd) -> HttpEnd {
        match end {
            HttpEnd::Complete => HttpEnd::Detached,
            _ if self.is_by_query() => HttpEnd::Detached,
            end => end.clone(),
        }
    }

    /// Ends a detached exchange whose last request has its answer.
    pub(super) fn finish_if_settled(&self, state: &mut State, effects: &mut Effects) {
        let waits = state.calls.iter().any(|call| call.waiting().is_some());
        if let (false, Phase::Detached(end)) = (waits, &state.phase) {
            let end = end.clone();
            self.finish(state, effects, end);
        }
    }

    fn finish(&self, state: &mut State, effects: &mut Effects, end: HttpEnd) {
        self.awaits_listing.store(false, Relaxed);
        state.phase = Phase::Over(end);
        effects.push(Effect::Finished);
    }

    /// Returns whether the session is one of the 2024-11-05 transport.
    pub(super) fn is_by_query(&self) -> bool {
        self.head
            .session
            .as_ref()
            .is_some_and(|session| session.by_query)
    }

    /// Returns whether the answer to a request may come on another stream of its session.
    fn may_come_elsewhere(
        &self,
        end: &HttpEnd,
        response: Option<&ResponseHead>,
        call: &Call,
    ) -> bool {
        let went_well = |response: &&ResponseHead| response.status.is_success();
        let (
            HttpEnd::Complete | HttpEnd::BodyFailed | HttpEnd::Dropped | HttpEnd::CallerGone,
            Some(response),
        ) = (end, response.filter(went_well))
        else {
            return false;
        };
        let CallSession::Named(session) = &call.session else {
            return false;
        };
        let waits =
            call.copy.is_none() && call.cancelled.is_none() && !call.modern && !call.is_unread();
        let resumable = response.event_stream && response.resumable && !response.opaque;
        waits && (session.by_query || resumable)
    }

    pub(super) fn unanswered(
        &self,
        end: &HttpEnd,
        response: Option<&ResponseHead>,
        call: &Call,
    ) -> Outcome {
        let mut outcome = decide::unanswered(end, response, call);
        outcome.latency_us = self.elapsed_us();
        outcome
    }

    /// Returns whether a body that names no request may have held one that the server
    /// executed, or refused without reading it.
    fn may_hold_requests(&self, end: &HttpEnd, state: &State) -> bool {
        match (end, &state.response) {
            // The server read the body and found no JSON either.
            (_, Some(response)) if response.is_error() || response.status.is_redirection() => {
                state.unread != Unread::Unclosed
            }
            (_, Some(_)) => state.unread != Unread::Broken,
            (HttpEnd::ServiceFailed(_) | HttpEnd::Panicked, None) => {
                state.unread != Unread::Unclosed
            }
            // The caller left before it had sent the whole body.
            (_, None) => state.unread == Unread::Undecodable,
        }
    }

    /// Returns the request of a body that was not read, if the mirror headers name one.
    fn unread_call(&self, cx: &Context) -> Option<Call> {
        let method = self.head.mirror.method();
        let method = method.filter(|method| !method.starts_with("notifications/"))?;
        let name = self.head.mirror.name();
        let id = self.request_id;
        Some(Call::unread(id, method, name, cx, &self.head))
    }

    /// Adds the row of a request, unless its method is skipped.
    pub(super) fn emit(
        &self,
        cx: &Context,
        effects: &mut Effects,
        call: Call,
        mut outcome: Outcome,
        response: Option<&ResponseHead>,
    ) {
        let leg = leg::joined(call.leg, &mut outcome);
        let leg = leg.map(|mut leg| {
            // The id in a request was counted when the request arrived.
            let task_id = leg.task_id.as_ref();
            if outcome.end_reason == Some(EndReason::Task) && task_id.is_some_and(TaskId::was_cut) {
                cx.count_truncated(1);
            }
            leg.caller = self.head.caller_in(&call.session);
            if let (Some(task), false) = (&mut leg.task_outcome, cx.config.error_text) {
                task.error_msg = None;
            }
            leg
        });
        let (session_id, session) = match call.session {
            CallSession::None => (None, None),
            CallSession::Named(session) => (Some(session.id), None),
            CallSession::Derived(session) => (Some(session.id.clone()), Some(session)),
        };
        if cx.skips(&call.method) {
            effects.push(Effect::NoRow(NoRow::Skipped(call.method)));
            if let Some(session) = session {
                let server = None;
                effects.push(Effect::Announce { session, server });
            }
            return;
        }
        let mut row = RequestEvent::received(
            call.request_id,
            self.head.caller.ts,
            cx.config.proxy.clone(),
            call.method,
            outcome.status,
        );
        row.session_id = session_id;
        row.tool = call.tool;
        row.target = call.target;
        row.latency_us = outcome.latency_us;
        row.error_code = outcome.error_code;
        // The text of a failing tool is present only if the layer is configured to keep it.
        if cx.config.error_text || outcome.tool_error {
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
        row.principal = self.head.caller.principal.clone();
        row.trace_id = call.traceparent.map(|parent| parent.trace_id);
        row.parent_span_id = call.traceparent.map(|parent| parent.parent_span_id);
        row.rpc_id = call.id.as_ref().and_then(RpcId::of);
        row.leg = leg;
        self.pending_rows.fetch_add(1, Relaxed);
        effects.push(Effect::Row { row, session });
    }
}
