//! The exchanges of one layer that are not over.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use slab::Slab;

use super::exchange::Exchange;

/// How many exchanges may wait for an answer that comes elsewhere; of more, the
/// one that has waited longest is given up.
const DETACHED: usize = 10_000;

/// Open exchanges, and those whose HTTP part is over while their answer may
/// still come on another stream.
#[derive(Default)]
pub(super) struct OpenExchanges {
    open: Mutex<Slab<Open>>,
    /// In the order in which their grace time ends.
    detached: Mutex<VecDeque<(Instant, Arc<Exchange>)>>,
}

struct Open {
    /// Hash of the session, so that looking for one touches no exchange of another.
    session: Option<u64>,
    exchange: Weak<Exchange>,
}

impl OpenExchanges {
    pub(super) fn insert(&self, session: Option<u64>, exchange: Weak<Exchange>) -> usize {
        self.lock().insert(Open { session, exchange })
    }

    /// The response named the session.
    pub(super) fn set_session(&self, slot: usize, session: u64) {
        if let Some(open) = self.lock().get_mut(slot) {
            open.session = Some(session);
        }
    }

    pub(super) fn remove(&self, slot: usize) {
        self.lock().try_remove(slot);
    }

    /// The exchanges of a session.
    pub(super) fn of_session(&self, session: u64) -> Vec<Arc<Exchange>> {
        self.matching(|open| open.session == Some(session))
    }

    pub(super) fn all(&self) -> Vec<Arc<Exchange>> {
        self.matching(|_| true)
    }

    fn matching(&self, wanted: impl Fn(&Open) -> bool) -> Vec<Arc<Exchange>> {
        let open = self.lock();
        let matching = open.iter().filter(|(_, open)| wanted(open));
        matching
            .filter_map(|(_, open)| open.exchange.upgrade())
            .collect()
    }

    /// Keeps an exchange until `due`, and returns the one that has to go for it.
    pub(super) fn detach(&self, exchange: Arc<Exchange>, due: Instant) -> Option<Arc<Exchange>> {
        let mut detached = self.detached.lock().unwrap_or_else(PoisonError::into_inner);
        detached.push_back((due, exchange));
        if detached.len() > DETACHED {
            detached.pop_front().map(|(_, exchange)| exchange)
        } else {
            None
        }
    }

    /// The exchanges whose grace time is over, and when the next one's is.
    pub(super) fn overdue(&self, now: Instant) -> (Vec<Arc<Exchange>>, Option<Instant>) {
        let mut detached = self.detached.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that were answered meanwhile go with them.
        let overdue = detached
            .iter()
            .take_while(|(due, exchange)| *due <= now || exchange.is_over());
        let overdue = overdue.count();
        let exchanges = detached
            .drain(..overdue)
            .map(|(_, exchange)| exchange)
            .collect();
        (exchanges, detached.front().map(|(due, _)| *due))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slab<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
