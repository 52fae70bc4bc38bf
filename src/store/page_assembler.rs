//! Joins the pages of listings, on the writer thread.
//!
//! The first page of a listing is requested without a cursor. The next page is the
//! one that the same caller requests with the cursor of the last page. Pages of
//! callers that cannot be distinguished are not joined, because they may belong to
//! two callers.

use std::time::{Duration, Instant};

use hashlink::LinkedHashMap;

use crate::db::SeenListing;
use crate::event::ListingPage;
use crate::wire::listing::{Malformed, Page};
use crate::wire::{Discovery, JsonId};

/// The most listings that wait for their last page. Beyond that, those that have
/// waited longest are evicted.
const CHAINS: usize = 256;
const CHAINS_BYTES: usize = 32 << 20;

/// The most pages of one listing, because a server may never send a last page.
const PAGES: usize = 4096;

/// The longest time that a client may take from one page to the next.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The result of adding a page.
#[derive(Debug)]
pub(super) enum Joined {
    /// It was the last page of a listing, or the only one.
    Complete(Box<SeenListing>),
    /// More pages follow, or the first page of the listing was not seen.
    Partial,
    /// The listing exceeds its limit.
    TooLong,
    Malformed,
}

/// The incomplete listings.
#[derive(Debug, Default)]
pub(super) struct PageAssembler {
    /// By the cursor that they wait for, in the order in which they last grew.
    chains: LinkedHashMap<Key, Chain>,
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    caller: u64,
    of: Discovery,
    cursor: JsonId,
}

#[derive(Debug)]
struct Chain {
    page: Page,
    pages: usize,
    /// Bytes of the results, as they were sent.
    sent: usize,
    /// Bytes of memory.
    size: usize,
    grown: Instant,
}

impl PageAssembler {
    /// Adds a page.
    pub(super) fn join(&mut self, page: ListingPage, now: Instant) -> Joined {
        self.forget_overdue(now);
        let ListingPage {
            origin,
            caller,
            cursor,
            next,
            result,
            limit,
            reservation,
        } = page;
        let key = |caller: Option<u64>, cursor: Option<JsonId>| {
            Some(Key {
                caller: caller?,
                of: origin.of,
                cursor: cursor?,
            })
        };
        let before = match cursor {
            None => None,
            Some(_) => match key(caller, cursor).and_then(|key| self.remove(&key)) {
                Some(chain) => Some(chain),
                None => return Joined::Partial,
            },
        };
        let read = Page::read(origin.of, &result);
        let sent = result.len();
        drop((result, reservation));
        let read = match read {
            Ok(read) => read,
            Err(Malformed) => return Joined::Malformed,
        };
        let chain = match before {
            None => Chain {
                pages: 1,
                sent,
                size: read.size(),
                page: read,
                grown: now,
            },
            Some(mut chain) => {
                chain.pages += 1;
                chain.sent += sent;
                chain.size += read.size();
                chain.page.append(read);
                chain.grown = now;
                chain
            }
        };
        if chain.sent > limit || chain.pages > PAGES {
            return Joined::TooLong;
        }
        if next.is_some() {
            if let Some(key) = key(caller, next) {
                self.insert(key, chain);
            }
            return Joined::Partial;
        }
        let listing = chain.page.finish();
        Joined::Complete(Box::new(SeenListing { origin, listing }))
    }

    /// Drops the listings that were abandoned.
    pub(super) fn forget_overdue(&mut self, now: Instant) {
        let overdue = |chain: &Chain| now.saturating_duration_since(chain.grown) > PATIENCE;
        while self.chains.front().is_some_and(|(_, chain)| overdue(chain)) {
            self.forget_first();
        }
    }

    fn insert(&mut self, key: Key, chain: Chain) {
        self.bytes += chain.size;
        if let Some(replaced) = self.chains.insert(key, chain) {
            self.bytes -= replaced.size;
        }
        while self.chains.len() > CHAINS || self.bytes > CHAINS_BYTES {
            self.forget_first();
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Chain> {
        let chain = self.chains.remove(key)?;
        self.bytes -= chain.size;
        Some(chain)
    }

    fn forget_first(&mut self) {
        if let Some((_, chain)) = self.chains.pop_front() {
            self.bytes -= chain.size;
        }
    }
}

#[cfg(test)]
mod tests;
