//! What all services of one layer share.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::call::Answer;
use super::config::Config;
use super::exchange::{Calls, Elsewhere, Ending, Exchange};
use super::listing::{Document, Listings};
use super::open::{OpenExchanges, Slot};
use super::replays::Replays;
use super::session::{Known, Sessions, protocol_version};
use crate::event::{SessionEvent, SessionSource, StoreEvent};
use crate::store::OpenCalls;
use crate::wire::{EventEnd, EventId, Token, uri};
use crate::{Store, clock};

/// One recorded MCP server: where its rows go, and what is known of it.
///
/// Whoever watches a body holds it, so what is open when it is dropped waits
/// for an answer that cannot come any more.
pub(super) struct Recorder {
    pub(super) store: Store,
    pub(super) config: Config,
    pub(super) sessions: Sessions,
    pub(super) listings: Listings,
    pub(super) open: OpenExchanges,
    replays: Replays,
    /// The store is shut down: nothing is worth waiting for.
    closed: AtomicBool,
}

impl Recorder {
    pub(super) fn new(store: Store, config: Config) -> Arc<Self> {
        let recorder = Arc::new(Self {
            store,
            config,
            sessions: Sessions::new(),
            listings: Listings::new(),
            open: OpenExchanges::default(),
            replays: Replays::default(),
            closed: AtomicBool::new(false),
        });
        let weak: Weak<dyn OpenCalls> = Arc::downgrade(&recorder) as _;
        recorder.store.register(weak);
        recorder
    }

    // ===== exchanges =====

    /// Remembers an exchange until [`forget`](Self::forget).
    pub(super) fn remember(&self, exchange: &Arc<Exchange>) -> Slot {
        self.store
            .counters()
            .in_flight
            .fetch_add(1, Ordering::Relaxed);
        let session = exchange.head.session.as_ref();
        let session = session.map(|session| self.sessions.hash(&*session.id));
        self.open.insert(session, Arc::downgrade(exchange))
    }

