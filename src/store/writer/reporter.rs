//! The reports of the writer thread: in the log, and in the state of the store.

use std::sync::Arc;
use std::time::Instant;

use super::super::log_throttle::LogThrottle;
use super::super::{Shared, StoreState};
use super::failure::WriteFailure;
use super::transaction::Rejected;

/// How many outages are logged at once, and in a minute on average. An outage that ends
/// and begins again counts twice.
const OUTAGES: u32 = 10;

/// Reports the faults of the file and of the queue, and their ends.
pub(super) struct Reporter {
    shared: Arc<Shared>,
    /// The last attempt to open or write the file failed.
    is_failing: bool,
    outages: LogThrottle,
    overloads: LogThrottle,
    rejections: LogThrottle,
}

impl Reporter {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            is_failing: false,
            outages: LogThrottle::burst(OUTAGES),
            overloads: LogThrottle::default(),
            rejections: LogThrottle::default(),
        }
    }

    /// Reports that the file is open or was written to.
    pub(super) fn succeeded(&mut self) {
        if std::mem::take(&mut self.is_failing) && self.outages.is_over() {
            let mut stats = self.shared.queue.stats();
            stats.take_over(&self.shared.counters);
            tracing::info!("the store is written to again; {stats}");
        }
        self.shared.queue.set_condition(StoreState::Ready);
    }

    /// Reports that the file could not be opened for the first time.
    pub(super) fn failed_to_open(&mut self, reason: String) {
        if !self.is_failing {
            tracing::error!("{reason}; traffic is not recorded until that is mended");
        }
        self.fail(reason);
    }

    /// Reports that nothing can be written. It is logged once in each outage.
    pub(super) fn failed_to_write(&mut self, failure: WriteFailure) {
        let WriteFailure { reason, is_lock } = failure;
        if !self.is_failing && self.outages.happened(1, Instant::now()).is_some() {
            let path = self.shared.path.display();
            if is_lock {
                tracing::warn!(%path, "cannot write to the store, trying again: {reason}");
            } else {
                tracing::error!(%path, "cannot write to the store, trying again: {reason}");
            }
        }
        self.fail(reason);
    }

    fn fail(&mut self, reason: String) {
        self.is_failing = true;
        self.shared
            .queue
            .set_condition(StoreState::Failing { reason });
    }

    /// Reports that the queue was full.
    pub(super) fn overloaded(&mut self, dropped: u64) {
        if let Some(dropped) = self.overloads.happened(dropped, Instant::now()) {
            let path = self.shared.path.display();
            tracing::warn!(%path, "the store's queue is full, {dropped} events dropped so far");
        }
    }

    /// Reports that the queue has room.
    pub(super) fn has_room(&mut self) {
        if self.overloads.is_over() {
            tracing::info!("the store's queue has room again");
        }
    }

    /// Reports which rows of a batch SQLite rejected, or that it accepted all of them.
    pub(super) fn rejected(&mut self, rejected: &Rejected) {
        if let Some(reason) = &rejected.first_reason {
            let count = rejected.places.len() as u64;
            if let Some(count) = self.rejections.happened(count, Instant::now()) {
                let path = self.shared.path.display();
                tracing::warn!(%path, "the store refused an event, {count} failed so far: {reason}");
            }
        } else if self.rejections.is_over() {
            tracing::info!("the store takes all events again");
        }
    }
}
