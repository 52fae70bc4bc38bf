//! Which events are finished, and which callers wait for that.

/// The numbers of the last accepted and the last finished event.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The number of the last event that was accepted.
    accepted: u64,
    /// Every event up to this number was written, failed or dropped.
    settled: u64,
    /// A flush waits for this number.
    flush_to: u64,
    /// Number of threads that wait for progress.
    waiting: usize,
}

impl Progress {
    pub(super) fn accept(&mut self) {
        self.accepted += 1;
    }

    /// Begins a flush. Returns the number that has to be
    /// [settled](Self::is_settled).
    pub(super) fn begin_flush(&mut self) -> u64 {
        self.flush_to = self.accepted;
        self.accepted
    }

    /// Returns whether a flush waits for events.
    pub(super) fn is_flushing(&self) -> bool {
        self.flush_to > self.settled
    }

    /// Returns whether every event up to this number is finished.
    pub(super) fn is_settled(&self, number: u64) -> bool {
        self.settled >= number
    }

    pub(super) fn settle(&mut self, events: usize) {
        self.settled += events as u64;
    }

    pub(super) fn settle_all(&mut self) {
        self.settled = self.accepted;
    }

    pub(super) fn begin_wait(&mut self) {
        self.waiting += 1;
    }

    pub(super) fn end_wait(&mut self) {
        self.waiting -= 1;
    }

    /// Returns whether a thread waits for progress.
    pub(super) fn is_awaited(&self) -> bool {
        self.waiting > 0
    }
}
