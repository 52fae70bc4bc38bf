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
use super::buffer::{Chunk, Released};
use super::sleep::Sleep;
use super::state::{Refused, State};
use crate::clock;

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
            state.sleeper.set(Sleep::Awake);
            let is_closing = state.shutdown.has_begun();
            if !is_closing && state.sleeper.take_alarm() {
                return Some(Work::Alarm);
            }
            let is_due = due.has_passed();
            let is_empty = state.buffer.is_empty();
            if !is_empty {
                if is_due || state.is_urgent() {
                    state.sleeper.restart_polls();
                    return Some(Work::Events {
                        chunks: state.buffer.take(),
                        until: clock::unix_ms(),
                    });
                }
            } else if is_closing && state.commands.is_empty() {
                return None;
            }
            if state.sleeper.take_housekeeping() {
                return Some(Work::Housekeeping);
            }
            if !state.commands.is_empty() {
                return Some(Work::Commands);
            }
            let moment = state.sleeper.wake_up_at();
            if is_empty && state.sleeper.polls_left() == 0 {
                state.sleeper.set(Sleep::Idle);
                state = moment.wait(&self.work, state);
                *due = Deadline::after(interval);
                continue;
            }
            if is_empty && is_due {
                state.sleeper.count_poll();
                *due = Deadline::after(interval);
            }
            state.sleeper.set(Sleep::Lingering);
            state = due.earlier(moment).wait(&self.work, state);
        }
    }

    /// Makes [`next`](Self::next) return [`Work::Housekeeping`] at this moment, which
    /// replaces the previous one.
    pub(in crate::store) fn housekeeping_at(&self, moment: Deadline) {
        self.lock().sleeper.set_housekeeping(moment);
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
            state.sleeper.set(Sleep::Awake);
            if let Some(commands) = self.take(&mut state) {
                return Pause::Commands(commands);
            }
            let until = match state.shutdown.deadline() {
                Some(end) if end.has_passed() || state.stats.queued == 0 => return Pause::End,
                Some(_) if state.shutdown.take_last_attempt() => return Pause::Over,
                Some(end) => over.earlier(end),
                None => over,
            };
            if over.has_passed() {
                return Pause::Over;
            }
            state.sleeper.set(Sleep::Pausing);
            state = until.wait(&self.work, state);
        }
    }

    /// Returns how much time a shutdown has left.
    pub(in crate::store) fn time_left(&self) -> Duration {
        self.lock().shutdown.time_left()
    }

    /// Returns whether a shutdown has begun.
    pub(in crate::store) fn is_closing(&self) -> bool {
        self.lock().shutdown.has_begun()
    }

    /// Returns whether a shutdown has run out of time.
    pub(in crate::store) fn is_overdue(&self) -> bool {
        self.lock().shutdown.is_overdue()
    }

    pub(in crate::store) fn take_refused(&self) -> Refused {
        self.lock().take_refused()
    }

    pub(in crate::store) fn set_condition(&self, condition: StoreState) {
        self.lock().condition.set(condition);
    }

    /// Counts the events in `chunks` as finished, and keeps their memory for reuse.
    pub(in crate::store) fn settle(&self, mut chunks: Vec<Chunk>, failed: usize, unlinked: u64) {
        let released = Released::empty(&mut chunks);
        let mut state = self.lock();
        let (events, failed) = (released.events as u64, failed as u64);
        state.stats.settle(events, failed, unlinked);
        state.progress.settle(released.events);
        state.buffer.release(chunks, released);
        self.notify_progress(state);
    }

    /// Ends the writer thread's work: drops and counts all queued events.
    pub(in crate::store) fn give_up(&self) -> Refused {
        let mut state = self.lock();
        state.give_up_events();
        let dropped = state.buffer.clear();
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
        state.condition.set(StoreState::Closed);
        state.shutdown.end();
        self.notify_progress(state);
    }

    fn notify_progress(&self, state: MutexGuard<'_, State>) {
        let awaited = state.progress.is_awaited();
        drop(state);
        if awaited {
            self.progress.notify_all();
        }
    }
}
