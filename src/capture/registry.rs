//! The open exchanges of one layer, found by their session.
//!
//! Each exchange takes one short lock at its beginning and one at its end. The
//! table calls no method of an exchange: it works for any `T`.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use hashlink::DefaultHashBuilder;
use slab::Slab;
use smallvec::SmallVec;

/// The most bytes that may wait for answers from elsewhere. Beyond that, the
/// exchanges that have waited longest are given up.
const DETACHED_BYTES: usize = 16 * 1024 * 1024;

/// The bytes that an exchange takes in the table, including spare capacity.
const PLACE: usize = 3 * (size_of::<Open<()>>() + size_of::<((Instant, usize), Detached<()>)>());

/// The bytes that each indexed request takes.
const INDEXED: usize = 3 * size_of::<(RequestKey, usize)>();

/// The number of exchanges of one session, and of requests in each, that a look-up
/// compares one by one. Other exchanges are found by the ids of their requests.
/// That index costs more, and few sessions need it.
const SEARCHED: usize = 16;

/// Open exchanges, and those whose HTTP part is over while their answer may
/// still come on another stream.
pub(super) struct OpenExchanges<T> {
    table: Mutex<Table<T>>,
    /// Number of exchanges that wait for a listing.
    awaiting: AtomicUsize,
}

/// An exchange and its place in the table.
pub(super) struct Registered<T> {
    pub(super) slot: Slot,
    pub(super) exchange: Arc<T>,
}

impl<T> Clone for Registered<T> {
    fn clone(&self) -> Self {
        Self {
            slot: self.slot,
            exchange: self.exchange.clone(),
        }
    }
}

struct Table<T> {
    exchanges: Slab<Open<T>>,
    /// By a keyed hash of the session's id.
    sessions: HashMap<u64, Session, DefaultHashBuilder>,
    /// The indexed exchanges, by request.
    by_request: BTreeMap<RequestKey, usize>,
    /// The number of the next exchange.
    next: u64,
    /// The detached exchanges, in the order in which their grace times end.
    detached: BTreeMap<(Instant, usize), Detached<T>>,
    detached_bytes: usize,
}

struct Open<T> {
    exchange: Weak<T>,
    /// Increases from exchange to exchange.
    number: u64,
    place: Option<Place>,
    /// Keyed hashes of the ids of its requests, if the exchange is indexed.
    requests: SmallVec<[u64; 2]>,
    awaits_listing: bool,
    /// The end of the grace time, once the exchange is detached.
    due: Option<Instant>,
}

/// The state of a session in the table.
#[derive(Default)]
struct Session {
    /// The newest searched exchange and the newest indexed exchange. Each heads a
    /// linked list of the others of its kind.
    newest: [Option<usize>; 2],
    /// Number of searched exchanges, at most [`SEARCHED`].
    searched: usize,
    /// Number of exchanges that wait for a listing.
    awaiting: usize,
}

/// How the requests of an exchange are found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum IndexState {
    #[default]
    Searched,
    Indexed,
}

/// The place in the list of a session's exchanges.
struct Place {
    session: u64,
    index_state: IndexState,
    newer: Option<usize>,
    older: Option<usize>,
}

/// The session and the request id, as keyed hashes, and the number of the exchange,
/// because an id may be in use more than once.
type RequestKey = (u64, u64, u64);

/// The place of an exchange in the table. It is invalid once the exchange is
/// removed, even if another exchange takes the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    index: usize,
    number: u64,
    /// How the exchange was found at its insertion.
    index_state: IndexState,
}

impl Slot {
    /// Returns whether the table needs the ids of this many requests of a new exchange.
    pub(super) fn needs_index(self, requests: usize) -> bool {
        self.index_state == IndexState::Indexed || requests > SEARCHED
    }
}

struct Detached<T> {
    /// The only reference that keeps a detached exchange alive.
    _kept: Arc<T>,
    bytes: usize,
}

impl<T> Default for OpenExchanges<T> {
    fn default() -> Self {
        Self {
            table: Mutex::new(Table {
                exchanges: Slab::new(),
                sessions: HashMap::default(),
                by_request: BTreeMap::new(),
                next: 0,
                detached: BTreeMap::new(),
                detached_bytes: 0,
            }),
            awaiting: AtomicUsize::new(0),
        }
    }
}

