use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::db::Accounts;

/// What became of everything that was recorded, as one consistent snapshot.
///
/// At every moment `submitted == written + failed + dropped + queued`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Events given to [`Store::record`](crate::Store::record), by the layers too; of
    /// a listing that differs from the last, each page is one.
    pub submitted: u64,
    /// Events that are committed in the file.
    pub written: u64,
    /// Events that can never be written, such as a second request with the same id.
    pub failed: u64,
    /// Events given up: the queue was full, shutdown had no time left, or they came after it.
    pub dropped: u64,
    /// Events that wait, those in a transaction that is not committed yet included.
    pub queued: u64,
    /// Methods, tools, targets, revisions, session ids, and names and versions of
    /// clients and servers, that were longer than their bound.
    pub truncated: u64,
    /// Requests without a row. The server refused or answered them unread, or
    /// their body is in an encoding that the layer cannot read, and no
    /// `Mcp-Method` header names the method. Or they are beyond what is kept of
    /// one batch. A JSON body without a complete value counts here, too, if the
    /// answer is below 400.
    pub unidentified: u64,
    /// Requests whose `Mcp-Method` or `Mcp-Name` header (2026-07-28) says something
    /// else than their body. Their rows tell what the body says.
    pub mismatched: u64,
    /// Answers to discovery requests that were not stored because they are longer than
    /// [`StoreLayer::max_listing_bytes`](crate::StoreLayer::max_listing_bytes), or because
    /// too many were under way at once.
    pub listings_too_long: u64,
    /// Answers to discovery requests that are not what the protocol says: broken or nested
    /// too deeply, no array, items without a name, which are not stored; and listings in
    /// which two items have the same name, which are.
    pub listings_malformed: u64,
    /// HTTP exchanges that are open now. Requests whose answer is still to come
    /// on another stream are not among them.
    pub in_flight: u64,
}

impl Stats {
    /// What the file keeps of this; what is queued is the rest.
    pub(super) fn accounts(&self, as_of: i64) -> Accounts {
        Accounts {
            as_of,
            submitted: self.submitted,
            written: self.written,
            failed: self.failed,
            dropped: self.dropped,
            truncated: self.truncated,
            unidentified: self.unidentified,
            mismatched: self.mismatched,
            in_flight: self.in_flight,
        }
    }

    /// So many events of the queue are committed, apart from the failed among them.
    pub(super) fn settle(&mut self, events: u64, failed: u64) {
        self.written += events - failed;
        self.failed += failed;
        self.queued -= events;
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} submitted: {} written, {} failed, {} dropped, {} queued; \
             {} truncated, {} unidentified, {} mismatched, {} listings too long, {} malformed, \
             {} in flight",
            self.submitted,
            self.written,
            self.failed,
            self.dropped,
            self.queued,
            self.truncated,
            self.unidentified,
            self.mismatched,
            self.listings_too_long,
            self.listings_malformed,
            self.in_flight,
        )
    }
}

/// What the capturing layers count, for [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct CaptureCounters {
    pub(crate) truncated: AtomicU64,
    pub(crate) unidentified: AtomicU64,
    pub(crate) mismatched: AtomicU64,
    pub(crate) listings_too_long: AtomicU64,
    /// Counted by the writer, which reads them.
    pub(crate) listings_malformed: AtomicU64,
    /// Bytes of listings that pass or wait to be read.
    pub(crate) listing_bytes: Arc<AtomicUsize>,
    /// A gauge: up when an exchange begins, down when it ends.
    pub(crate) in_flight: AtomicU64,
}

impl CaptureCounters {
    /// Enters the counters into `stats`.
    pub(super) fn fill(&self, stats: &mut Stats) {
        stats.truncated = self.truncated.load(Ordering::Relaxed);
        stats.unidentified = self.unidentified.load(Ordering::Relaxed);
        stats.mismatched = self.mismatched.load(Ordering::Relaxed);
        stats.listings_too_long = self.listings_too_long.load(Ordering::Relaxed);
        stats.listings_malformed = self.listings_malformed.load(Ordering::Relaxed);
        stats.in_flight = self.in_flight.load(Ordering::Relaxed);
    }
}
