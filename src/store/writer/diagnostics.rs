//! The reports of the writer thread: in the log, the state of the store and the
//! file.

use std::time::Instant;

use super::super::StoreState;
use super::super::queue::Refused;
use super::Writer;
use super::batch::Rejected;
use crate::db::{Hindrance, LossReason, WriteError};
use crate::error::{OpenError, OpenErrorKind, chain};

/// Why the writer thread cannot write now.
pub(super) struct WriteFailure {
    pub(super) reason: String,
    /// Another connection holds a lock, so a retry will help.
    pub(super) is_lock: bool,
}

impl From<OpenError> for WriteFailure {
    fn from(error: OpenError) -> Self {
        Self {
            reason: chain(&error),
            is_lock: error.kind() == OpenErrorKind::Locked,
        }
    }
}

impl From<WriteError> for WriteFailure {
    fn from(error: WriteError) -> Self {
        Self {
            reason: error.to_string(),
            is_lock: error.is_busy(),
        }
    }
}

impl From<Hindrance> for WriteFailure {
    fn from(hindrance: Hindrance) -> Self {
        Self {
            reason: hindrance.to_string(),
            // It is not treated as a lock, because the wait may be too long for commands.
            is_lock: false,
        }
    }
}

impl Writer {
    /// Takes the refused events from the queue, and the counters of the same moment.
    pub(super) fn ask_queue(&mut self) {
        let refused = self.shared.queue.take_refused();
        self.note(refused);
    }

    pub(super) fn note(&mut self, refused: Refused) {
        self.stats = refused.stats;
        self.stats.take_over(&self.shared.counters);
        let path = self.shared.path.display();
        if let Some(stretch) = refused.queue_full {
            if let Some(dropped) = self.overloads.happened(stretch.dropped, Instant::now()) {
                tracing::warn!(%path, "the store's queue is full, {dropped} events dropped so far");
            }
            self.loss_log.add(LossReason::QueueFull, stretch);
        }
        if let Some(stretch) = refused.shutdown {
            self.loss_log.add(LossReason::Shutdown, stretch);
        }
    }

    /// Logs when SQLite begins to reject rows, and when it accepts them again.
    pub(super) fn log_rejected(&mut self, rejected: &Rejected) {
        if let Some(reason) = &rejected.first_reason {
            let count = rejected.places.len() as u64;
            if let Some(count) = self.rejections.happened(count, Instant::now()) {
                let path = self.shared.path.display();
                tracing::warn!(%path, "the store refused an event, {count} failed so far: {reason}");
            }
        } else if self.rejections.is_over() {
            tracing::info!("the store takes all events again");
        }
        if !self.loss_log.is_open(LossReason::QueueFull) && self.overloads.is_over() {
            tracing::info!("the store's queue has room again");
        }
    }

    /// Logs that nothing can be written, once in each outage.
    pub(super) fn log_outage(&mut self, failure: &WriteFailure) {
        if self.failing || self.outages.happened(1, Instant::now()).is_none() {
            return;
        }
        let WriteFailure { reason, is_lock } = failure;
        let path = self.shared.path.display();
        if *is_lock {
            tracing::warn!(%path, "cannot write to the store, trying again: {reason}");
        } else {
            tracing::error!(%path, "cannot write to the store, trying again: {reason}");
        }
    }

    pub(super) fn succeeded(&mut self) {
        if std::mem::take(&mut self.failing) && self.outages.is_over() {
            let stats = self.shared.queue.stats();
            tracing::info!("the store is written to again; {stats}");
        }
        self.shared.queue.set_condition(StoreState::Ready);
    }

    pub(super) fn failed(&mut self, reason: String) {
        self.failing = true;
        self.shared
            .queue
            .set_condition(StoreState::Failing { reason });
    }
}
