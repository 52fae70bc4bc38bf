use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::wire::{Discovery, JsonId};

/// How many bytes all listings may take that are passing or that the writer has not read
/// yet. If a single listing may take more, that limit applies.
const ALL_BYTES: usize = 32 << 20;

/// One page of a listing, and the caller who asked for it.
#[derive(Debug)]
pub(crate) struct ListingPage {
    pub(crate) origin: ListingKey,
    /// Distinguishes callers while the process runs; `None` if nothing identifies the caller.
    pub(crate) caller: Option<u64>,
    /// The cursor in the request.
    pub(crate) cursor: Option<JsonId>,
    /// The cursor of the next page.
    pub(crate) next: Option<JsonId>,
    /// The bytes of the `result`, not parsed yet.
    pub(crate) result: Vec<u8>,
    /// How many bytes the whole listing may have.
    pub(crate) limit: usize,
    /// The reservation for the bytes of `result`.
    pub(crate) reservation: MemoryReservation,
}

/// Identifies a listing: when and on which server it was seen, and for which callers.
#[derive(Debug, Clone)]
pub(crate) struct ListingKey {
    pub(crate) ts: i64,
    pub(crate) proxy: Arc<str>,
    pub(crate) upstream_url: Arc<str>,
    pub(crate) of: Discovery,
    /// The revision of the protocol; empty if it is not known.
    pub(crate) revision: &'static str,
    pub(crate) principal: Option<Arc<str>>,
}

/// A part of the memory that listings may take. Its drop releases it.
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

    /// Returns an empty reservation of the same account.
    pub(crate) fn another(&self) -> Self {
        Self::new(&self.account)
    }

    /// Reserves `bytes` more, and returns whether there is room. One listing may take `limit`.
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
