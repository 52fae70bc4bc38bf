//! The transaction of one batch of events.

use std::ops::Range;

use super::super::Stats;
use super::super::entry::Entry;
use super::super::queue::{Chunk, Queue};
use crate::db::{Db, LossLog, LossReason, LossSpan, WriteError};

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

/// Writes the events of `batch` in one transaction. If a caller begins to wait for
/// the writer thread, it writes only the first chunks. `stats` and the start of
/// `as_of` are from before the transaction. The end of `as_of` applies if the whole
/// batch is written.
pub(super) fn commit(
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
