//! The writer thread's side of the queue.

use std::collections::VecDeque;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use super::super::StoreState;
use super::super::command_queue::{PendingCommand, SubmitError};
use super::super::deadline::Deadline;
use super::Queue;
use super::state::{Chunk, Refused, Sleep, State};
use crate::clock;
use crate::db::LossSpan;

/// Number of emptied chunks that are kept for reuse. They hold a burst of some
/// thousand events without new memory.
pub(super) const MAX_FREE_CHUNKS: usize = 32;

/// Number of intervals without an event that the writer thread polls before it
/// sleeps until a caller wakes it. Waking a thread costs a caller a hundred times
/// as much as queueing its event, so only the first event after a pause pays for
/// it.
pub(super) const IDLE_POLLS: u32 = 25;

/// Work for the writer thread.
#[derive(Debug)]
pub(in crate::store) enum Work {
    /// Commands are waiting, and nothing else is due.
    Commands,
    /// All events accepted before `until`, in unix milliseconds.
    Events { chunks: VecDeque<Chunk>, until: i64 },
    /// A layer has overdue exchanges.
    Alarm,
    /// A round of housekeeping is due.
    Housekeeping,
}

/// How a pause of the writer thread ended.
#[derive(Debug)]
pub(in crate::store) enum Pause {
    /// The pause is over: it is time for another attempt.
    Over,
    /// These commands arrived in the meantime.
    Commands(Vec<PendingCommand>),
    /// The store is closed, and its time is up: there is no other attempt.
    End,
}

impl Queue {
    /// Makes the current thread the writer thread.
    pub(in crate::store) fn attend(&self) {
        // There is only one writer thread, so this is set only once.
        let _ = self.writer.set(thread::current().id());
    }

    /// Waits for events and takes all of them, or waits for the alarm, or until
    /// housekeeping is due. `None` when the queue is closed and empty.
    ///
    /// A command ends the wait too. If anything else is due, that is returned first,
    /// because the writer thread runs the commands before it in any case. Events that
    /// find the writer thread idle wait for one `interval`. Later ones wait until `due`
    /// or the end of a following interval, so that events that arrive together are
    /// committed together. A flush, a shutdown and a queue more than half full end the
    /// wait.
    pub(in crate::store) fn next(&self, due: &mut Deadline, interval: Duration) -> Option<Work> {
        let mut state = self.lock();
        loop {
            state.sleep = Sleep::Awake;
            if state.closing.is_none() && state.alarm.has_passed() {
                state.alarm = Deadline::NEVER;
                return Some(Work::Alarm);
            }
            let is_due = due.has_passed();
            if !state.pending.is_empty() {
                if is_due || state.is_urgent(self.limits) {
                    state.idle_polls = IDLE_POLLS;
                    return Some(Work::Events {
                        chunks: std::mem::take(&mut state.pending),
                        until: clock::unix_ms(),
                    });
                }
            } else if state.closing.is_some() && state.commands.is_empty() {
                return None;
            }
            if state.housekeeping.has_passed() {
                state.housekeeping = Deadline::NEVER;
                return Some(Work::Housekeeping);
            }
            if !state.commands.is_empty() {
                return Some(Work::Commands);
            }
            let moment = state.alarm.earlier(state.housekeeping);
            if state.pending.is_empty() && state.idle_polls == 0 {
                state.sleep = Sleep::Idle;
                state = moment.wait(&self.work, state);
                *due = Deadline::after(interval);
                continue;
            }
            if state.pending.is_empty() && is_due {
                state.idle_polls -= 1;
                *due = Deadline::after(interval);
            }
            state.sleep = Sleep::Lingering;
            state = due.earlier(moment).wait(&self.work, state);
        }
    }

    /// Makes [`next`](Self::next) return [`Work::Housekeeping`] at this moment, which
    /// replaces the previous one.
    pub(in crate::store) fn housekeeping_at(&self, moment: Deadline) {
        self.lock().housekeeping = moment;
    }

    /// Takes the waiting commands, if there are any.
    pub(in crate::store) fn take_commands(&self) -> Option<Vec<PendingCommand>> {
        self.has_commands().then(|| self.take(&mut self.lock()))?
    }

