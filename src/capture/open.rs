//! The exchanges of one layer that are not over, found by their session.
//!
//! One short lock, taken at the beginning and end of each exchange; whoever
//! holds it asks nothing of an exchange.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use hashlink::DefaultHashBuilder;
use slab::Slab;
use smallvec::SmallVec;

use super::exchange::Exchange;

/// How much memory may wait for answers that come elsewhere, in bytes; beyond
/// that whatever has waited longest is given up.
const DETACHED_BYTES: usize = 16 * 1024 * 1024;

/// The bytes that an exchange takes in the table, the room that the table keeps
/// for others included.
const PLACE: usize = 3 * (size_of::<Open>() + size_of::<((Instant, usize), Detached)>());

/// Likewise for each request that is indexed.
const INDEXED: usize = 3 * size_of::<(RequestKey, usize)>();

/// Exchanges of one session, and requests of each, that are searched one by one
/// for a request. Other exchanges are found by the ids of their requests, which
/// costs more to keep and which few sessions need.
const SEARCHED: usize = 16;

/// Open exchanges, and those whose HTTP part is over while their answer may
/// still come on another stream.
#[derive(Default)]
pub(super) struct OpenExchanges {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    exchanges: Slab<Open>,
    /// By a keyed hash of the session's id.
    sessions: HashMap<u64, Session, DefaultHashBuilder>,
    /// The indexed exchanges.
    by_request: BTreeMap<RequestKey, usize>,
    /// The number of the next exchange.
    next: u64,
    /// The detached ones in the order in which their grace time ends.
    detached: BTreeMap<(Instant, usize), Detached>,
    detached_bytes: usize,
}

struct Open {
    exchange: Weak<Exchange>,
    /// Grows from exchange to exchange.
    number: u64,
    place: Option<Place>,
    /// Keyed hashes of the ids of its requests, if the exchange is indexed.
    requests: SmallVec<[u64; 2]>,
    awaits_listing: bool,
    /// When the grace time ends, once the exchange is detached.
    due: Option<Instant>,
}

/// What the table knows of a session.
#[derive(Default)]
struct Session {
    /// The newest exchange that is searched, and the newest that is indexed;
    /// the others of each kind follow as a list.
    newest: [Option<usize>; 2],
    /// How many exchanges are searched, at most [`SEARCHED`].
    searched: usize,
    /// How many exchanges wait for a listing.
    awaiting: usize,
}

/// How the requests of an exchange are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Searched,
    Indexed,
}

/// The place in the list of a session's exchanges.
struct Place {
    session: u64,
    way: Way,
    newer: Option<usize>,
    older: Option<usize>,
}

/// The session and the id of a request, as keyed hashes, and the number of the
/// exchange: an id may be in use more than once.
type RequestKey = (u64, u64, u64);

/// Names an open exchange in the table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    index: usize,
    way: Way,
}

impl Slot {
    /// Whether the table has to know the ids of so many requests.
    pub(super) fn needs_index(self, requests: usize) -> bool {
        self.way == Way::Indexed || requests > SEARCHED
    }
}

struct Detached {
    exchange: Arc<Exchange>,
    bytes: usize,
}

impl OpenExchanges {
    pub(super) fn insert(&self, session: Option<u64>, exchange: Weak<Exchange>) -> Slot {
        let mut table = self.lock();
        let number = table.next;
        table.next += 1;
        let index = table.exchanges.insert(Open {
            exchange,
            number,
            place: None,
            requests: SmallVec::new(),
            awaits_listing: false,
            due: None,
        });
        let way = session.map(|session| table.link(index, session, Way::Searched));
        Slot {
            index,
            way: way.unwrap_or_default(),
        }
    }

    /// The response named the session.
    pub(super) fn set_session(&self, slot: &mut Slot, session: u64) {
        let mut table = self.lock();
        table.unlink(slot.index);
        slot.way = table.link(slot.index, session, Way::Searched);
    }

    /// Indexes these requests of an exchange, and no other, by keyed hashes of
    /// their ids.
    pub(super) fn index(&self, slot: &mut Slot, requests: impl Iterator<Item = u64>) {
        let mut table = self.lock();
        if slot.way == Way::Searched {
            let Some(session) = table.unlink(slot.index) else {
                return;
            };
            slot.way = table.link(slot.index, session, Way::Indexed);
        }
        let Table {
            exchanges,
            by_request,
            ..
        } = &mut *table;
        if let Some(open) = exchanges.get_mut(slot.index)
            && let Some(place) = &open.place
        {
            for request in open.requests.drain(..) {
                by_request.remove(&(place.session, request, open.number));
            }
            open.requests = requests.collect();
            for &request in &open.requests {
                by_request.insert((place.session, request, open.number), slot.index);
            }
        }
    }

    /// Notes that the exchange waits for a listing.
    pub(super) fn set_awaits_listing(&self, slot: Slot) {
        let mut table = self.lock();
        let Table {
            exchanges,
            sessions,
            ..
        } = &mut *table;
        let Some(open) = exchanges.get_mut(slot.index) else {
            return;
        };
        open.awaits_listing = true;
        let place = open.place.as_ref();
        if let Some(session) = place.and_then(|place| sessions.get_mut(&place.session)) {
            session.awaiting += 1;
        }
    }