impl<T> OpenExchanges<T> {
    /// Adds an exchange of this session, if it names one.
    pub(super) fn insert(&self, session: Option<u64>, exchange: Arc<T>) -> Registered<T> {
        let mut table = self.lock();
        let number = table.next;
        table.next += 1;
        let index = table.exchanges.insert(Open {
            exchange: Arc::downgrade(&exchange),
            number,
            place: None,
            requests: SmallVec::new(),
            awaits_listing: false,
            due: None,
        });
        let index_state = session.map(|session| table.link(index, session, IndexState::Searched));
        let slot = Slot {
            index,
            number,
            index_state: index_state.unwrap_or_default(),
        };
        Registered { slot, exchange }
    }

    /// Moves an exchange to the session that its response names. Call
    /// [`index`](Self::index) again with its requests.
    pub(super) fn set_session(&self, slot: Slot, session: u64) {
        let mut table = self.lock();
        if table.open(slot).is_some() {
            table.unlink(slot.index);
            table.link(slot.index, session, IndexState::Searched);
        }
    }

    /// Indexes exactly these requests of an exchange, by keyed hashes of their ids.
    /// Does so only if there are too many to search, or if the exchange is indexed
    /// already.
    pub(super) fn index(&self, slot: Slot, requests: impl ExactSizeIterator<Item = u64>) {
        let mut table = self.lock();
        let Some(place) = table.open(slot).and_then(|open| open.place.as_ref()) else {
            return;
        };
        let session = place.session;
        if place.index_state == IndexState::Searched {
            if requests.len() <= SEARCHED {
                return;
            }
            table.unlink(slot.index);
            table.link(slot.index, session, IndexState::Indexed);
        }
        let Table {
            exchanges,
            by_request,
            ..
        } = &mut *table;
        if let Some(open) = exchanges.get_mut(slot.index) {
            for request in open.requests.drain(..) {
                by_request.remove(&(session, request, open.number));
            }
            open.requests = requests.collect();
            for &request in &open.requests {
                by_request.insert((session, request, open.number), slot.index);
            }
        }
    }

    /// Notes that the exchange waits for a listing.
    pub(super) fn set_awaits_listing(&self, slot: Slot) {
        let mut table = self.lock();
        let Some(open) = table.open(slot).filter(|open| !open.awaits_listing) else {
            return;
        };
        open.awaits_listing = true;
        self.awaiting.fetch_add(1, Ordering::Relaxed);
        let session = open.place.as_ref().map(|place| place.session);
        if let Some(session) = session.and_then(|session| table.sessions.get_mut(&session)) {
            session.awaiting += 1;
        }
    }

    /// Returns whether any exchange waits for a listing. Takes no lock.
    pub(super) fn any_awaits_listing(&self) -> bool {
        self.awaiting.load(Ordering::Relaxed) > 0
    }

    /// Returns whether an exchange of the session waits for a listing.
    pub(super) fn awaits_listing(&self, session: u64) -> bool {
        let table = self.lock();
        let session = table.sessions.get(&session);
        session.is_some_and(|session| session.awaiting > 0)
    }

