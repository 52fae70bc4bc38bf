//! The bounded queue between the callers that record and the writer thread.
//!
//! One mutex holds the queue and its counters, so that the counters agree with each
//! other at every moment. It is held only to move pointers: the writer thread takes
//! the whole buffer in exchange for an empty one, and events are dropped outside of
//! the lock.
//!
//! Events are numbered as they are accepted, and the writer thread finishes them in
//! that order. So "everything before this call" is a number, and a flush waits for
//! it without a second channel that could overtake the first.

mod buffer;
mod condition;
mod consumer;
mod progress;
mod shutdown;
mod sleep;
mod state;

pub(super) use self::buffer::{Chunk, Limits};
pub(super) use self::consumer::{Pause, Work};
pub(super) use self::state::Refused;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use self::state::State;
use super::command_queue::{PendingCommand, SubmitError};
use super::deadline::Deadline;
use super::entry::Entry;
use super::error::{FlushError, ShutdownError};
use super::{Stats, StoreState};

#[derive(Debug)]
pub(super) struct Queue {
    writer: OnceLock<ThreadId>,
    state: Mutex<State>,
    /// Whether commands are waiting. It is a hint that is read without the lock.
    has_commands: AtomicBool,
    /// The writer thread waits here.
    work: Condvar,
    /// Flushes and shutdowns wait here.
    progress: Condvar,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            writer: OnceLock::new(),
            state: Mutex::new(State::new(limits)),
            has_commands: AtomicBool::new(false),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts the event, or drops and counts it. Returns whether it was accepted.
    pub(super) fn push(&self, event: impl Into<Entry>) -> bool {
        let event = event.into();
        let bytes = event.size();
        let mut state = self.lock();
        if !state.admit(&event, bytes) {
            // The event is dropped after the lock is free.
            drop(state);
            return false;
        }
        state.buffer.push(event, bytes);
        let wake = state.wakes_writer() && state.sleeper.wake();
        drop(state);
        if wake {
            self.work.notify_one();
        }
        true
    }

    /// Queues a command, which the writer thread runs at once.
    pub(super) fn submit(&self, command: PendingCommand) -> Result<(), SubmitError> {
        let mut state = self.lock();
        if state.shutdown.has_begun() {
            return Err(SubmitError::Closed);
        }
        state.commands.push(command)?;
        self.has_commands.store(true, Ordering::Relaxed);
        let wake = state.sleeper.wake();
        drop(state);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats
    }

    pub(super) fn condition(&self) -> StoreState {
        self.lock().condition.state().clone()
    }

    /// Makes [`next`](Self::next) return [`Work::Alarm`] at this moment, unless an
    /// earlier one is set.
    pub(super) fn wake_at(&self, moment: Deadline) {
        let mut state = self.lock();
        if state.sleeper.set_alarm(moment) && state.sleeper.wake() {
            self.work.notify_one();
        }
    }

    /// Waits until every event accepted so far is written, failed or dropped.
    pub(super) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let deadline = Deadline::after(timeout);
        let mut state = self.lock();
        let last = state.progress.begin_flush();
        self.wake_writer(&mut state);
        let is_settled = |state: &State| state.progress.is_settled(last);
        state = self.await_progress(state, deadline, is_settled);
        if is_settled(&state) {
            return Ok(());
        }
        Err(FlushError {
            queued: state.stats.queued,
            reason: state.condition.reason(),
        })
    }

    /// Closes the queue and gives the writer thread until `deadline` to write the rest.
    /// If it is called several times, the earliest deadline counts.
    pub(super) fn close(&self, deadline: Deadline) {
        let mut state = self.lock();
        state.shutdown.begin(deadline);
        self.wake_writer(&mut state);
    }

    /// Waits for the end of the writer thread.
    pub(super) fn await_end(&self, deadline: Deadline) -> Result<Stats, ShutdownError> {
        let has_ended = |state: &State| state.shutdown.has_ended();
        let state = self.await_progress(self.lock(), deadline, has_ended);
        if has_ended(&state) && state.shutdown.given_up() == 0 {
            return Ok(state.stats);
        }
        Err(ShutdownError {
            stats: Box::new(state.stats),
            lost: state.shutdown.given_up(),
            reason: state.condition.reason(),
        })
    }

    fn await_progress<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Deadline,
        done: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        // The writer thread would wait for itself.
        let deadline = match self.is_writer() {
            true => Deadline::after(Duration::ZERO),
            false => deadline,
        };
        state.progress.begin_wait();
        while !done(&state) && !deadline.has_passed() {
            state = deadline.wait(&self.progress, state);
        }
        state.progress.end_wait();
        state
    }

    /// Notifies under the lock, unlike `push`, because this is rare.
    fn wake_writer(&self, state: &mut State) {
        state.sleeper.wake();
        self.work.notify_one();
    }

    /// Returns whether the current thread is the writer thread.
    pub(super) fn is_writer(&self) -> bool {
        self.writer.get() == Some(&thread::current().id())
    }
}

#[cfg(test)]
mod tests;
