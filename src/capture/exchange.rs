//! One HTTP exchange: the one place that its future and its two bodies report
//! to, and from which each request leaves as exactly one row. What the request
//! says is taken in here, what the response says in `answer.rs`, and what becomes
//! of it all is in `settle.rs`.
//!
//! Its HTTP part may be over before a request has its answer: a stream with
//! event ids can be resumed by a GET, and in the 2024-11-05 transport every
//! answer comes on the session's GET stream. Such an exchange is detached: it
//! keeps the requests that wait until the answer passes elsewhere, the client
//! cancels, the session closes, or the grace time is over. While the HTTP part is
//! open, what passes elsewhere is remembered at most: servers replay old answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::request;
use smallvec::SmallVec;
use uuid::{NoContext, Timestamp, Uuid};

use super::call::{Call, CallSession};
use super::ending::ResponseHead;
use super::head::RequestHead;
use super::headers::Headers;
use super::open::Slot;
use super::recorder::Recorder;
use crate::wire::{Field, Memory, Message, Token, method};

pub(super) use super::ending::Ending;

mod answer;
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

/// What an answer on another stream can do for a request of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// Settle one that is answered nowhere else.
    Settled,
    /// The same, or be remembered for one whose own exchange is open.
    Copied,
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
    /// What the copies of answers take that are remembered, in bytes.
    copied: usize,
    known_by: KnownBy,
    /// Why nothing is known by the request body, while that is so.
    unread: Unread,
    /// The request body ended in an error.
    request_failed: bool,
    response: Option<ResponseHead>,
    phase: Phase,
    /// The session is over, perhaps since before the request: no answer comes on a
    /// stream of it.
    session_over: bool,
    /// What the request was read with, for the response.
    memory: Memory,
    slot: Slot,
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

/// Why a request body tells nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Unread {
    /// It was not read to its end.
    #[default]
    Rest,
    /// It is in a coding that is not decoded.
    Undecodable,
    /// It ended, and no JSON value was closed in it.
    Unclosed,
    /// It failed before its end.
    Broken,
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
        // Only now: a session ends first and then looks for its exchanges, so either
        // that finds this one, or this one sees that it is over.
        let session = exchange.head.session.as_ref();
        state.session_over = session.is_some_and(|session| recorder.sessions.is_over(session));
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
        let mut state = self.state();
        // The response took its memory when its head came.
        if state.response.is_none() {
            state.memory = memory;
        }
        match std::mem::replace(&mut state.known_by, KnownBy::Body) {
            // Refused unread and read afterwards: it has its row.
            KnownBy::Headers => return,
            KnownBy::Nobody => recorder.uncount_unidentified(),
            KnownBy::Nothing | KnownBy::Body => {}
        }
        match &state.phase {
            Phase::Open | Phase::Detached(_) => {
                let awaits_listing = calls.iter().flatten().any(|call| call.listing.is_some());
                if awaits_listing && !self.awaits_listing.swap(true, Relaxed) {
                    recorder.expect_listing(state.slot);
                }
                recorder.index(&mut state.slot, &calls);
                state.open = calls.len();
                state.calls = calls;
            }
            // The answer was over before the request: it ended as the exchange
            // did. More of the body may come or not, so, as in a batch, only
            // the message counts.
            Phase::Over(ending) => {
                let response = state.response.as_ref();
                for mut call in calls.into_iter().flatten() {
                    let outcome = self.unanswered(ending, response, &call);
                    call.in_batch = true;
                    self.emit(recorder, call, outcome, response);
                }
            }
        }
    }

    /// The request body ended in an error.
    pub(super) fn request_failed(&self) {
        self.state().request_failed = true;
    }

    /// The request body does not tell which requests it holds.
    pub(super) fn unread(&self, why: Unread) {
        self.state().unread = why;
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
