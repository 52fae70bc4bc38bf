//! The state under the lock of the queue.

use std::collections::VecDeque;

use super::super::command_queue::CommandQueue;
use super::super::deadline::Deadline;
use super::super::entry::Entry;
use super::super::{Stats, StoreState};
use crate::db::LossSpan;

/// Number of events in one chunk of the buffer. A full chunk is never moved or
/// copied, however long the queue grows.
pub(super) const CHUNK: usize = 256;

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

/// Events that were dropped since the writer thread last asked.
#[derive(Debug, Default)]
pub(in crate::store) struct Refused {
    pub(in crate::store) queue_full: Option<LossSpan>,
    pub(in crate::store) shutdown: Option<LossSpan>,
    /// The counters, including these drops.
    pub(in crate::store) stats: Stats,
}

#[derive(Debug)]
pub(super) struct State {
    /// The entries. Only the last chunk has room.
    pub(super) pending: VecDeque<Chunk>,
    pub(super) free_chunks: Vec<Chunk>,
    /// The commands. They precede all events.
    pub(super) commands: CommandQueue,
    /// Bytes of all queued events.
    pub(super) bytes: usize,
    /// The counters of events, without those of the layers.
    pub(super) stats: Stats,
    /// The number of the last event that was accepted.
    pub(super) accepted: u64,
    /// Every event up to this number was written, failed or dropped.
    pub(super) settled: u64,
    /// A flush waits for this number.
    pub(super) flush_to: u64,
    pub(super) waiting: usize,
    pub(super) sleep: Sleep,
    /// Number of intervals that the writer thread still polls before it sleeps.
    pub(super) idle_polls: u32,
    /// When a layer has overdue exchanges.
    pub(super) alarm: Deadline,
    /// When housekeeping is due.
    pub(super) housekeeping: Deadline,
    pub(super) refused: Refused,
    /// Set by a shutdown: no event is accepted any more, and the writer thread ends
    /// when it has written the rest or at this moment.
    pub(super) closing: Option<Deadline>,
    /// The one immediate attempt of a shutdown was made.
    pub(super) last_attempt: bool,
    /// Number of events that the writer thread gave up when it ended.
    pub(super) given_up: u64,
    pub(super) condition: StoreState,
    /// What kept the writer thread from writing when it ended.
    pub(super) obstacle: Option<String>,
    pub(super) ended: bool,
}

/// What the writer thread is doing. A caller wakes it only if it sleeps.
#[derive(Debug, PartialEq)]
pub(super) enum Sleep {
    /// It is awake, or about to wake.
    Awake,
    /// It sleeps until there is an event, or until the alarm.
    Idle,
    /// It sleeps until the flush interval is over, or until the alarm.
    Lingering,
    /// It sleeps until the next attempt at writing.
    Pausing,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            pending: VecDeque::new(),
            free_chunks: Vec::new(),
            commands: CommandQueue::default(),
            bytes: 0,
            stats: Stats::default(),
            accepted: 0,
            settled: 0,
            flush_to: 0,
            waiting: 0,
            sleep: Sleep::Awake,
            idle_polls: 0,
            alarm: Deadline::NEVER,
            housekeeping: Deadline::NEVER,
            refused: Refused::default(),
            closing: None,
            last_attempt: false,
            given_up: 0,
            condition: StoreState::Opening,
            obstacle: None,
            ended: false,
        }
    }

    pub(super) fn has_room(&self, limits: Limits, event: &Entry, bytes: usize) -> bool {
        let (mut events_max, mut bytes_max) = (limits.events, limits.bytes);
        if event.is_structural() {
            events_max = events_max.saturating_add(RESERVED_EVENTS);
            bytes_max = bytes_max.saturating_add(RESERVED_BYTES);
        }
        self.stats.queued < events_max as u64 && self.bytes.saturating_add(bytes) <= bytes_max
    }

    pub(super) fn accept(&mut self, event: Entry, bytes: usize) {
        self.accepted += 1;
        self.stats.queued += 1;
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

    pub(super) fn is_half_full(&self, limits: Limits) -> bool {
        self.stats.queued > limits.events as u64 / 2 || self.bytes > limits.bytes / 2
    }

    /// Returns whether the writer thread must not wait for more events.
    pub(super) fn is_urgent(&self, limits: Limits) -> bool {
        self.closing.is_some() || self.flush_to > self.settled || self.is_half_full(limits)
    }

    pub(super) fn take_refused(&mut self) -> Refused {
        Refused {
            stats: self.stats,
            ..std::mem::take(&mut self.refused)
        }
    }

    pub(super) fn obstacle(&self) -> Option<String> {
        match &self.condition {
            StoreState::Failing { reason } => Some(reason.clone()),
            _ => self.obstacle.clone(),
        }
    }
}
