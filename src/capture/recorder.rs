//! State that all services of one layer share, and the one place that carries out
//! the effects of exchanges.
//!
//! The recorder holds no lock of its own. It reports a fact to an exchange, which
//! locks itself and adds [`Effects`]. The recorder carries these out after that
//! lock is released.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use http::request;

use super::config::Config;
use super::context::Context;
use super::exchange::{Answer, CopyUse, Effect, Effects, Exchange, HttpEnd, Row};
use super::http::Headers;
use super::listing::{Document, ListChanged, ListingAnswer, Listings};
use super::registry::{OpenExchanges, Registered};
use super::replays::Replays;
use super::request_context::{self, RequestContext};
use super::session::{ClientInfo, DerivedSession, Known, ServerInfo, Sessions, protocol_version};
use crate::event::StoreEvent;
use crate::store::OpenCalls;
use crate::wire::{EventEnd, EventId, JsonId};
use crate::{Store, clock};

/// A count without a row waits this long for the commit of a row. Then it reaches
/// the file on its own.
const NEWS: Duration = Duration::from_secs(1);

/// The longest time that a shutdown waits for threads that are about to hand over a
/// row.
const HAND_OVER: Duration = Duration::from_millis(100);

/// One recorded MCP server: the store for its rows, and the state known of it.
///
/// Every part of the layer that observes a body holds the recorder. So when the
/// recorder is dropped, no open request can get its answer any more.
pub(super) struct Recorder {
    pub(super) store: Store,
    pub(super) cx: Context,
    pub(super) sessions: Sessions,
    listings: Listings,
    pub(super) open: OpenExchanges<Exchange>,
    replays: Replays,
}

impl Recorder {
    pub(super) fn new(store: Store, config: Config) -> Arc<Self> {
        let cx = Context::new(config, store.counters().clone());
        let sessions = Sessions::new(store.shared_key().cloned());
        let recorder = Arc::new(Self {
            store,
            cx,
            sessions,
            listings: Listings::new(),
            open: OpenExchanges::default(),
            replays: Replays::default(),
        });
        let weak: Weak<dyn OpenCalls> = Arc::downgrade(&recorder) as _;
        if !recorder.store.register(weak) {
            recorder.cx.close();
        }
        recorder
    }

    // ===== exchanges =====

    /// Opens an exchange, which stays registered until its effects say that it is over.
    pub(super) fn begin(
        &self,
        head: &request::Parts,
        headers: &Headers<'_>,
    ) -> Registered<Exchange> {
        let named = self.session_in_header(headers);
        let head = RequestContext::of(&self.cx, &self.sessions, head, headers, named);
        let exchange = Arc::new(Exchange::new(head));
        self.cx.exchange_began();
        let registered = self.open.insert(exchange.head.session_hash, exchange);
        // The session is checked only now: when a session ends, it is marked first and its
        // exchanges are looked up afterwards. So either that look-up finds this exchange,
        // or this check sees that the session is over.
        let exchange = &registered.exchange;
        if let Some(session) = &exchange.head.session
            && self.sessions.is_over(session)
        {
            self.report(&registered, None, Exchange::session_over);
        }
        registered
    }

    /// Reports a fact to an exchange, and carries out its effects. A listing is read
    /// from `document`, the copy of the message that holds it.
    pub(super) fn report<T>(
        &self,
        to: &Registered<Exchange>,
        document: Option<&mut Document>,
        fact: impl FnOnce(&Exchange, &Context, &mut Effects) -> T,
    ) -> T {
        let mut effects = Effects::default();
        let result = fact(&to.exchange, &self.cx, &mut effects);
        if !effects.is_empty() {
            self.apply(to, &mut effects, document);
        }
        if self.cx.take_news() {
            self.store.wake_at(Instant::now() + NEWS);
        }
        result
    }