    pub(super) fn remove(&self, slot: Slot) {
        let mut table = self.lock();
        if table.open(slot).is_none() {
            return;
        }
        table.unlink(slot.index);
        let open = table.exchanges.remove(slot.index);
        if open.awaits_listing {
            self.awaiting.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(due) = open.due else {
            return;
        };
        let detached = table.detached.remove(&(due, slot.index));
        table.detached_bytes -= detached.as_ref().map_or(0, |detached| detached.bytes);
        // The last reference to an exchange must not be dropped under the lock.
        drop(table);
        drop(detached);
    }

    /// Keeps an exchange of this many bytes until `due`, unless it was removed. Returns
    /// the exchanges that have to be given up to make room.
    pub(super) fn detach(
        &self,
        kept: &Registered<T>,
        due: Instant,
        bytes: usize,
    ) -> Vec<Registered<T>> {
        let Registered { slot, exchange } = kept;
        let mut table = self.lock();
        let table = &mut *table;
        let Some(open) = table.open(*slot) else {
            return Vec::new();
        };
        open.due = Some(due);
        let bytes = bytes + PLACE + open.requests.len() * INDEXED;
        let detached = Detached {
            _kept: exchange.clone(),
            bytes,
        };
        table.detached.insert((due, slot.index), detached);
        table.detached_bytes += bytes;
        let mut excess = table.detached_bytes.saturating_sub(DETACHED_BYTES);
        let longest = table.detached.iter().take_while(|(_, detached)| {
            let goes = excess > 0;
            excess = excess.saturating_sub(detached.bytes);
            goes
        });
        let longest = longest.map(|((_, index), _)| *index);
        longest
            .filter_map(|index| table.registered(index))
            .collect()
    }

    /// Returns the exchanges whose grace time is over, and when the next grace time
    /// ends.
    pub(super) fn overdue(&self, now: Instant) -> (Vec<Registered<T>>, Option<Instant>) {
        let table = self.lock();
        let overdue = table.detached.range(..=(now, usize::MAX));
        let overdue = overdue.filter_map(|((_, index), _)| table.registered(*index));
        let next = table.detached.keys().find(|(due, _)| *due > now);
        (overdue.collect(), next.map(|(due, _)| *due))
    }

    /// Returns the exchanges of a session.
    pub(super) fn of_session(&self, session: u64) -> Vec<Registered<T>> {
        let table = self.lock();
        let ways = [IndexState::Indexed, IndexState::Searched];
        let open = ways
            .iter()
            .flat_map(|index_state| table.list(session, *index_state));
        open.filter_map(|index| table.registered(index)).collect()
    }

    /// Returns the exchanges of a session that may hold the request whose id has this
    /// keyed hash, newest first. It returns few, however many the session has: among
    /// the exchanges indexed under the id, only the newest.
    pub(super) fn of_request(&self, session: u64, request: u64) -> Vec<Registered<T>> {
        let table = self.lock();
        let key = |number| (session, request, number);
        let indexed = table.by_request.range(key(0)..=key(u64::MAX)).rev();
        let indexed = indexed.take(SEARCHED).map(|(_, index)| *index);
        let found = indexed.chain(table.list(session, IndexState::Searched));
        let mut found: Vec<_> = found.filter_map(|index| table.registered(index)).collect();
        found.sort_unstable_by_key(|found| std::cmp::Reverse(found.slot.number));
        found
    }

    pub(super) fn all(&self) -> Vec<Registered<T>> {
        let table = self.lock();
        let open = table.exchanges.iter();
        open.filter_map(|(index, _)| table.registered(index))
            .collect()
    }

    /// Returns the number of detached exchanges, and the bytes counted for them.
    #[cfg(test)]
    pub(super) fn detached(&self) -> (usize, usize) {
        let table = self.lock();
        (table.detached.len(), table.detached_bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Table<T>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Table<T> {
    /// Returns the entry of an exchange, unless it is removed.
    fn open(&mut self, slot: Slot) -> Option<&mut Open<T>> {
        let open = self.exchanges.get_mut(slot.index);
        open.filter(|open| open.number == slot.number)
    }

    /// Returns the exchange at a place, unless it was dropped.
    fn registered(&self, index: usize) -> Option<Registered<T>> {
        let open = self.exchanges.get(index)?;
        Some(Registered {
            slot: Slot {
                index,
                number: open.number,
                index_state: open
                    .place
                    .as_ref()
                    .map_or(IndexState::Searched, |place| place.index_state),
            },
            exchange: open.exchange.upgrade()?,
        })
    }

    /// Returns the exchanges of a session with this index state, newest first.
    fn list(&self, session: u64, index_state: IndexState) -> impl Iterator<Item = usize> {
        let newest = self.sessions.get(&session);
        let newest = newest.and_then(|session| session.newest[index_state as usize]);
        std::iter::successors(newest, |index| {
            self.exchanges.get(*index)?.place.as_ref()?.older
        })
    }

    /// Adds an exchange to a session, with this index state if there is room.
    fn link(&mut self, index: usize, session: u64, index_state: IndexState) -> IndexState {
        let known = self.sessions.entry(session).or_default();
        let index_state = match index_state {
            IndexState::Searched if known.searched < SEARCHED => IndexState::Searched,
            _ => IndexState::Indexed,
        };
        known.searched += usize::from(index_state == IndexState::Searched);
        let older = known.newest[index_state as usize].replace(index);
        if let Some(open) = self.exchanges.get_mut(index) {
            known.awaiting += usize::from(open.awaits_listing);
            open.place = Some(Place {
                session,
                index_state,
                newer: None,
                older,
            });
        }
        if let Some(place) = older.and_then(|older| self.place(older)) {
            place.newer = Some(index);
        }
        index_state
    }

    /// Removes an exchange from its session. Returns the session, if it had one.
    fn unlink(&mut self, index: usize) -> Option<u64> {
        let open = self.exchanges.get_mut(index)?;
        let Place {
            session,
            index_state,
            newer,
            older,
        } = open.place.take()?;
        if index_state == IndexState::Indexed {
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
        known.searched -= usize::from(index_state == IndexState::Searched);
        if newer.is_none() {
            known.newest[index_state as usize] = older;
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
