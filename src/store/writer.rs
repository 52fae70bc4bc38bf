//! The thread that owns the connection.

mod batch_limit;
mod committer;
mod counts;
mod failure;
mod file;
mod hook;
mod listings;
mod reporter;
mod transaction;

pub(super) use self::hook::Hook;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use self::batch_limit::BatchLimit;
use self::committer::Committer;
use self::file::RecordingFile;
use self::hook::RecordedHook;
use self::listings::Listings;
use self::transaction::events;
use super::Shared;
use super::deadline::Deadline;
use super::housekeeping::Housekeeping;
use super::queue::{Chunk, Work};
use crate::db::WriterIdentity;
use crate::error::OpenError;

/// The pause between two transactions in a row, in which another writer of the file
/// can take the lock.
const PAUSE: Duration = Duration::from_millis(1);

/// The receiver of the result of the first opening. Without one, no caller waits,
/// and the writer thread retries.
pub(super) type Report = Option<Sender<Result<(), OpenError>>>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    flush_interval: Duration,
    committer: Committer,
    listings: Listings,
    batch_limit: BatchLimit,
    housekeeping: Housekeeping,
    hook: RecordedHook,
}

/// Marks the queue as without a writer thread on drop, even after a panic.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.queue.give_up();
        self.0.queue.end();
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        flush_interval: Duration,
        identity: WriterIdentity,
        housekeeping: Housekeeping,
        hook: Option<Hook>,
    ) -> Self {
        let file = RecordingFile::new(Arc::clone(&shared), identity, housekeeping.retention());
        Self {
            committer: Committer::new(Arc::clone(&shared), file),
            shared,
            flush_interval,
            listings: Listings::default(),
            batch_limit: BatchLimit::new(),
            housekeeping,
            hook: RecordedHook::new(hook),
        }
    }

    /// Runs until the queue is closed and written, or its time is up.
    pub(super) fn run(mut self, report: Report) {
        let shared = Arc::clone(&self.shared);
        shared.queue.attend();
        // It is dropped before `self`: the hook may hold the last handle of the store,
        // whose drop waits for the end.
        let _ending = Ending(&shared);
        if self.committer.open_first(report) {
            let mut due = Deadline::after(self.flush_interval);
            shared.queue.housekeeping_at(self.housekeeping.due());
            while let Some(work) = shared.queue.next(&mut due, self.flush_interval) {
                self.committer.serve_waiting();
                match work {
                    Work::Commands => {}
                    Work::Alarm => {
                        shared.settle_overdue();
                        self.committer.write_counters();
                    }
                    Work::Housekeeping => self.keep_up(),
                    Work::Events { chunks, until } => {
                        due = Deadline::after(self.flush_interval);
                        if !self.write(chunks, until) {
                            break;
                        }
                    }
                }
            }
        }
        self.committer.close();
    }

    /// Writes `chunks`, which hold all events accepted before `until`, in batches.
    /// Returns `false` if the time was up before all of them were written.
    fn write(&mut self, mut chunks: VecDeque<Chunk>, until: i64) -> bool {
        while !chunks.is_empty() {
            self.committer.serve_waiting();
            let memory = self.housekeeping.batch_bytes();
            let mut batch = self.batch_limit.take(&mut chunks, memory);
            self.listings
                .read_pages(&mut batch, &self.shared.counters, || {
                    self.committer.serve_waiting();
                });
            let start = Instant::now();
            let until = chunks.is_empty().then_some(until);
            let Some(written) = self.committer.write_batch(&batch, until) else {
                return false;
            };
            if written.chunks < batch.len() {
                let left = batch.split_off(written.chunks);
                left.into_iter()
                    .rev()
                    .for_each(|chunk| chunks.push_front(chunk));
            } else {
                self.batch_limit.adapt(batch.len(), start.elapsed());
            }
            self.hook.call(&batch, &written.rejected);
            if let Some(db) = self.committer.file().db() {
                let bytes: usize = batch.iter().map(|chunk| chunk.bytes).sum();
                self.housekeeping
                    .wrote(db, events(&batch).count() as u64, bytes as u64);
            }
            self.shared
                .queue
                .settle(batch, written.rejected.places.len(), written.unlinked);
            self.committer.keep_wal_short();
            // Under full load, or if the flush interval is shorter than a transaction, the
            // queue never returns `Work::Housekeeping`.
            let has_commands = self.shared.queue.has_commands();
            let is_pressing = self.housekeeping.is_pressing();
            if (is_pressing || !has_commands) && self.housekeeping.due().has_passed() {
                self.keep_up();
            }
            if !has_commands && !chunks.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
        self.shared.queue.housekeeping_at(self.housekeeping.due());
        true
    }

    /// Runs a slice of housekeeping, or several slices if the file is too large.
    fn keep_up(&mut self) {
        let end = Instant::now() + self.housekeeping.budget();
        loop {
            let db = self.committer.file().db();
            let done = match db.filter(|db| !db.is_replaced()) {
                Some(db) => self.housekeeping.step(db),
                None => {
                    self.housekeeping.put_off();
                    false
                }
            };
            self.committer.keep_wal_short();
            let has_time = Instant::now() < end || self.housekeeping.is_at_ceiling();
            let goes_on = done && has_time && self.housekeeping.is_urgent();
            if !goes_on || self.shared.queue.is_overdue() {
                break;
            }
            self.committer.serve_waiting();
        }
        self.housekeeping.rest();
        self.shared.queue.housekeeping_at(self.housekeeping.due());
    }
}