    /// Carries out the effects of an exchange, in their order. No lock is held meanwhile.
    fn apply(
        &self,
        of: &Registered<Exchange>,
        effects: &mut Effects,
        mut document: Option<&mut Document>,
    ) {
        for effect in effects.list.drain(..) {
            match effect {
                Effect::NoRow(why) => self.cx.without_row(&why),
                Effect::Announce { session, server } => {
                    self.announce(&session, server.as_deref());
                }
                Effect::Session { session, event } => {
                    let version = event.protocol_version.clone();
                    let path = of.exchange.head.path;
                    let client = ClientInfo {
                        name: event.client_name.clone(),
                        version: event.client_version.clone(),
                        cut: 0,
                    };
                    self.sessions.opened(&session, path, version, client);
                    self.store.record(StoreEvent::Session(event));
                }
                Effect::SessionNamed(id) => {
                    self.open.set_session(of.slot, self.sessions.hash(&*id));
                    self.index(of);
                }
                Effect::SessionNotFound(id) => {
                    self.session_not_found(id, of.exchange.head.path);
                }
                Effect::Listing(answer) => {
                    if let Some(document) = document.as_deref_mut() {
                        self.record_listing(&answer, document);
                    }
                }
                Effect::TaskStatus(event) => self.store.record(StoreEvent::TaskStatus(event)),
                Effect::AwaitsListing => self.open.set_awaits_listing(of.slot),
                Effect::Detach { bytes } => self.detach(of, bytes),
                Effect::Cancel {
                    session,
                    request,
                    reason,
                } => self.cancelled(&session, request, reason.as_deref()),
            }
        }
        for Row { event, session } in effects.rows.drain(..) {
            if let Some(session) = session {
                self.announce(&session, None);
            }
            self.store.record(StoreEvent::Request(event));
            of.exchange.row_recorded();
        }
        if effects.finished {
            self.open.remove(of.slot);
        }
    }

    fn announce(&self, session: &DerivedSession, server: Option<&ServerInfo>) {
        session.announce(&self.cx, server, |event| {
            self.store.record(StoreEvent::Session(event));
        });
    }

    /// Indexes the requests of an exchange, if there are many.
    pub(super) fn index(&self, of: &Registered<Exchange>) {
        let ids = of.exchange.open_ids().into_iter();
        self.open
            .index(of.slot, ids.map(|id| self.sessions.hash(id)));
    }

    /// Keeps an exchange for the grace time, because its answer may still come on
    /// another stream.
    fn detach(&self, of: &Registered<Exchange>, bytes: usize) {
        self.index(of);
        let due = Instant::now() + self.cx.config.resume_grace;
        for given_up in self.open.detach(of, due, bytes) {
            self.give_up(&given_up);
        }
        self.store.wake_at(due);
    }

    fn give_up(&self, of: &Registered<Exchange>) {
        self.report(of, None, Exchange::give_up);
    }

    // ===== effects of one exchange on another =====

    /// Reports an answer that passed on a GET stream of the session; see
    /// [`Exchange::answered_elsewhere`].
    pub(super) fn answered_elsewhere(
        &self,
        session: &str,
        answer: &mut Answer,
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
        // An id may be in use twice. A request that can only be answered elsewhere goes
        // first. Among several of these, the one that has waited longest goes first.
        let exchanges = self.of_request(session, id);
        for copy_use in [CopyUse::Answer, CopyUse::Remember] {
            for of in exchanges.iter().rev() {
                let taken = self.report(of, document.as_deref_mut(), |exchange, cx, effects| {
                    exchange.answered_elsewhere(cx, effects, answer, copy_use, event_len)
                });
                if taken {
                    if let Some(passed) = passed {
                        self.replays.note(passed);
                    }
                    return;
                }
            }
        }
    }

    /// Notes that this event, on the request's own stream, answered a request of the
    /// session.
    pub(super) fn answered_in(&self, session: &str, request: JsonId, event: EventId) {
        let passed = self.sessions.hash((session, request, event));
        self.replays.note(passed);
    }