    /// The HTTP part of an exchange is over.
    pub(super) fn landed(&self) {
        self.store
            .counters()
            .in_flight
            .fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn forget(&self, slot: Slot) {
        self.open.remove(slot);
    }

    /// The exchange belongs to the session that its response names.
    pub(super) fn session_named(&self, slot: &mut Slot, session: &str) {
        self.open.set_session(slot, self.sessions.hash(session));
    }

    /// Makes the requests of an exchange easy to find.
    pub(super) fn index(&self, slot: &mut Slot, calls: &Calls) {
        if slot.needs_index(calls.len()) {
            let ids = calls.iter().flatten().filter_map(|call| call.id);
            self.open.index(slot, ids.map(|id| self.sessions.hash(id)));
        }
    }

    /// The exchange waits for a listing.
    pub(super) fn expect_listing(&self, slot: Slot) {
        self.listings.expect();
        self.open.set_awaits_listing(slot);
    }

    /// The exchange's answer may still come on another stream: keeps it for the
    /// grace time.
    pub(super) fn detach(&self, slot: Slot, exchange: &Arc<Exchange>, bytes: usize) {
        let due = Instant::now() + self.config.resume_grace;
        for given_up in self.open.detach(slot, exchange, due, bytes) {
            given_up.give_up(self);
        }
        self.store.wake_at(due);
    }

    /// Whether the store is shut down.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    // ===== what one exchange says of another =====

    /// An answer passed on a GET stream of the session; see
    /// [`Exchange::answered_elsewhere`].
    pub(super) fn answered_elsewhere(
        &self,
        session: &str,
        answer: &Answer,
        mut document: Option<&mut Document>,
        event: &EventEnd,
    ) {
        let Some(id) = answer.id else {
            return;
        };
        let passed = event
            .id
            .map(|event| self.sessions.hash((session, id, event)));
        if passed.is_some_and(|passed| self.replays.contain(passed)) {
            return;
        }
        let event_len = event.end - event.start;
        // An id may be in use twice. What is answered nowhere else goes first, and
        // what has waited longest.
        let exchanges = self.of_request(session, id);
        for way in [Elsewhere::Settled, Elsewhere::Copied] {
            for exchange in exchanges.iter().rev() {
                let document = document.as_deref_mut();
                if exchange.answered_elsewhere(self, answer, way, document, event_len) {
                    if let Some(passed) = passed {
                        self.replays.note(passed);
                    }
                    return;
                }
            }
        }
    }

    /// Notes that a request of the session was answered on its own stream, in this event.
    pub(super) fn answered_in(&self, session: &str, request: Token, event: EventId) {
        let passed = self.sessions.hash((session, request, event));
        self.replays.note(passed);
    }

    /// Whether an exchange of the session waits for a listing.
    pub(super) fn awaits_listing(&self, session: &str) -> bool {
        // Asked of every event of a GET stream, and nearly never so.
        if !self.listings.are_awaited() {
            return false;
        }
        self.open.awaits_listing(self.sessions.hash(session))
    }

    /// The client of a session cancelled a request of it.
    pub(super) fn cancelled(&self, session: &str, request: Token, reason: Option<&str>) {
        for exchange in self.of_request(session, request) {
            if exchange.cancelled(self, request, reason) {
                return;
            }
        }
    }

    /// The exchanges that may hold this request of the session.
    fn of_request(&self, session: &str, request: Token) -> Vec<Arc<Exchange>> {
        let session = self.sessions.hash(session);
        self.open.of_request(session, self.sessions.hash(request))
    }

    /// The session is over: what waits for its streams waits no longer.
    pub(super) fn session_closed(&self, session_id: Arc<str>) {
        self.sessions.forget(&session_id);
        if let Some(open) = self.store.open_session(&session_id, &self.config.proxy) {
            open.end();
        }
        for exchange in self.open.of_session(self.sessions.hash(&*session_id)) {
            exchange.session_over(self);
        }
        self.store.record(StoreEvent::SessionClosed {
            session_id,
            ended_at: clock::unix_ms(),
        });
    }

    /// Returns what is known of the session with this id, which a header names. It may
    /// have begun before this process.
    pub(super) fn named_session(&self, id: &str) -> Known {
        if let Some(known) = self.sessions.named(id) {
            return known;
        }
        match self.store.open_session(id, &self.config.proxy) {
            Some(open) => {
                let version = open.protocol_version.as_deref();
                self.sessions.found(id, version.map(protocol_version))
            }
            None => Known {
                id: id.into(),
                protocol_version: None,
            },
        }
    }

    /// A POST or DELETE that named this session was answered 404: that ends it, if
    /// this layer saw it begin on the same path, or found it open in the file.
    pub(super) fn session_not_found(&self, session: &Arc<str>, path: u64) {
        if self.sessions.may_have_begun_on(session, path) {
            self.session_closed(session.clone());
        }
    }

    /// The row of a session that begins at this recording point.
    pub(super) fn session(
        &self,
        id: Arc<str>,
        started_at: i64,
        source: SessionSource,
    ) -> SessionEvent {
        let mut event = SessionEvent::new(id);
        event.proxy = self.config.proxy.clone();
        event.started_at = started_at;
        event.source = source;
        event
    }

    // ===== counters and settings =====

    /// So many texts were longer than their bound.
    pub(super) fn count_truncated(&self, texts: usize) {
        if texts > 0 {
            self.store
                .counters()
                .truncated
                .fetch_add(texts as u64, Ordering::Relaxed);
        }
    }

    /// A request passed of which too little is known for a row.
    pub(super) fn count_unidentified(&self) {
        self.store
            .counters()
            .unidentified
            .fetch_add(1, Ordering::Relaxed);
    }

    /// One that was counted is known after all.
    pub(super) fn uncount_unidentified(&self) {
        self.store
            .counters()
            .unidentified
            .fetch_sub(1, Ordering::Relaxed);
    }

    /// The mirror headers of a request contradict its body.
    pub(super) fn count_mismatched(&self) {
        self.store
            .counters()
            .mismatched
            .fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn skips(&self, method: &str) -> bool {
        self.config
            .skipped_methods
            .iter()
            .any(|skipped| **skipped == *method)
    }

    /// A URI as it is stored: without its query where the layer is set so.
    pub(super) fn uri(&self, uri: &str) -> Box<str> {
        match self.config.target_query {
            true => uri.into(),
            false => uri::without_query(uri).into(),
        }
    }
}

impl OpenCalls for Recorder {
    fn settle(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for exchange in self.open.all() {
            exchange.end(self, Ending::Shutdown);
        }
    }

    fn settle_overdue(&self, now: Instant) -> Option<Instant> {
        let (overdue, next) = self.open.overdue(now);
        for exchange in overdue {
            exchange.give_up(self);
        }
        next
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.settle();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("store", &self.store)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
