//! One HTTP exchange: a state machine that takes facts and adds [`Effects`].
//!
//! The future and the two bodies of an exchange report facts to it, and each
//! JSON-RPC request leaves it as exactly one row. This file handles the request,
//! `response.rs` the answers, and `finish.rs` the end. The exchange calls no higher
//! module: the recorder carries the effects out, after the lock of the exchange is
//! released.
//!
//! The HTTP part may end before a request has its answer: a client can resume a
//! stream with event ids by a GET, and in the 2024-11-05 transport every answer
//! comes on the session's GET stream. Such an exchange is detached: it keeps the
//! waiting requests until the answer passes elsewhere, the client cancels, the
//! session closes, or the grace time ends. While the HTTP part is open, an answer
//! that passes elsewhere is only remembered, because servers replay old answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use uuid::{NoContext, Timestamp, Uuid};

use super::context::Context;
use super::no_row::{NoRow, Unread};
use super::request_context::RequestContext;
use super::session::CallSession;
use crate::wire::{Field, JsonId, Message, Scanner, method};

use self::decide::ResponseHead;
use Ordering::Relaxed;

pub(super) use self::call::{Answer, Call, CallState};
pub(super) use self::decide::HttpEnd;
pub(super) use self::effect::{Effect, Effects, Row};
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
    /// Number of rows that became effects. It changes only under the lock of `state`.
    rows_emitted: AtomicU64,
    /// Number of those rows that were handed over.
    rows_recorded: AtomicU64,
    state: Mutex<State>,
}

/// The requests of an exchange, nearly always one.
pub(super) type Calls = SmallVec<[CallState; 1]>;

#[derive(Default)]
struct State {
    calls: Calls,
    /// The bytes of the remembered copies of answers.
    copied: usize,
    known_by: KnownBy,
    /// Why the request body names no request, while it names none.
    unread: Unread,
    /// The request body ended in an error.
    request_failed: bool,
    /// The rest of the request body cannot be read.
    request_over: bool,
    response: Option<ResponseHead>,
    phase: Phase,
    /// The session is over, perhaps since before the request. No answer comes on its
    /// streams.
    session_over: bool,
    /// The scanner of the request, which then reads the response.
    scanner: Option<Box<Scanner>>,
}

/// The source that names the requests of the exchange.
#[derive(Default, PartialEq)]
enum KnownBy {
    /// No source yet.
    #[default]
    Nothing,
    /// The request body, read to the end of its JSON value.
    Body,
    /// The mirror headers: the exchange was over before its body was read.
    Headers,
    /// No source. The exchange is counted once the rest of the request body cannot be
    /// read.
    Unidentified,
}

#[derive(Default)]
enum Phase {
    #[default]
    Open,
    /// The HTTP part ended this way, which decides the outcome of each request that
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
            rows_emitted: AtomicU64::new(0),
            rows_recorded: AtomicU64::new(0),
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

    /// Notes that a row of the exchange was handed over.
    pub(super) fn row_recorded(&self) {
        self.rows_recorded.fetch_add(1, Ordering::Release);
    }

    /// Returns whether a thread is about to hand over a row of the exchange.
    pub(super) fn has_pending_rows(&self) -> bool {
        self.rows_emitted.load(Relaxed) > self.rows_recorded.load(Ordering::Acquire)
    }

    /// Returns the ids of the requests that are not done.
    pub(super) fn open_ids(&self) -> Vec<JsonId> {
        let state = self.state();
        let open = state.calls.iter().filter_map(CallState::call);
        open.filter_map(|call| call.id).collect()
    }

    // ===== request body =====

    pub(super) fn request_bytes(&self, len: usize) {
        add(&self.request_bytes, len);
    }

    /// Takes the requests of the request body out of `calls`, once it was read. The
    /// response is read with the same `scanner`.
    pub(super) fn requested(
        &self,
        cx: &Context,
        effects: &mut Effects,
        calls: &mut Calls,
        scanner: Option<Box<Scanner>>,
    ) {
        let all = calls.iter_mut().filter_map(CallState::call_mut);
        for (index, call) in all.enumerate() {
            // The first request has the id that the handler may have received.
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
        // Otherwise the response took its own scanner when its head arrived.
        if state.response.is_none() {
            state.scanner = scanner;
        }
        match std::mem::replace(&mut state.known_by, KnownBy::Body) {
            // The request was refused before it was read, and already has its row.
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
                std::mem::swap(&mut state.calls, calls);
            }
            // The answer ended before the request, so each request ended like the exchange. The
            // rest of the body may never arrive, so only the message counts, as in a batch.
            Phase::Over(end) => {
                let response = state.response.as_ref();
                for slot in calls {
                    if let Some(call) = slot.waiting_mut() {
                        let outcome = self.unanswered(end, response, call);
                        call.in_batch = true;
                        self.emit(cx, effects, slot, outcome, response);
                    }
                }
            }
        }
    }

    /// Notes that the request body ended in an error.
    pub(super) fn request_failed(&self) {
        self.state().request_failed = true;
    }

    /// Notes that the request body names no requests, and that the rest of it cannot be
    /// read.
    pub(super) fn unread(&self, effects: &mut Effects, why: Unread) {
        let mut state = self.state();
        state.unread = why;
        let was_over = std::mem::replace(&mut state.request_over, true);
        if !was_over && state.known_by == KnownBy::Unidentified {
            effects.push(Effect::NoRow(NoRow::Unidentified(why)));
        }
    }

    /// Handles a notification of the client, which may cancel an earlier request of its
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

    /// Handles a cancellation by the client. Returns whether the request belongs to
    /// this exchange.
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
        let Some(call) = slot.waiting_mut() else {
            return false;
        };
        call.cancelled = Some(reason.unwrap_or_default().into());
        // A client that cancels does not wait for the answer elsewhere.
        if let Phase::Detached(end) = phase {
            let outcome = self.unanswered(end, response.as_ref(), call);
            self.emit(cx, effects, slot, outcome, response.as_ref());
            self.finish_if_settled(&mut state, effects);
        }
        true
    }
}

/// Returns a new id for a request that arrived at this time. Ids of the same
/// millisecond need no order. `Uuid::now_v7` would take a lock and read the clock
/// again to order them.
fn request_id(unix_ms: i64) -> Uuid {
    let since_epoch = Duration::from_millis(unix_ms.unsigned_abs());
    Uuid::new_v7(Timestamp::from_unix(
        NoContext,
        since_epoch.as_secs(),
        since_epoch.subsec_nanos(),
    ))
}

/// Adds to a sum that only one thread adds to at a time: each sum belongs to one body,
/// or changes only under a lock.
fn add(sum: &AtomicU64, len: usize) {
    sum.store(sum.load(Relaxed) + len as u64, Relaxed);
}

#[cfg(test)]
mod tests;