    /// Returns whether an exchange of the session waits for a listing.
    pub(super) fn awaits_listing(&self, session: &str) -> bool {
        // This is called for every event of a GET stream, and nearly always returns false.
        self.open.any_awaits_listing() && self.open.awaits_listing(self.sessions.hash(session))
    }

    /// Reports that the client of a session cancelled a request of that session.
    fn cancelled(&self, session: &str, request: JsonId, reason: Option<&str>) {
        for of in self.of_request(session, request) {
            let found = self.report(&of, None, |exchange, cx, effects| {
                exchange.cancelled(cx, effects, request, reason)
            });
            if found {
                return;
            }
        }
    }

    /// Returns the exchanges that may hold this request of the session.
    fn of_request(&self, session: &str, request: JsonId) -> Vec<Registered<Exchange>> {
        let session = self.sessions.hash(session);
        self.open.of_request(session, self.sessions.hash(request))
    }

    // ===== sessions and listings =====

    /// Closes a session: its requests no longer wait for its streams.
    pub(super) fn session_closed(&self, session_id: Arc<str>) {
        self.sessions.forget(&session_id);
        if let Some(open) = self.store.open_session(&session_id, &self.cx.config.proxy) {
            open.end();
        }
        for of in self.open.of_session(self.sessions.hash(&*session_id)) {
            self.report(&of, None, Exchange::session_over);
        }
        self.store.record(StoreEvent::SessionClosed {
            session_id,
            ended_at: clock::unix_ms(),
        });
    }

    /// Returns what is known of the session that `Mcp-Session-Id` names. The session
    /// may have begun before this process.
    pub(super) fn session_in_header(&self, headers: &Headers<'_>) -> Option<Known> {
        let id = request_context::session_id(&self.cx, headers)?;
        if let Some(known) = self.sessions.named(&id) {
            return Some(known);
        }
        Some(match self.store.open_session(&id, &self.cx.config.proxy) {
            Some(open) => {
                let version = open.protocol_version.as_deref();
                let client = ClientInfo {
                    name: open.client_name.clone(),
                    version: open.client_version.clone(),
                    cut: 0,
                };
                self.sessions
                    .found(&id, version.map(protocol_version), client)
            }
            None => Known {
                hash: self.sessions.hash(&*id),
                id: id.into(),
                protocol_version: None,
                client: None,
            },
        })
    }

    /// Handles a 404 for a POST or DELETE that named this session. It closes the
    /// session if this layer saw it begin on the same path, or found it open in the
    /// file.
    pub(super) fn session_not_found(&self, session: Arc<str>, path: u64) {
        if self.sessions.may_have_begun_on(&session, path) {
            self.session_closed(session);
        }
    }

    fn record_listing(&self, answer: &ListingAnswer, document: &mut Document) {
        let page = self
            .listings
            .page(&self.cx, &self.sessions, answer, document);
        if let Some((page, seen_as)) = page
            && !self.store.try_record(page)
        {
            self.listings.forget(&seen_as);
        }
    }

    /// Handles a notice on a stream that these listings have changed.
    pub(super) fn listings_changed(&self, changed: ListChanged) {
        let record = |event| self.store.try_record(event);
        self.listings.changed(&self.cx, changed, record);
    }
}

impl OpenCalls for Recorder {
    fn settle(&self) {
        self.cx.close();
        let open = self.open.all();
        for of in &open {
            self.report(of, None, |exchange, cx, effects| {
                exchange.end(cx, effects, HttpEnd::Shutdown);
            });
        }
        // Another thread may have taken a row from an exchange and not handed it over yet.
        let deadline = Instant::now() + HAND_OVER;
        while open.iter().any(|of| of.exchange.has_pending_rows()) && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }

    fn settle_overdue(&self, now: Instant) -> Option<Instant> {
        let (overdue, next) = self.open.overdue(now);
        for of in &overdue {
            self.give_up(of);
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
            .field("config", &self.cx.config)
            .finish_non_exhaustive()
    }
}
