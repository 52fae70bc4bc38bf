//! Writes one batch of events in a transaction, and handles its failures.

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::super::Stats;
use super::super::entry::Entry;
use super::super::queue::{Chunk, Queue};
use super::diagnostics::WriteFailure;
use super::{PAUSE_FIRST, PAUSE_LONGEST, Writer};
use crate::db::{Db, LossLog, LossReason, LossSpan, WriteError};
use crate::event::StoreEvent;

/// The fewest and the most chunks of the queue in one transaction. With more rows,
/// more of them share a written page.
pub(super) const SMALLEST_BATCH: usize = 16;
const GROUP_LARGEST: usize = 64;

/// The intended longest time of a transaction, so that other writers of the file
/// get the lock.
const GROUP_TIME: Duration = Duration::from_millis(200);

/// Events that SQLite refused, by their position in the batch.
#[derive(Default)]
pub(super) struct Rejected {
    pub(super) places: Vec<usize>,
    pub(super) first_reason: Option<String>,
}

/// The committed part of a batch.
pub(super) struct Written {
    /// Number of committed chunks.
    pub(super) chunks: usize,
    /// Every event accepted before this moment is committed.
    pub(super) as_of: i64,
    pub(super) rejected: Rejected,
    /// Number of requests that sent a state back and were linked to no operation.
    pub(super) unlinked: u64,
}

impl Writer {
    /// Retries until the batch is committed; `None` if the time was up before.
    pub(super) fn write_batch(&mut self, batch: &[Chunk], as_of: Range<i64>) -> Option<Written> {
        let mut pause = PAUSE_FIRST;
        loop {
            if self.shared.queue.is_overdue() {
                return None;
            }
            self.ask_queue();
            match self.attempt(batch, as_of.clone()) {
                Ok(written) => {
                    self.succeeded();
                    return Some(written);
                }
                Err(obstacle) => {
                    self.log_outage(&obstacle);
                    self.failed(obstacle.reason);
                }
            }
            if !self.pause(pause) {
                return None;
            }
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// The loss log and the counters change with the file or not at all.
    fn attempt(&mut self, batch: &[Chunk], as_of: Range<i64>) -> Result<Written, WriteFailure> {
        let shared = Arc::clone(&self.shared);
        loop {
            // This comes first, because leaving a file forgets the rows of the loss log in it.
            self.connection()?;
            let (stats, mut loss_log) = (self.stats, self.loss_log.clone());
            let db = self.connection()?;
            match commit(
                db,
                batch,
                &mut loss_log,
                stats,
                as_of.clone(),
                &shared.queue,
            ) {
                Ok(written) => {
                    self.loss_log = loss_log;
                    self.log_rejected(&written.rejected);
                    return Ok(written);
                }
                // The next connection opens the file that is at the path now.
                Err(WriteError::Replaced) => {}
                Err(error) => return Err(self.failed_with(error)),
            }
        }
    }

    /// Calls the hook with every request of the batch that is now in the file.
    pub(super) fn call_hook(&mut self, batch: &[Chunk], rejected: &Rejected) {
        let Some(hook) = self.hook.as_mut().filter(|_| !self.hook_panicked) else {
            return;
        };
        let mut places = rejected.places.iter().copied().peekable();
        for (place, event) in events(batch).enumerate() {
            if places.next_if_eq(&place).is_some() {
                continue;
            }
            let Entry::Event(StoreEvent::Request(request)) = event else {
                continue;
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(request))) {
                let message = panic_message(&*panic);
                tracing::error!("the on_recorded hook panicked and is not called again: {message}");
                self.hook_panicked = true;
                return;
            }
        }
    }
}

/// Returns the number of chunks to write next, if `pieces` of `limit` took this
/// long.
pub(super) fn next_batch(limit: usize, pieces: usize, took: Duration) -> usize {
    if took > GROUP_TIME {
        (limit / 2).max(SMALLEST_BATCH)
    } else if took < GROUP_TIME / 2 && pieces == limit {
        (limit * 2).min(GROUP_LARGEST)
    } else {
        limit
    }
}

/// Returns the number of chunks to take: at most `limit`, and no more than `bytes`
/// of memory, but at least one.
pub(super) fn batch_size(chunks: &VecDeque<Chunk>, limit: usize, bytes: u64) -> usize {
    let mut taken = 0;
    let pieces = chunks.iter().take(limit).take_while(|chunk| {
        taken += chunk.bytes as u64;
        taken <= bytes
    });
    pieces.count().max(1)
}

/// Writes the events of `batch` in one transaction. If a caller begins to wait for
/// the writer thread, it writes only the first chunks. `stats` and the start of
/// `as_of` are from before the transaction. The end of `as_of` applies if the whole
/// batch is written.
fn commit(
    db: &mut Db,
    batch: &[Chunk],
    loss_log: &mut LossLog,
    mut stats: Stats,
    as_of: Range<i64>,
    queue: &Queue,
) -> Result<Written, WriteError> {
    let mut transaction = db.batch()?;
    let mut rejected = Rejected::default();
    let mut chunks = 0;
    let pieces = batch.iter().take_while(|_| {
        let goes_on = chunks == 0 || !queue.has_commands();
        chunks += usize::from(goes_on);
        goes_on
    });
    for (place, event) in pieces.flat_map(|chunk| &chunk.events).enumerate() {
        let added = match event {
            Entry::Event(event) => transaction.add(event),
            Entry::Listing(Some(seen)) => transaction.add_listing(seen),
            Entry::Listing(None) | Entry::Page(_) => Ok(()),
        };
        match added {
            Ok(()) => {}
            Err(error @ WriteError::Row(_)) => {
                rejected.places.push(place);
                rejected
                    .first_reason
                    .get_or_insert_with(|| error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let failed = rejected.places.len() as u64;
    if failed > 0 {
        loss_log.add(LossReason::WriteFailed, LossSpan::now(failed));
    }
    let written = batch.iter().take(chunks);
    let events: usize = written.map(|chunk| chunk.events.len()).sum();
    let unlinked = transaction.unlinked();
    stats.settle(events as u64, failed, unlinked);
    let as_of = if chunks == batch.len() {
        as_of.end
    } else {
        as_of.start
    };
    transaction.commit(loss_log, &stats.accounts(as_of))?;
    Ok(Written {
        chunks,
        as_of,
        rejected,
        unlinked,
    })
}

pub(super) fn events(batch: &[Chunk]) -> impl Iterator<Item = &Entry> {
    batch.iter().flat_map(|chunk| &chunk.events)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_quick_and_full_and_shrink_when_they_are_slow() {
        let (quick, fair, slow) = (GROUP_TIME / 4, GROUP_TIME, GROUP_TIME * 2);
        for (limit, pieces, took, next) in [
            (16, 16, quick, 32),
            (16, 15, quick, 16),
            (32, 32, fair, 32),
            (64, 64, quick, 64),
            (64, 64, slow, 32),
            (16, 1, slow, 16),
        ] {
            assert_eq!(next_batch(limit, pieces, took), next, "{pieces} of {limit}");
        }
    }
}
