//! How many events one transaction writes.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::queue::Chunk;

/// The fewest and the most chunks of the queue in one transaction. With more rows,
/// more of them share a written page.
const SMALLEST: usize = 16;
const LARGEST: usize = 64;

/// The intended longest time of a transaction, so that other writers of the file
/// get the lock.
const TRANSACTION_TIME: Duration = Duration::from_millis(200);

/// The largest number of chunks in the next transaction. It follows the time that
/// transactions take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchLimit(usize);

impl BatchLimit {
    pub(super) fn new() -> Self {
        Self(SMALLEST)
    }

    /// Takes the first chunks: no more than the limit and than `bytes` of memory, but
    /// at least one.
    pub(super) fn take(self, chunks: &mut VecDeque<Chunk>, bytes: u64) -> Vec<Chunk> {
        let mut taken = 0;
        let fitting = chunks.iter().take(self.0).take_while(|chunk| {
            taken += chunk.bytes as u64;
            taken <= bytes
        });
        let count = fitting.count().max(1).min(chunks.len());
        chunks.drain(..count).collect()
    }

    /// Adapts the limit after a transaction of `chunks` that `took` this long.
    pub(super) fn adapt(&mut self, chunks: usize, took: Duration) {
        if took > TRANSACTION_TIME {
            self.0 = (self.0 / 2).max(SMALLEST);
        } else if took < TRANSACTION_TIME / 2 && chunks == self.0 {
            self.0 = (self.0 * 2).min(LARGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_they_are_quick_and_full_and_shrink_when_they_are_slow() {
        let fair = TRANSACTION_TIME;
        let (quick, slow) = (fair / 4, fair * 2);
        for (limit, chunks, took, next) in [
            (16, 16, quick, 32),
            (16, 15, quick, 16),
            (32, 32, fair, 32),
            (64, 64, quick, 64),
            (64, 64, slow, 32),
            (16, 1, slow, 16),
        ] {
            let mut batch = BatchLimit(limit);
            batch.adapt(chunks, took);
            assert_eq!(batch, BatchLimit(next), "{chunks} of {limit}");
        }
    }

    #[test]
    fn batch_takes_at_least_one_chunk_and_no_more_than_its_limits() {
        let chunk = || Chunk {
            events: Vec::new(),
            bytes: 10,
        };
        for (limit, bytes, taken) in [(16, u64::MAX, 3), (2, u64::MAX, 2), (16, 25, 2), (16, 5, 1)]
        {
            let mut chunks: VecDeque<Chunk> = std::iter::repeat_with(chunk).take(3).collect();
            assert_eq!(BatchLimit(limit).take(&mut chunks, bytes).len(), taken);
            assert_eq!(chunks.len(), 3 - taken, "{limit} chunks, {bytes} bytes");
        }
    }
}
