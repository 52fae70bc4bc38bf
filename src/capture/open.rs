//! The exchanges of one layer that are not over, found by their session.
//!
//! One short lock, taken at the beginning and end of each exchange; whoever
//! holds it asks nothing of an exchange.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use hashlink::DefaultHashBuilder;
use slab::Slab;

use super::exchange::Exchange;

/// How much memory may wait for answers that come elsewhere, in bytes; beyond
/// that whatever has waited longest is given up.
const DETACHED_BYTES: usize = 16 * 1024 * 1024;

/// Open exchanges, and those whose HTTP part is over while their answer may
/// still come on another stream.
#[derive(Default)]
pub(super) struct OpenExchanges {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    exchanges: Slab<Open>,
    /// The newest exchange of each session, by a keyed hash of its id; the
    /// others follow as a list.
    sessions: HashMap<u64, usize, DefaultHashBuilder>,
    /// The detached ones in the order in which their grace time ends.
    detached: BTreeMap<(Instant, usize), Detached>,
    detached_bytes: usize,
}

struct Open {
    exchange: Weak<Exchange>,
    place: Option<Place>,
    /// When the grace time ends, once the exchange is detached.
    due: Option<Instant>,
}

/// The place in the list of a session's exchanges.
struct Place {
    session: u64,
    newer: Option<usize>,
    older: Option<usize>,
}

struct Detached {
    exchange: Arc<Exchange>,
    bytes: usize,
}

impl OpenExchanges {
    pub(super) fn insert(&self, session: Option<u64>, exchange: Weak<Exchange>) -> usize {
        let mut table = self.lock();
        let slot = table.exchanges.insert(Open {
            exchange,
            place: None,
            due: None,
        });
        if let Some(session) = session {
            table.link(slot, session);
        }
        slot
    }

    /// The response named the session.
    pub(super) fn set_session(&self, slot: usize, session: u64) {
        let mut table = self.lock();
        table.unlink(slot);
        table.link(slot, session);
    }

    pub(super) fn remove(&self, slot: usize) {
        let mut table = self.lock();
        table.unlink(slot);
        let Some(open) = table.exchanges.try_remove(slot) else {
            return;
        };
        if let Some(due) = open.due {
            let detached = table.detached.remove(&(due, slot));
            table.detached_bytes -= detached.map_or(0, |detached| detached.bytes);
        }
    }

    /// Keeps an exchange of so many bytes until `due`, unless it is over by now.
    /// Returns those that have to go for it.
    pub(super) fn detach(
        &self,
        slot: usize,
        exchange: &Arc<Exchange>,
        due: Instant,
        bytes: usize,
    ) -> Vec<Arc<Exchange>> {
        let mut table = self.lock();
        let table = &mut *table;
        match table.exchanges.get_mut(slot) {
            Some(open) if open.exchange.as_ptr() == Arc::as_ptr(exchange) => open.due = Some(due),
            _ => return Vec::new(),
        }
        let exchange = exchange.clone();
        table
            .detached
            .insert((due, slot), Detached { exchange, bytes });
        table.detached_bytes += bytes;
        let mut excess = table.detached_bytes.saturating_sub(DETACHED_BYTES);
        let longest = table.detached.values().take_while(|detached| {
            let goes = excess > 0;
            excess = excess.saturating_sub(detached.bytes);
            goes
        });
        longest.map(|detached| detached.exchange.clone()).collect()
    }

    /// The exchanges whose grace time is over, and when the next one's is.
    pub(super) fn overdue(&self, now: Instant) -> (Vec<Arc<Exchange>>, Option<Instant>) {
        let table = self.lock();
        let overdue = table.detached.range(..=(now, usize::MAX));
        let overdue = overdue
            .map(|(_, detached)| detached.exchange.clone())
            .collect();
        let next = table.detached.keys().find(|(due, _)| *due > now);
        (overdue, next.map(|(due, _)| *due))
    }

    /// The exchanges of a session, the newest first.
    pub(super) fn of_session(&self, session: u64) -> Vec<Arc<Exchange>> {
        let table = self.lock();
        let newest = table
            .sessions
            .get(&session)
            .and_then(|slot| table.exchanges.get(*slot));
        std::iter::successors(newest, |open| {
            let older = open.place.as_ref()?.older?;
            table.exchanges.get(older)
        })
        .filter_map(|open| open.exchange.upgrade())
        .collect()
    }

    pub(super) fn all(&self) -> Vec<Arc<Exchange>> {
        let table = self.lock();
        let open = table.exchanges.iter();
        open.filter_map(|(_, open)| open.exchange.upgrade())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn link(&mut self, slot: usize, session: u64) {
        let older = self.sessions.insert(session, slot);
        if let Some(place) = older.and_then(|older| self.place(older)) {
            place.newer = Some(slot);
        }
        if let Some(open) = self.exchanges.get_mut(slot) {
            open.place = Some(Place {
                session,
                newer: None,
                older,
            });
        }
    }

    fn unlink(&mut self, slot: usize) {
        let open = self.exchanges.get_mut(slot);
        let Some(Place {
            session,
            newer,
            older,
        }) = open.and_then(|open| open.place.take())
        else {
            return;
        };
        if let Some(place) = older.and_then(|older| self.place(older)) {
            place.newer = newer;
        }
        match (newer, older) {
            (Some(newer), _) => {
                if let Some(place) = self.place(newer) {
                    place.older = older;
                }
            }
            (None, Some(older)) => {
                self.sessions.insert(session, older);
            }
            (None, None) => {
                self.sessions.remove(&session);
            }
        }
    }

    fn place(&mut self, slot: usize) -> Option<&mut Place> {
        self.exchanges.get_mut(slot)?.place.as_mut()
    }
}
