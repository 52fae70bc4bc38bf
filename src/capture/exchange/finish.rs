//! How an exchange ends, and the row of each of its requests.

use std::sync::atomic::Ordering::Relaxed;

use super::call::{Call, CallState};
use super::decide::{self, HttpEnd, ResponseHead};
use super::effect::{Effect, Effects, Row};
use super::leg;
use super::outcome::{BytesOut, Outcome};
use super::{Exchange, KnownBy, Phase, State, add};
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
                    state.calls.push(CallState::new(call));
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
            let CallState::Open { call, answer } = slot else {
                continue;
            };
            let outcome = match answer.take() {
                Some(outcome) => outcome,
                None => {
                    let elsewhere = self.may_come_elsewhere(&end, response, call);
                    if elsewhere && waits {
                        waiting += 1;
                        continue;
                    }
                    match call.copy.take() {
                        Some(copy) => self.outcome_of_copy(cx, effects, call, *copy, response),
                        None if elsewhere && *session_over => {
                            self.unanswered(&self.given_up(&end), response, call)
                        }
                        None => self.unanswered(&end, response, call),
                    }
                }
            };
            self.emit(cx, effects, slot, outcome, response);
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
        for mut slot in std::mem::take(&mut state.calls) {
            if let Some(call) = slot.waiting() {
                let response = state.response.as_ref();
                let outcome = self.unanswered(&end, response, call);
                self.emit(cx, effects, &mut slot, outcome, response);
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
        effects.finished = true;
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

    /// Adds the row of an open request, unless its method is skipped. The request is
    /// then done.
    pub(super) fn emit(
        &self,
        cx: &Context,
        effects: &mut Effects,
        slot: &mut CallState,
        mut outcome: Outcome,
        response: Option<&ResponseHead>,
    ) {
        let Some(call) = slot.call_mut() else {
            return;
        };
        let leg = leg::joined(call.leg.take(), &mut outcome);
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
        let (session_id, session) = match std::mem::replace(&mut call.session, CallSession::None) {
            CallSession::None => (None, None),
            CallSession::Named(session) => (Some(session.id), None),
            CallSession::Derived(session) => (Some(session.id.clone()), Some(session)),
        };
        if cx.skips(&call.method) {
            effects.push(Effect::NoRow(NoRow::Skipped(std::mem::take(
                &mut call.method,
            ))));
            if let Some(session) = session {
                let server = None;
                effects.push(Effect::Announce { session, server });
            }
            *slot = CallState::Done;
            return;
        }
        let traceparent = call.traceparent;
        let event = RequestEvent {
            request_id: call.request_id,
            ts: self.head.caller.ts,
            proxy: cx.config.proxy.clone(),
            session_id,
            method: std::mem::take(&mut call.method),
            tool: call.tool.take(),
            target: call.target.take(),
            latency_us: outcome.latency_us,
            status: outcome.status,
            error_code: outcome.error_code,
            // The text of a failing tool is present only if the layer is configured to keep it.
            error_msg: outcome
                .error_msg
                .filter(|_| cx.config.error_text || outcome.tool_error),
            bytes_in: Some(match call.in_batch {
                true => call.len,
                false => self.request_bytes.load(Relaxed),
            }),
            bytes_out: match outcome.bytes_out {
                BytesOut::None => None,
                BytesOut::Exactly(len) => Some(len),
                BytesOut::Body => Some(self.response_bytes.load(Relaxed)),
            },
            http_status: response.map(|response| response.status.as_u16()),
            tool_error: outcome.tool_error,
            end_reason: outcome.end_reason,
            ttfb_us: response.map(|response| response.ttfb_us),
            protocol_version: call.protocol_version.take(),
            principal: self.head.caller.principal.clone(),
            trace_id: traceparent.map(|parent| parent.trace_id),
            parent_span_id: traceparent.map(|parent| parent.parent_span_id),
            rpc_id: call.id.as_ref().and_then(RpcId::of),
            leg,
        };
        *slot = CallState::Done;
        add(&self.rows_emitted, 1);
        effects.rows.push(Row { event, session });
    }
}
