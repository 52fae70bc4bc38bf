use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::wire::{Discovery, JsonId};

/// What all listings that pass or wait to be read may take together, in bytes,
/// unless a single one may take more.
const ALL_BYTES: usize = 32 << 20;

/// One page of a listing as it passed, and who asked for it.
#[derive(Debug)]
pub(crate) struct ListingPage {
    pub(crate) origin: ListingKey,
    /// Tells one caller from another while the process runs; absent where
    /// nothing does.
    pub(crate) caller: Option<u64>,
    /// The cursor that the request held, and that of the page after this.
    pub(crate) cursor: Option<JsonId>,
    pub(crate) next: Option<JsonId>,
    /// The bytes of the `result`, unread.
    pub(crate) result: Vec<u8>,
    /// What a whole listing may take, in bytes.
    pub(crate) limit: usize,
    /// That of the result.
    pub(crate) charge: MemoryReservation,
}

/// Where and when a listing was seen, and by which class of callers.
#[derive(Debug, Clone)]
pub(crate) struct ListingKey {
    pub(crate) ts: i64,
    pub(crate) proxy: Arc<str>,
    pub(crate) upstream_url: Arc<str>,
    pub(crate) of: Discovery,
    /// Revision of the protocol; empty where it is not known.
    pub(crate) revision: &'static str,
    pub(crate) principal: Option<Arc<str>>,
}

/// A share of the memory that listings may take; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryReservation {
    account: Arc<AtomicUsize>,
    bytes: usize,
}

impl MemoryReservation {
    pub(crate) fn new(account: &Arc<AtomicUsize>) -> Self {
        Self {
            account: account.clone(),
            bytes: 0,
        }
    }

    /// An empty one of the same account.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.account)
    }

    /// Takes so much more, where one listing may take `limit`; whether there is room.
    pub(crate) fn take(&mut self, bytes: usize, limit: usize) -> bool {
        let before = self.account.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > ALL_BYTES.max(limit) {
            self.account.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        self.account.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
