//! One HTTP exchange: a state machine that takes facts and adds [`Effects`].
//!
//! The future and the two bodies of an exchange report to it what passes, and each
//! JSON-RPC request leaves it as exactly one row. This file takes in the request,
//! `response.rs` the answers, `finish.rs` the end. The exchange calls nothing above
//! it: the recorder carries the effects out, after the lock of the exchange is
//! released.
//!
//! Its HTTP part may end before a request has its answer: a stream with event ids
//! can be resumed by a GET, and in the 2024-11-05 transport every answer comes on
//! the session's GET stream. Such an exchange is detached: it keeps the requests
//! that wait until the answer passes elsewhere, the client cancels, the session
//! closes, or the grace time ends. While the HTTP part is open, an answer that
//! passes elsewhere is at most remembered: servers replay old answers.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use uuid::{NoContext, Timestamp, Uuid};

use super::context::Context;
use super::request_context::RequestContext;
use super::session::CallSession;
use crate::wire::{Field, JsonId, Message, Scanner, method};

use self::decide::ResponseHead;
use Ordering::Relaxed;

pub(super) use self::call::{Answer, Call, CallState};
pub(super) use self::decide::HttpEnd;
pub(super) use self::effect::{Effect, Effects};
pub(super) use self::response::{CopyUse, SizeRule};
pub(super) use self::task_notice::TaskNotice;

mod call;
mod decide;
mod effect;
mod finish;
mod leg;
mod outcome;
mod response;
mod task_notice;

/// One HTTP exchange that may hold JSON-RPC requests.
pub(super) struct Exchange {
    pub(super) head: RequestContext,
    started: Instant,
    request_id: Uuid,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
    /// Whether an answer may begin a session.
    begins_session: AtomicBool,
    /// Whether an answer may be a listing.
    awaits_listing: AtomicBool,
    /// The rows that are effects and not handed over yet.
    pending_rows: AtomicUsize,
    state: Mutex<State>,
}

/// The requests of an exchange, nearly always one.
pub(super) type Calls = SmallVec<[CallState; 1]>;

#[derive(Default)]
struct State {
    calls: Calls,
    /// The bytes of the copies of answers that are remembered.
    copied: usize,
    known_by: KnownBy,
    /// Why the request body names no request, as long as it does not.
    unread: Unread,
    /// The request body ended in an error.
    request_failed: bool,
    /// The request body can be read no further.
    request_over: bool,
    response: Option<ResponseHead>,
    phase: Phase,
    /// The session is over, perhaps since before the request: no answer comes on a
    /// stream of it.
    session_over: bool,
    /// What read the request, to read the response with.
    scanner: Option<Box<Scanner>>,
}

/// What names the requests of the exchange.
#[derive(Default, PartialEq)]
enum KnownBy {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The request body, read to the end of its JSON value.
    Body,
    /// The mirror headers: the exchange was over before its body was read.
    Headers,
    /// Nothing does. It is counted once the request body can be read no further.
    Unidentified,
}

/// Why a request body names no request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Unread {
    /// It was not read to its end.
    #[default]
    Rest,
    /// It is in a coding that is not decoded.
    Undecodable,
    /// It ended before a JSON value was closed.
    Unclosed,
    /// It failed before its end.
    Broken,
}

#[derive(Default)]
enum Phase {
    #[default]
    Open,
    /// The HTTP part ended this way. It decides the outcome of each request that
    /// gets no answer.
    Detached(HttpEnd),
    Over(HttpEnd),
}

