//! The state under the lock of the queue.

use super::super::Stats;
use super::super::command_queue::CommandQueue;
use super::super::entry::Entry;
use super::buffer::{Buffer, Limits};
use super::condition::Condition;
use super::progress::Progress;
use super::shutdown::Shutdown;
use super::sleep::{Sleep, Sleeper};
use crate::db::LossSpan;

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
    pub(super) buffer: Buffer,
    /// The commands. They precede all events.
    pub(super) commands: CommandQueue,
    /// The counters of events, without those of the layers.
    pub(super) stats: Stats,
    pub(super) progress: Progress,
    pub(super) sleeper: Sleeper,
    pub(super) refused: Refused,
    pub(super) shutdown: Shutdown,
    pub(super) condition: Condition,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            buffer: Buffer::new(limits),
            commands: CommandQueue::default(),
            stats: Stats::default(),
            progress: Progress::default(),
            sleeper: Sleeper::new(),
            refused: Refused::default(),
            shutdown: Shutdown::default(),
            condition: Condition::new(),
        }
    }

    /// Counts `event`, which takes `bytes`. Returns whether the queue accepts it; if not,
    /// it counts as dropped.
    pub(super) fn admit(&mut self, event: &Entry, bytes: usize) -> bool {
        self.stats.submitted += 1;
        let refused = if self.shutdown.has_begun() {
            &mut self.refused.shutdown
        } else if !self.buffer.has_room(event, bytes) {
            &mut self.refused.queue_full
        } else {
            self.stats.queued += 1;
            self.progress.accept();
            return true;
        };
        self.stats.dropped += 1;
        LossSpan::extend(refused, LossSpan::now(1));
        false
    }

    /// Returns whether a new event has to wake the writer thread.
    pub(super) fn wakes_writer(&self) -> bool {
        match self.sleeper.sleep() {
            Sleep::Awake | Sleep::Pausing => false,
            Sleep::Idle => true,
            Sleep::Lingering => self.buffer.is_half_full(),
        }
    }

    /// Returns whether the writer thread must not wait for more events.
    pub(super) fn is_urgent(&self) -> bool {
        self.shutdown.has_begun() || self.progress.is_flushing() || self.buffer.is_half_full()
    }

    /// Gives up all events, and counts them as dropped.
    pub(super) fn give_up_events(&mut self) {
        let lost = std::mem::take(&mut self.stats.queued);
        self.shutdown.give_up(lost);
        if lost > 0 {
            self.stats.dropped += lost;
            self.condition.keep_reason();
            LossSpan::extend(&mut self.refused.shutdown, LossSpan::now(lost));
        }
        self.progress.settle_all();
    }

    pub(super) fn take_refused(&mut self) -> Refused {
        Refused {
            stats: self.stats,
            ..std::mem::take(&mut self.refused)
        }
    }
}
