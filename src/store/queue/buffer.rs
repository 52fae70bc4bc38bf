//! The queued events, in chunks whose memory is reused.

use std::collections::VecDeque;

use super::super::entry::Entry;

/// Number of events in one chunk of the buffer. A full chunk is never moved or
/// copied, however long the queue grows.
pub(super) const CHUNK: usize = 256;

/// Number of emptied chunks that are kept for reuse. They hold a burst of some
/// thousand events without new memory.
pub(super) const MAX_FREE_CHUNKS: usize = 32;

/// Room beyond the bounds that requests cannot take: without their session or
/// listing, many rows would be less useful.
pub(super) const RESERVED_EVENTS: usize = 4096;
const RESERVED_BYTES: usize = 8 << 20;

/// The most that the queue holds. Events that the writer thread is writing still
/// count.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Limits {
    pub(in crate::store) events: usize,
    pub(in crate::store) bytes: usize,
}

/// Consecutive entries.
#[derive(Debug, Default)]
pub(in crate::store) struct Chunk {
    pub(in crate::store) events: Vec<Entry>,
    pub(in crate::store) bytes: usize,
}

/// The events that wait for the writer thread, and the size of those that it writes.
#[derive(Debug)]
pub(super) struct Buffer {
    limits: Limits,
    /// The entries. Only the last chunk has room.
    pending: VecDeque<Chunk>,
    free_chunks: Vec<Chunk>,
    /// Number of events that wait or are being written.
    events: usize,
    /// Bytes of these events.
    bytes: usize,
}

impl Buffer {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pending: VecDeque::new(),
            free_chunks: Vec::new(),
            events: 0,
            bytes: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.events > self.limits.events / 2 || self.bytes > self.limits.bytes / 2
    }

    /// Returns whether `event`, which takes `bytes`, fits.
    pub(super) fn has_room(&self, event: &Entry, bytes: usize) -> bool {
        let Limits {
            events: mut events_max,
            bytes: mut bytes_max,
        } = self.limits;
        if event.is_structural() {
            events_max = events_max.saturating_add(RESERVED_EVENTS);
            bytes_max = bytes_max.saturating_add(RESERVED_BYTES);
        }
        self.events < events_max && self.bytes.saturating_add(bytes) <= bytes_max
    }

    /// Adds `event`, which takes `bytes`.
    pub(super) fn push(&mut self, event: Entry, bytes: usize) {
        self.events += 1;
        self.bytes += bytes;
        match self.pending.back_mut() {
            Some(chunk) if chunk.events.len() < CHUNK => {
                chunk.events.push(event);
                chunk.bytes += bytes;
            }
            _ => {
                let mut chunk = self.free_chunks.pop().unwrap_or_else(|| Chunk {
                    events: Vec::with_capacity(CHUNK),
                    bytes: 0,
                });
                chunk.events.push(event);
                chunk.bytes = bytes;
                self.pending.push_back(chunk);
            }
        }
    }

    /// Takes the waiting events. They count until they are [released](Self::release).
    pub(super) fn take(&mut self) -> VecDeque<Chunk> {
        std::mem::take(&mut self.pending)
    }

    /// Gives back chunks that were [taken](Self::take). `released` is their size.
    pub(super) fn release(&mut self, mut emptied: Vec<Chunk>, released: Released) {
        self.events -= released.events;
        self.bytes -= released.bytes;
        let room = MAX_FREE_CHUNKS.saturating_sub(self.free_chunks.len());
        self.free_chunks
            .extend(emptied.drain(..room.min(emptied.len())));
    }

    /// Takes all events, of which none counts any more.
    pub(super) fn clear(&mut self) -> VecDeque<Chunk> {
        self.events = 0;
        self.bytes = 0;
        self.take()
    }

    #[cfg(test)]
    pub(super) fn free_chunks(&self) -> usize {
        self.free_chunks.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The size of events that are finished.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Released {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

impl Released {
    /// Empties `chunks` and returns what they held. It needs no lock.
    pub(super) fn empty(chunks: &mut [Chunk]) -> Self {
        let mut released = Self::default();
        for chunk in chunks {
            released.events += chunk.events.len();
            released.bytes += chunk.bytes;
            chunk.events.clear();
            chunk.bytes = 0;
        }
        released
    }
}
