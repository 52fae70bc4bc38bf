//! Assembles listings from their pages.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::super::CaptureCounters;
use super::super::entry::Entry;
use super::super::page_assembler::{Joined, PageAssembler};
use super::super::queue::Chunk;

/// The listings whose last page has not arrived.
#[derive(Default)]
pub(super) struct Listings {
    page_assembler: PageAssembler,
    /// A malformed listing was logged. Further ones are not logged.
    malformed_logged: bool,
}

impl Listings {
    /// Parses the pages of listings in the batch. It does so once, and before the
    /// transaction, which holds the file's lock. Pages may be megabytes long, so it
    /// calls `after_page` after each.
    pub(super) fn read_pages(
        &mut self,
        batch: &mut [Chunk],
        counters: &CaptureCounters,
        mut after_page: impl FnMut(),
    ) {
        let now = Instant::now();
        self.page_assembler.forget_overdue(now);
        for entry in batch.iter_mut().flat_map(|chunk| &mut chunk.events) {
            if !matches!(entry, Entry::Page(_)) {
                continue;
            }
            let Entry::Page(page) = std::mem::replace(entry, Entry::Listing(None)) else {
                continue;
            };
            let method = page.origin.of.method();
            let malformed = match self.page_assembler.join(*page, now) {
                Joined::Complete(seen) => {
                    let malformed = seen.listing.duplicates;
                    *entry = Entry::Listing(Some(seen));
                    malformed
                }
                Joined::Partial => false,
                Joined::TooLong => {
                    counters.listings_too_long.fetch_add(1, Relaxed);
                    false
                }
                Joined::Malformed => true,
            };
            if malformed {
                counters.listings_malformed.fetch_add(1, Relaxed);
                if !std::mem::replace(&mut self.malformed_logged, true) {
                    tracing::warn!(
                        "an answer to {method} is not what the protocol says: it is broken or \
                         nested too deeply, or its items have no names of their own"
                    );
                }
            }
            after_page();
        }
    }
}
