//! The lowest module of the room: the settings of a layer, its counters, and
//! whether its store still records.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::config::Config;
use super::no_row::NoRow;
use crate::store::CaptureCounters;
use crate::wire::uri;

/// State that every part of a layer reads and counts in. It takes no lock.
pub(super) struct Context {
    pub(super) config: Config,
    counters: Arc<CaptureCounters>,
    /// The store is shut down.
    closed: AtomicBool,
    /// A counter without a row has grown, and the file does not hold the new value yet.
    has_news: AtomicBool,
}

impl Context {
    pub(super) fn new(config: Config, counters: Arc<CaptureCounters>) -> Self {
        Self {
            config,
            counters,
            closed: AtomicBool::new(false),
            has_news: AtomicBool::new(false),
        }
    }

    pub(super) fn counters(&self) -> &CaptureCounters {
        &self.counters
    }

    /// Returns whether the store is shut down: no call waits for its answer any longer.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Relaxed);
    }

    /// Counts a POST, and its exchange as open.
    pub(super) fn exchange_began(&self) {
        self.counters.posts.fetch_add(1, Relaxed);
        self.counters.in_flight.fetch_add(1, Relaxed);
    }

    /// Counts the HTTP part of an exchange as done.
    pub(super) fn http_done(&self) {
        self.counters.in_flight.fetch_sub(1, Relaxed);
    }

    /// Counts texts that were longer than their bound.
    pub(super) fn count_truncated(&self, texts: usize) {
        if texts > 0 {
            self.counters.truncated.fetch_add(texts as u64, Relaxed);
        }
    }

    /// Counts something that leaves no row. The row of another request takes the
    /// counters along into the file. In case there is no such row, the 1st, 2nd, 4th,
    /// 8th and so on wakes the writer thread, so that clients cannot wake it often.
    fn count(&self, counter: &AtomicU64) {
        let counted = counter.fetch_add(1, Relaxed) + 1;
        if counted.is_power_of_two() {
            self.has_news.store(true, Relaxed);
        }
    }

    /// Returns whether to wake the writer thread. The next call returns false.
    pub(super) fn take_news(&self) -> bool {
        self.has_news.load(Relaxed) && self.has_news.swap(false, Relaxed)
    }

    /// Counts a request without a row, and logs why.
    ///
    /// Logging may be slow, so the caller must hold no lock.
    pub(super) fn without_row(&self, why: &NoRow) {
        self.count(match why {
            NoRow::Skipped(_) => &self.counters.skipped,
            NoRow::OtherMedia => &self.counters.other_media,
            NoRow::Unidentified(_) | NoRow::BatchFull => &self.counters.unidentified,
        });
        tracing::debug!("a request to {} has no row; {why}", self.config.proxy);
    }

    /// Counts a request whose mirror headers contradict its body.
    pub(super) fn count_mismatched(&self) {
        self.counters.mismatched.fetch_add(1, Relaxed);
    }

    /// Returns whether requests of this method get no row.
    pub(super) fn skips(&self, method: &str) -> bool {
        let mut skipped = self.config.skipped_methods.iter();
        skipped.any(|skipped| **skipped == *method)
    }

    /// Returns a URI as it is stored: without its query if the layer is configured so.
    pub(super) fn uri(&self, uri: &str) -> Box<str> {
        match self.config.target_query {
            true => uri.into(),
            false => uri::without_query(uri).into(),
        }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}