impl Exchange {
    pub(super) fn new(head: RequestContext) -> Self {
        Self {
            started: Instant::now(),
            request_id: request_id(head.caller.ts),
            head,
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
            begins_session: AtomicBool::new(false),
            awaits_listing: AtomicBool::new(false),
            pending_rows: AtomicUsize::new(0),
            state: Mutex::default(),
        }
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

    /// A row of the exchange was handed over.
    pub(super) fn row_recorded(&self) {
        self.pending_rows.fetch_sub(1, Ordering::Release);
    }

    /// Returns whether a thread is about to hand over a row of the exchange.
    pub(super) fn has_pending_rows(&self) -> bool {
        self.pending_rows.load(Ordering::Acquire) > 0
    }

    /// Returns the ids of the requests that are not done.
    pub(super) fn open_ids(&self) -> Vec<JsonId> {
        let state = self.state();
        let open = state.calls.iter().filter_map(CallState::call);
        open.filter_map(|call| call.id).collect()
    }

    // ===== what the request body says =====

    pub(super) fn request_bytes(&self, len: usize) {
        add(&self.request_bytes, len);
    }

    /// The request body was read: these are its requests. The response is read with the
    /// same `scanner`.
    pub(super) fn requested(
        &self,
        cx: &Context,
        effects: &mut Effects,
        mut calls: Calls,
        scanner: Option<Box<Scanner>>,
    ) {
        let all = calls.iter_mut().filter_map(CallState::call_mut);
        for (index, call) in all.enumerate() {
            // The first has the id that the handler may have been given.
            call.request_id = if index == 0 {
                self.request_id
            } else {
                Uuid::now_v7()
            };
        }
        let begins_session = calls.iter().filter_map(CallState::call).any(|call| {
            call.client.is_some()
                || matches!(&call.session, CallSession::Derived(session) if !session.is_announced())
        });
        self.begins_session.store(begins_session, Relaxed);
        let mut state = self.state();
        // The response took its scanner when its head came.
        if state.response.is_none() {
            state.scanner = scanner;
        }
        match std::mem::replace(&mut state.known_by, KnownBy::Body) {
            // Refused unread and read afterwards: it has its row.
            KnownBy::Headers => return,
            KnownBy::Nothing | KnownBy::Body | KnownBy::Unidentified => {}
        }
        match &state.phase {
            Phase::Open | Phase::Detached(_) => {
                let mut all = calls.iter().filter_map(CallState::call);
                if all.any(|call| call.listing.is_some())
                    && !self.awaits_listing.swap(true, Relaxed)
                {
                    effects.push(Effect::AwaitsListing);
                }
                state.calls = calls;
            }
            // The answer ended before the request: each request ended as the exchange
            // did. The rest of the body may come or not, so, as in a batch, only the
            // message counts.
            Phase::Over(end) => {
                let response = state.response.as_ref();
                for mut call in calls.into_iter().filter_map(|mut call| call.take_waiting()) {
                    let outcome = self.unanswered(end, response, &call);
                    call.in_batch = true;
                    self.emit(cx, effects, call, outcome, response);
                }
            }
        }
    }

    /// The request body ended in an error.
    pub(super) fn request_failed(&self) {
        self.state().request_failed = true;
    }

    /// The request body does not tell which requests it holds, and cannot be read any
    /// further.
    pub(super) fn unread(&self, cx: &Context, why: Unread) {
        let mut state = self.state();
        state.unread = why;
        let was_over = std::mem::replace(&mut state.request_over, true);
        if !was_over && state.known_by == KnownBy::Unidentified {
            cx.count_unidentified();
        }
    }

    /// The client sent a notification: it may cancel an earlier request of its
    /// session. (Under 2026-07-28 the client closes the stream instead.)
    pub(super) fn notified(&self, effects: &mut Effects, message: &Message) {
        if message.text(Field::Method) == Some(method::CANCELLED)
            && let (Some(session), false) = (&self.head.session, self.head.is_modern())
            && let Some(request) = message.token(Field::RequestId)
        {
            effects.push(Effect::Cancel {
                session: session.id.clone(),
                request,
                reason: message.text(Field::Reason).map(Into::into),
            });
        }
    }

    /// The client cancelled a request. Returns whether it is one of this exchange.
    pub(super) fn cancelled(
        &self,
        cx: &Context,
        effects: &mut Effects,
        request: JsonId,
        reason: Option<&str>,
    ) -> bool {
        let mut state = self.state();
        let State {
            calls,
            phase,
            response,
            ..
        } = &mut *state;
        let slot = calls.iter_mut().find(|slot| {
            let call = slot.waiting();
            call.is_some_and(|call| call.id == Some(request))
        });
        let Some(slot) = slot else {
            return false;
        };
        if let Some(call) = slot.waiting_mut() {
            call.cancelled = Some(reason.unwrap_or_default().into());
        }
        // A client that cancels does not come back for the answer.
        if let Phase::Detached(end) = phase
            && let Some(call) = slot.take_waiting()
        {
            let outcome = self.unanswered(end, response.as_ref(), &call);
            self.emit(cx, effects, call, outcome, response.as_ref());
            self.finish_if_settled(&mut state, effects);
        }
        true
    }
}

/// Returns a new id of a request that was received at this time. It needs no order
/// among those of the same millisecond, for which `Uuid::now_v7` takes a lock and
/// reads the clock again.
fn request_id(unix_ms: i64) -> Uuid {
    let since_epoch = Duration::from_millis(unix_ms.unsigned_abs());
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        since_epoch.as_secs(),
        since_epoch.subsec_nanos(),
    ))
}

/// Adds to a sum to which only one thread adds at a time: each body has its own.
fn add(sum: &AtomicU64, len: usize) {
    sum.store(sum.load(Relaxed) + len as u64, Relaxed);
}

#[cfg(test)]
mod tests;