    /// Whether an exchange of the session waits for a listing.
    pub(super) fn awaits_listing(&self, session: u64) -> bool {
        let table = self.lock();
        let session = table.sessions.get(&session);
        session.is_some_and(|session| session.awaiting > 0)
    }

    pub(super) fn remove(&self, slot: Slot) {
        let mut table = self.lock();
        table.unlink(slot.index);
        let Some(open) = table.exchanges.try_remove(slot.index) else {
            return;
        };
        if let Some(due) = open.due {
            let detached = table.detached.remove(&(due, slot.index));
            table.detached_bytes -= detached.map_or(0, |detached| detached.bytes);
        }
    }

    /// Keeps an exchange of so many bytes until `due`, unless it is over by now.
    /// Returns those that have to go for it.
    pub(super) fn detach(
        &self,
        slot: Slot,
        exchange: &Arc<Exchange>,
        due: Instant,
        bytes: usize,
    ) -> Vec<Arc<Exchange>> {
        let mut table = self.lock();
        let table = &mut *table;
        let open = table.exchanges.get_mut(slot.index);
        let Some(open) = open.filter(|open| open.exchange.as_ptr() == Arc::as_ptr(exchange)) else {
            return Vec::new();
        };
        open.due = Some(due);
        let exchange = exchange.clone();
        let bytes = bytes + PLACE + open.requests.len() * INDEXED;
        table
            .detached
            .insert((due, slot.index), Detached { exchange, bytes });
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

    /// The exchanges of a session.
    pub(super) fn of_session(&self, session: u64) -> Vec<Arc<Exchange>> {
        let table = self.lock();
        let ways = [Way::Indexed, Way::Searched];
        let open = ways.iter().flat_map(|way| table.list(session, *way));
        open.filter_map(|open| open.exchange.upgrade()).collect()
    }

    /// The exchanges of a session that may hold the request whose id has this
    /// keyed hash, the newest first. However many the session has, few are
    /// looked at: of those that are indexed under the id, the newest.
    pub(super) fn of_request(&self, session: u64, request: u64) -> Vec<Arc<Exchange>> {
        let table = self.lock();
        let key = |number| (session, request, number);
        let indexed = table.by_request.range(key(0)..=key(u64::MAX)).rev();
        let indexed = indexed.take(SEARCHED).map(|(_, index)| *index);
        let indexed = indexed.filter_map(|index| table.exchanges.get(index));
        let mut open: SmallVec<[&Open; SEARCHED]> =
            indexed.chain(table.list(session, Way::Searched)).collect();
        open.sort_unstable_by_key(|open| std::cmp::Reverse(open.number));
        let exchanges = open.iter().filter_map(|open| open.exchange.upgrade());
        exchanges.collect()
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
    /// The exchanges of a session that are found in this way, the newest first.
    fn list(&self, session: u64, way: Way) -> impl Iterator<Item = &Open> {
        let newest = self.sessions.get(&session);
        let newest = newest.and_then(|session| session.newest[way as usize]);
        let newest = newest.and_then(|newest| self.exchanges.get(newest));
        std::iter::successors(newest, |open| {
            let older = open.place.as_ref()?.older?;
            self.exchanges.get(older)
        })
    }

    /// Adds an exchange to those of a session, to be found in this way if there
    /// is room.
    fn link(&mut self, index: usize, session: u64, way: Way) -> Way {
        let known = self.sessions.entry(session).or_default();
        let way = match way {
            Way::Searched if known.searched < SEARCHED => Way::Searched,
            _ => Way::Indexed,
        };
        known.searched += usize::from(way == Way::Searched);
        let older = known.newest[way as usize].replace(index);
        if let Some(open) = self.exchanges.get_mut(index) {
            known.awaiting += usize::from(open.awaits_listing);
            open.place = Some(Place {
                session,
                way,
                newer: None,
                older,
            });
        }
        if let Some(place) = older.and_then(|older| self.place(older)) {
            place.newer = Some(index);
        }
        way
    }

    /// Removes an exchange from those of its session, if it has one, and returns
    /// that.
    fn unlink(&mut self, index: usize) -> Option<u64> {
        let open = self.exchanges.get_mut(index)?;
        let Place {
            session,
            way,
            newer,
            older,
        } = open.place.take()?;
        if way == Way::Indexed {
            for request in open.requests.drain(..) {
                self.by_request.remove(&(session, request, open.number));
            }
        }
        let awaited = open.awaits_listing;
        if let Some(place) = older.and_then(|older| self.place(older)) {
            place.newer = newer;
        }
        if let Some(place) = newer.and_then(|newer| self.place(newer)) {
            place.older = older;
        }
        let Entry::Occupied(mut entry) = self.sessions.entry(session) else {
            return Some(session);
        };
        let known = entry.get_mut();
        known.awaiting -= usize::from(awaited);
        known.searched -= usize::from(way == Way::Searched);
        if newer.is_none() {
            known.newest[way as usize] = older;
        }
        if known.newest == [None; 2] {
            entry.remove();
        }
        Some(session)
    }

    fn place(&mut self, index: usize) -> Option<&mut Place> {
        self.exchanges.get_mut(index)?.place.as_mut()
    }
}

#[cfg(test)]
mod tests;