    /// Returns whether commands are waiting. It takes no lock.
    pub(in crate::store) fn has_commands(&self) -> bool {
        self.has_commands.load(Ordering::Relaxed)
    }

    fn take(&self, state: &mut State) -> Option<Vec<PendingCommand>> {
        self.has_commands.store(false, Ordering::Relaxed);
        state.commands.take()
    }

    /// Waits for the next attempt at writing, which is due at `over`.
    pub(in crate::store) fn pause(&self, over: Deadline) -> Pause {
        let mut state = self.lock();
        loop {
            state.sleep = Sleep::Awake;
            if let Some(commands) = self.take(&mut state) {
                return Pause::Commands(commands);
            }
            let until = match state.closing {
                Some(end) if end.has_passed() || state.stats.queued == 0 => return Pause::End,
                // A caller waits for the end, so one attempt is made at once.
                Some(_) if !state.last_attempt => {
                    state.last_attempt = true;
                    return Pause::Over;
                }
                Some(end) => over.earlier(end),
                None => over,
            };
            if over.has_passed() {
                return Pause::Over;
            }
            state.sleep = Sleep::Pausing;
            state = until.wait(&self.work, state);
        }
    }

    /// Returns how much time a shutdown has left.
    pub(in crate::store) fn time_left(&self) -> Duration {
        self.lock().closing.map_or(Duration::ZERO, Deadline::left)
    }

    /// Returns whether a shutdown has begun.
    pub(in crate::store) fn is_closing(&self) -> bool {
        self.lock().closing.is_some()
    }

    /// Returns whether a shutdown has run out of time.
    pub(in crate::store) fn is_overdue(&self) -> bool {
        self.lock().closing.is_some_and(Deadline::has_passed)
    }

    pub(in crate::store) fn take_refused(&self) -> Refused {
        self.lock().take_refused()
    }

    pub(in crate::store) fn set_condition(&self, condition: StoreState) {
        self.lock().condition = condition;
    }

    /// Counts the events in `chunks` as finished, and keeps their memory for reuse.
    pub(in crate::store) fn settle(&self, mut chunks: Vec<Chunk>, failed: usize, unlinked: u64) {
        let (mut events, mut bytes) = (0, 0);
        for chunk in &mut chunks {
            events += chunk.events.len();
            bytes += chunk.bytes;
            chunk.events.clear();
            chunk.bytes = 0;
        }
        let mut state = self.lock();
        state.stats.settle(events as u64, failed as u64, unlinked);
        state.settled += events as u64;
        state.bytes -= bytes;
        let room = MAX_FREE_CHUNKS.saturating_sub(state.free_chunks.len());
        state
            .free_chunks
            .extend(chunks.drain(..room.min(chunks.len())));
        self.notify_progress(state);
    }

    /// Ends the writer thread's work: drops and counts all queued events.
    pub(in crate::store) fn give_up(&self) -> Refused {
        let mut state = self.lock();
        state.closing.get_or_insert(Deadline::after(Duration::ZERO));
        let lost = std::mem::take(&mut state.stats.queued);
        if lost > 0 {
            state.stats.dropped += lost;
            state.given_up += lost;
            state.obstacle = state.obstacle();
            LossSpan::extend(&mut state.refused.shutdown, LossSpan::now(lost));
        }
        state.settled = state.accepted;
        state.bytes = 0;
        let dropped = std::mem::take(&mut state.pending);
        let refused = state.take_refused();
        let commands = self.take(&mut state).unwrap_or_default();
        self.notify_progress(state);
        drop(dropped);
        for command in commands {
            command.refuse(SubmitError::Closed);
        }
        refused
    }

    /// Ends the writer thread, after the file is closed.
    pub(in crate::store) fn end(&self) {
        let mut state = self.lock();
        state.condition = StoreState::Closed;
        state.ended = true;
        self.notify_progress(state);
    }

    fn notify_progress(&self, state: MutexGuard<'_, State>) {
        let awaited = state.waiting > 0;
        drop(state);
        if awaited {
            self.progress.notify_all();
        }
    }
}
