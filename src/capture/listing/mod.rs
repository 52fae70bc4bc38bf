//! Discovery listings that pass: the bytes of the answers, and the notifications
//! that a listing has changed.
//!
//! Nothing is parsed here. The bytes of a document that may hold a listing are
//! copied as they pass, up to a bound. Once the message is complete, the bytes of
//! its `result` are hashed. If the hash differs from the last one for this caller
//! and its class of callers, the bytes go to the writer thread, which parses them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hashlink::LruCache;

use crate::capture::context::Context;
use crate::capture::session::{self, CallSession, Caller, Sessions};
use crate::clock;
use crate::event::{ListingKey, ListingPage, StoreEvent};
use crate::wire::{Discovery, Field, JsonId, Kind, Message};

mod document;

pub(in crate::capture) use document::Document;

/// The most callers and classes of callers whose last listing is remembered.
const REMEMBERED: usize = 10_000;

/// After this time the same bytes are recorded again, so that a file that was lost
/// or cleared in the meantime gets its snapshot back.
const TRUSTED: Duration = Duration::from_secs(60 * 60);

/// A call that asks for a listing.
#[derive(Debug)]
pub(in crate::capture) struct ListingCall {
    of: Discovery,
    cursor: Option<JsonId>,
}

impl ListingCall {
    pub(in crate::capture) fn of(
        method: &str,
        message: &Message,
        cx: &Context,
    ) -> Option<Box<Self>> {
        let of = Discovery::of(method)?;
        let wanted = cx.config.listing_bytes > 0;
        wanted.then(|| {
            Box::new(Self {
                of,
                cursor: message.token(Field::Cursor),
            })
        })
    }
}

/// A result that may be a listing.
#[derive(Debug)]
pub(in crate::capture) struct ListingResult {
    span: Range<u64>,
    /// Its message is part of a batch.
    in_batch: bool,
    next: Option<JsonId>,
    protocol_version: Option<Box<str>>,
}

impl ListingResult {
    /// Returns the position of a message's result in the copied document.
    pub(in crate::capture) fn of(
        message: &Message,
        document: Option<&Document>,
    ) -> Option<Box<Self>> {
        document?;
        Some(Box::new(Self {
            span: message.result_span()?,
            in_batch: message.in_batch(),
            next: message.token(Field::NextCursor),
            protocol_version: message.text(Field::ResultProtocolVersion).map(Into::into),
        }))
    }
}

/// The answer to a listing request, and its caller.
#[derive(Debug)]
pub(in crate::capture) struct ListingAnswer {
    pub(in crate::capture) call: Box<ListingCall>,
    pub(in crate::capture) found: Box<ListingResult>,
    pub(in crate::capture) session: CallSession,
    pub(in crate::capture) protocol_version: Option<Cow<'static, str>>,
    pub(in crate::capture) caller: Caller,
}

/// The keys under which a listing is remembered.
pub(in crate::capture) struct SeenAs {
    caller: Option<u64>,
    class: u64,
}

// Sets of listings are bits of a byte.
const _: () = assert!(Discovery::ALL.len() <= 8);

/// The listings that an event says have changed, as a set.
#[derive(Default)]
pub(in crate::capture) struct ListChanged(u8);

impl ListChanged {
    /// Adds the listing that a message reports as changed.
    pub(in crate::capture) fn notice(&mut self, message: &Message) {
        if message.kind() == Kind::Notification
            && let Some(of) = message.text(Field::Method).and_then(Discovery::changed_by)
        {
            self.0 |= 1 << of as u8;
        }
    }
}

/// The state of a layer about the listings that passed.
pub(in crate::capture) struct Listings {
    /// The last listing that each caller and class was shown, and when it was recorded.
    seen: Mutex<LruCache<u64, (u64, i64)>>,
    /// The set of listings that changed and were not requested since. A server notifies
    /// each of its clients, and only the first notice counts.
    stale: AtomicU8,
    /// A line about a listing that was too long was logged.
    warned: AtomicBool,
}

impl Listings {
    pub(in crate::capture) fn new() -> Self {
        Self {
            seen: Mutex::new(LruCache::new(REMEMBERED)),
            stale: AtomicU8::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// Returns whether `content` differs from the last listing of both the caller and
    /// its class, and remembers it.
    fn is_new(&self, seen_as: &SeenAs, content: u64, now: i64) -> bool {
        let SeenAs { caller, class } = *seen_as;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let trusted = TRUSTED.as_millis() as i64;
        let mut knows = |key: u64| match seen.get(&key) {
            Some((known, at)) if *known == content => (now - at).abs() < trusted,
            _ => false,
        };
        if caller.is_some_and(&mut knows) {
            return false;
        }
        let known = knows(class);
        if !known {
            seen.insert(class, (content, now));
        }
        if let Some(caller) = caller {
            seen.insert(caller, (content, now));
        }
        !known
    }

    /// Forgets a listing that was not recorded.
    pub(in crate::capture) fn forget(&self, seen_as: &SeenAs) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.remove(&seen_as.class);
        if let Some(caller) = seen_as.caller {
            seen.remove(&caller);
        }
    }

    /// Returns the page in the answer to a listing request, if it has to be recorded.
    /// If recording fails, call [`forget`](Self::forget).
    pub(in crate::capture) fn page(
        &self,
        cx: &Context,
        sessions: &Sessions,
        answer: &ListingAnswer,
        document: &mut Document,
    ) -> Option<(ListingPage, SeenAs)> {
        let ListingAnswer {
            call,
            found,
            session,
            protocol_version,
            caller,
        } = answer;
        let ListingCall { of, cursor } = **call;
        self.stale.fetch_and(!(1 << of as u8), Ordering::Relaxed);
        let limit = cx.config.listing_bytes;
        let result = document.slice(&found.span);
        let Some(result) = result.filter(|result| result.len() <= limit) else {
            self.count_too_long(cx, of);
            return None;
        };

        let version = found.protocol_version.as_deref();
        let revision = session::revision(version.or(protocol_version.as_deref()));
        let principal = caller.principal.clone();
        let class = sessions.hash((of, revision, &principal));
        let by_caller = match session.id() {
            Some(id) => Some(sessions.hash(&**id)),
            None if caller.is_anonymous() => None,
            None => Some(sessions.hash((caller.authorization, &principal))),
        };
        let seen_as = SeenAs {
            caller: by_caller.map(|caller| sessions.hash((class, caller))),
            class,
        };
        let ts = clock::unix_ms();
        // One page alone says nothing about the other pages.
        let whole = cursor.is_none() && found.next.is_none();
        if whole && !self.is_new(&seen_as, sessions.hash(result), ts) {
            return None;
        }
        let Some((result, reservation)) = document.take(found) else {
            self.forget(&seen_as);
            self.count_too_long(cx, of);
            return None;
        };
        let page = ListingPage {
            origin: ListingKey {
                ts,
                proxy: cx.config.proxy.clone(),
                upstream_url: cx.config.upstream_url.clone(),
                of,
                revision,
                principal,
            },
            caller: by_caller,
            cursor,
            next: found.next,
            result,
            limit,
            reservation,
        };
        Some((page, seen_as))
    }

    /// Handles a notice on a stream that these listings have changed. Passes each one
    /// to `record` that was requested since the last such notice. `record` returns
    /// whether it took the event.
    pub(in crate::capture) fn changed(
        &self,
        cx: &Context,
        changed: ListChanged,
        mut record: impl FnMut(StoreEvent) -> bool,
    ) {
        if changed.0 == 0 {
            return;
        }
        let known = self.stale.fetch_or(changed.0, Ordering::Relaxed);
        for of in Discovery::ALL {
            let bit = 1 << of as u8;
            if changed.0 & !known & bit == 0 {
                continue;
            }
            let accepted = record(StoreEvent::SchemaStale {
                ts: clock::unix_ms(),
                proxy: cx.config.proxy.clone(),
                upstream_url: cx.config.upstream_url.clone(),
                method: of.method().into(),
            });
            if !accepted {
                self.stale.fetch_and(!bit, Ordering::Relaxed);
            }
        }
    }

    fn count_too_long(&self, cx: &Context, of: Discovery) {
        let too_long = &cx.counters().listings_too_long;
        too_long.fetch_add(1, Ordering::Relaxed);
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "an answer to {} is longer than the {} bytes that are set for listings, or too \
                 many are under way: it is not stored",
                of.method(),
                cx.config.listing_bytes,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen_as(caller: Option<u64>) -> SeenAs {
        SeenAs { caller, class: 0 }
    }

    #[test]
    fn same_bytes_are_new_once_to_each_caller_and_class() {
        let listings = Listings::new();
        let now = 1_000_000_000;
        assert!(listings.is_new(&seen_as(Some(1)), 7, now), "the first ever");
        assert!(!listings.is_new(&seen_as(Some(1)), 7, now), "again");
        assert!(
            !listings.is_new(&seen_as(Some(2)), 7, now),
            "its class has seen it"
        );
        assert!(listings.is_new(&seen_as(Some(2)), 8, now), "something else");
        assert!(
            !listings.is_new(&seen_as(Some(1)), 7, now),
            "not to this caller"
        );
        assert!(!listings.is_new(&seen_as(None), 8, now), "not to the class");
        assert!(
            listings.is_new(&seen_as(None), 7, now),
            "to the class it is"
        );
    }

    #[test]
    fn listing_is_new_again_if_unrecorded_or_recorded_long_ago() {
        let listings = Listings::new();
        let now = 1_000_000_000;
        assert!(listings.is_new(&seen_as(Some(1)), 7, now));
        listings.forget(&seen_as(Some(1)));
        assert!(listings.is_new(&seen_as(Some(1)), 7, now));
        let later = now + TRUSTED.as_millis() as i64;
        assert!(!listings.is_new(&seen_as(Some(1)), 7, later - 1));
        assert!(listings.is_new(&seen_as(Some(1)), 7, later));
    }
}
