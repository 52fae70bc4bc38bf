//! The bounded queue between whoever records and the writer thread.
//!
//! One mutex holds the queue and its accounts, so that the accounts agree with
//! each other at every moment. It is held for moving pointers only: the writer
//! takes the whole buffer in exchange for an empty one, and events are dropped
//! outside the lock.
//!
//! Events are numbered as they are accepted, and the writer settles them in
//! that order. So "everything before this call" is a number, and a flush waits
//! for it without a second channel that could overtake the first.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use super::deadline::Deadline;
use super::entry::Entry;
use super::lane::{Command, Lane, Refusal};
use super::{Stats, StoreState};
use crate::clock;
use crate::db::Stretch;
use crate::error::{FlushError, ShutdownError};

/// Events in one piece of the buffer. A full piece is never moved or copied,
/// however long the queue grows.
pub(super) const CHUNK: usize = 256;

/// Emptied pieces kept for use again: those of a burst of some thousand events,
/// which then touches no fresh memory.
const SPARES: usize = 32;

/// For how many intervals without an event the writer goes on looking after the
/// last one, before it sleeps until it is woken. To wake a thread costs a caller
/// a hundred times what the event does, so only the first one after a silence
/// is to pay it.
const RESTS: u32 = 25;

/// Room beyond the bounds that requests cannot take: losing a session or a
/// listing would blank many rows.
const RESERVED_EVENTS: usize = 4096;
const RESERVED_BYTES: usize = 8 << 20;

/// How much the queue holds at most, what the writer is at included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// Consecutive entries.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) events: Vec<Entry>,
    pub(super) bytes: usize,
}

/// Events that were not accepted since the writer last asked.
#[derive(Debug, Default)]
pub(super) struct Refused {
    pub(super) queue_full: Option<Stretch>,
    pub(super) shutdown: Option<Stretch>,
    /// The accounts, with these events and all before them.
    pub(super) stats: Stats,
}

#[derive(Debug)]
pub(super) struct Queue {
    limits: Limits,
    writer: OnceLock<ThreadId>,
    state: Mutex<State>,
    /// Whether the lane holds something: told without the lock, as a hint.
    has_commands: AtomicBool,
    /// The writer waits here.
    work: Condvar,
    /// Flushes and shutdowns wait here.
    progress: Condvar,
}

#[derive(Debug)]
struct State {
    /// Only the last piece has room.
    pending: VecDeque<Chunk>,
    spares: Vec<Chunk>,
    /// What somebody waits for; goes before all events.
    lane: Lane,
    /// Bytes of all queued events.
    bytes: usize,
    /// The accounts; what the layers count is no part of them.
    stats: Stats,
    /// The number of the last event that was accepted.
    accepted: u64,
    /// Every event up to this number was written, failed or dropped.
    settled: u64,
    /// A flush waits for this number.
    flush_to: u64,
    waiting: usize,
    sleep: Sleep,
    /// Intervals that the writer still looks through before it sleeps.
    rests: u32,
    /// When the layers have something to settle.
    alarm: Deadline,
    /// When the file is to be looked after.
    upkeep: Deadline,
    refused: Refused,
    /// Set by shutdown: no event is accepted any more, and the writer ends
    /// when it has written the rest or this moment has come.
    closing: Option<Deadline>,
    /// The attempt was allowed that a shutdown gets without a pause.
    hurried: bool,
    /// Events that the writer gave up when it ended.
    given_up: u64,
    condition: StoreState,
    /// What kept the writer from writing when it ended.
    obstacle: Option<String>,
    ended: bool,
}

/// What there is for the writer to do.
#[derive(Debug)]
pub(super) enum Work {
    /// Commands wait, and nothing else is due.
    Commands,
    /// All events accepted before `until`, in unix milliseconds.
    Events { chunks: VecDeque<Chunk>, until: i64 },
    /// The layers have something to settle.
    Alarm,
    /// The file is to be looked after.
    Upkeep,
}

/// How a pause of the writer ended.
#[derive(Debug)]
pub(super) enum Pause {
    /// It is over: time for another attempt.
    Over,
    /// Somebody waits for these.
    Commands(Vec<Box<dyn Command>>),
    /// There is to be no other attempt.
    End,
}

/// What the writer is doing, so that nobody wakes it in vain.
#[derive(Debug, PartialEq)]
enum Sleep {
    /// Not asleep, or about to wake.
    Awake,
    /// Asleep until there is an event, or the alarm.
    Idle,
    /// Asleep until the flush interval is over, or the alarm.
    Lingering,
    /// Asleep until the next attempt at writing.
    Pausing,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            writer: OnceLock::new(),
            state: Mutex::new(State {
                pending: VecDeque::new(),
                spares: Vec::new(),
                lane: Lane::default(),
                bytes: 0,
                stats: Stats::default(),
                accepted: 0,
                settled: 0,
                flush_to: 0,
                waiting: 0,
                sleep: Sleep::Awake,
                rests: 0,
                alarm: Deadline::NEVER,
                upkeep: Deadline::NEVER,
                refused: Refused::default(),
                closing: None,
                hurried: false,
                given_up: 0,
                condition: StoreState::Opening,
                obstacle: None,
                ended: false,
            }),
            has_commands: AtomicBool::new(false),
            work: Condvar::new(),
            progress: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ===== for those who record =====

    /// Accepts the event, or drops and counts it; which of the two.
    pub(super) fn push(&self, event: impl Into<Entry>) -> bool {
        let event = event.into();
        let bytes = event.size();
        let mut state = self.lock();
        state.stats.submitted += 1;
        if state.closing.is_some() {
            state.stats.dropped += 1;
            Stretch::extend(&mut state.refused.shutdown, Stretch::now(1));
            drop(state);
            return false;
        }
        if !state.has_room(self.limits, &event, bytes) {
            state.stats.dropped += 1;
            Stretch::extend(&mut state.refused.queue_full, Stretch::now(1));
            drop(state);
            return false;
        }
        state.accept(event, bytes);
        let wake = match state.sleep {
            Sleep::Awake | Sleep::Pausing => false,
            Sleep::Idle => true,
            Sleep::Lingering => state.is_half_full(self.limits),
        };
        if wake {
            state.sleep = Sleep::Awake;
        }
        drop(state);
        if wake {
            self.work.notify_one();
        }
        true
    }

    /// Has the writer do this at once.
    pub(super) fn submit(&self, command: Box<dyn Command>) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return Err(Refusal::Closed);
        }
        state.lane.push(command)?;
        self.has_commands.store(true, Ordering::Relaxed);
        let wake = state.sleep != Sleep::Awake;
        if wake {
            state.sleep = Sleep::Awake;
        }
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
        self.lock().condition.clone()
    }

    /// Has [`next`](Self::next) return [`Work::Alarm`] at this moment, if none
    /// comes earlier.
    pub(super) fn wake_at(&self, moment: Deadline) {
        let mut state = self.lock();
        if !moment.is_before(state.alarm) {
            return;
        }
        state.alarm = moment;
        if state.sleep != Sleep::Awake {
            self.wake_writer(&mut state);
        }
    }

    /// Waits until every event accepted so far is settled.
    pub(super) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let deadline = Deadline::after(timeout);
        let mut state = self.lock();
        let ticket = state.accepted;
        state.flush_to = ticket;
        self.wake_writer(&mut state);
        state = self.await_progress(state, deadline, |state| state.settled >= ticket);
        if state.settled >= ticket {
            return Ok(());
        }
        Err(FlushError {
            queued: state.stats.queued,
            reason: state.obstacle(),
        })
    }

    /// Accepts no more events and gives the writer until `deadline` to write
    /// the rest. Of several calls the earliest deadline counts.
    pub(super) fn close(&self, deadline: Deadline) {
        let mut state = self.lock();
        state.closing = Some(deadline.earlier(state.closing.unwrap_or(Deadline::NEVER)));
        self.wake_writer(&mut state);
    }

    /// Waits for the end of the writer.
    pub(super) fn await_end(&self, deadline: Deadline) -> Result<Stats, ShutdownError> {
        let state = self.await_progress(self.lock(), deadline, |state| state.ended);
        if state.ended && state.given_up == 0 {
            return Ok(state.stats);
        }
        Err(ShutdownError {
            stats: state.stats,
            lost: state.given_up,
            reason: state.obstacle(),
        })
    }

    fn await_progress<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        deadline: Deadline,
        done: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        // The writer would wait for itself.
        let deadline = match self.is_writer() {
            true => Deadline::after(Duration::ZERO),
            false => deadline,
        };
        state.waiting += 1;
        while !done(&state) && !deadline.has_passed() {
            state = deadline.wait(&self.progress, state);
        }
        state.waiting -= 1;
        state
    }

    /// Notified under the lock, unlike in `push`: this is rare.
    fn wake_writer(&self, state: &mut State) {
        state.sleep = Sleep::Awake;
        self.work.notify_one();
    }

    /// Whether this is the writer's thread.
    pub(super) fn is_writer(&self) -> bool {
        self.writer.get() == Some(&thread::current().id())
    }

    // ===== for the writer =====

    /// This thread is the writer.
    pub(super) fn attend(&self) {
        // Only one ever is.
        let _ = self.writer.set(thread::current().id());
    }

    /// Waits for events and takes all there are, or for the alarm, or for the
    /// moment of upkeep; `None` when the queue is closed and empty.
    ///
    /// Commands end the wait too, but tell of whatever else is due first: the
    /// writer serves them before it in any case. Events that find the writer
    /// idle wait for one `interval`, later ones until `due` or one of the
    /// intervals that follow it, so that what arrives together is committed
    /// together. A flush, a shutdown and a queue more than half full end the wait.
    pub(super) fn next(&self, due: &mut Deadline, interval: Duration) -> Option<Work> {
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
                    state.rests = RESTS;
                    return Some(Work::Events {
                        chunks: std::mem::take(&mut state.pending),
                        until: clock::unix_ms(),
                    });
                }
            } else if state.closing.is_some() && state.lane.is_empty() {
                return None;
            }
            if state.upkeep.has_passed() {
                state.upkeep = Deadline::NEVER;
                return Some(Work::Upkeep);
            }
            if !state.lane.is_empty() {
                return Some(Work::Commands);
            }
            let moment = state.alarm.earlier(state.upkeep);
            if state.pending.is_empty() && state.rests == 0 {
                state.sleep = Sleep::Idle;
                state = moment.wait(&self.work, state);
                *due = Deadline::after(interval);
                continue;
            }
            if state.pending.is_empty() && is_due {
                state.rests -= 1;
                *due = Deadline::after(interval);
            }
            state.sleep = Sleep::Lingering;
            state = due.earlier(moment).wait(&self.work, state);
        }
    }

    /// Has [`next`](Self::next) return [`Work::Upkeep`] at this moment, which
    /// takes the place of the one before.
    pub(super) fn upkeep_at(&self, moment: Deadline) {
        self.lock().upkeep = moment;
    }

    /// The commands that wait, if any do.
    pub(super) fn take_commands(&self) -> Option<Vec<Box<dyn Command>>> {
        self.has_commands().then(|| self.take(&mut self.lock()))?
    }

    /// Whether commands wait. Costs next to nothing.
    pub(super) fn has_commands(&self) -> bool {
        self.has_commands.load(Ordering::Relaxed)
    }

    fn take(&self, state: &mut State) -> Option<Vec<Box<dyn Command>>> {
        self.has_commands.store(false, Ordering::Relaxed);
        state.lane.take()
    }

    /// Waits for the next attempt at writing, which is at `over`.
    pub(super) fn pause(&self, over: Deadline) -> Pause {
        let mut state = self.lock();
        loop {
            state.sleep = Sleep::Awake;
            if let Some(commands) = self.take(&mut state) {
                return Pause::Commands(commands);
            }
            let until = match state.closing {
                Some(end) if end.has_passed() || state.stats.queued == 0 => return Pause::End,
                // Somebody waits for the end now.
                Some(_) if !state.hurried => {
                    state.hurried = true;
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

    /// How much time a shutdown has left.
    pub(super) fn time_left(&self) -> Duration {
        self.lock().closing.map_or(Duration::ZERO, Deadline::left)
    }

    /// Whether a shutdown has run out of time.
    pub(super) fn is_overdue(&self) -> bool {
        self.lock().closing.is_some_and(Deadline::has_passed)
    }

    pub(super) fn take_refused(&self) -> Refused {
        self.lock().take_refused()
    }

    pub(super) fn set_condition(&self, condition: StoreState) {
        self.lock().condition = condition;
    }

    /// Enters what became of the events in `chunks`, and keeps their memory.
    pub(super) fn settle(&self, mut chunks: Vec<Chunk>, failed: usize) {
        let (mut events, mut bytes) = (0, 0);
        for chunk in &mut chunks {
            events += chunk.events.len();
            bytes += chunk.bytes;
            chunk.events.clear();
            chunk.bytes = 0;
        }
        let mut state = self.lock();
        state.stats.settle(events as u64, failed as u64);
        state.settled += events as u64;
        state.bytes -= bytes;
        let room = SPARES.saturating_sub(state.spares.len());
        state.spares.extend(chunks.drain(..room.min(chunks.len())));
        self.tell_progress(state);
    }

    /// The writer ends: drops and counts whatever is queued.
    pub(super) fn give_up(&self) -> Refused {
        let mut state = self.lock();
        state.closing.get_or_insert(Deadline::after(Duration::ZERO));
        let lost = std::mem::take(&mut state.stats.queued);
        if lost > 0 {
            state.stats.dropped += lost;
            state.given_up += lost;
            state.obstacle = state.obstacle();
            Stretch::extend(&mut state.refused.shutdown, Stretch::now(lost));
        }
        state.settled = state.accepted;
        state.bytes = 0;
        let dropped = std::mem::take(&mut state.pending);
        let refused = state.take_refused();
        let commands = self.take(&mut state).unwrap_or_default();
        self.tell_progress(state);
        drop(dropped);
        for command in commands {
            command.refuse(Refusal::Closed);
        }
        refused
    }

    /// The file is closed; the writer does nothing more.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.condition = StoreState::Closed;
        state.ended = true;
        self.tell_progress(state);
    }

    fn tell_progress(&self, state: MutexGuard<'_, State>) {
        let awaited = state.waiting > 0;
        drop(state);
        if awaited {
            self.progress.notify_all();
        }
    }
}

impl State {
    fn has_room(&self, limits: Limits, event: &Entry, bytes: usize) -> bool {
        let (mut events_max, mut bytes_max) = (limits.events, limits.bytes);
        if event.is_structural() {
            events_max = events_max.saturating_add(RESERVED_EVENTS);
            bytes_max = bytes_max.saturating_add(RESERVED_BYTES);
        }
        self.stats.queued < events_max as u64 && self.bytes.saturating_add(bytes) <= bytes_max
    }

    fn accept(&mut self, event: Entry, bytes: usize) {
        self.accepted += 1;
        self.stats.queued += 1;
        self.bytes += bytes;
        match self.pending.back_mut() {
            Some(chunk) if chunk.events.len() < CHUNK => {
                chunk.events.push(event);
                chunk.bytes += bytes;
            }
            _ => {
                let mut chunk = self.spares.pop().unwrap_or_else(|| Chunk {
                    events: Vec::with_capacity(CHUNK),
                    bytes: 0,
                });
                chunk.events.push(event);
                chunk.bytes = bytes;
                self.pending.push_back(chunk);
            }
        }
    }

    fn is_half_full(&self, limits: Limits) -> bool {
        self.stats.queued > limits.events as u64 / 2 || self.bytes > limits.bytes / 2
    }

    /// Whether the writer is not to wait for more.
    fn is_urgent(&self, limits: Limits) -> bool {
        self.closing.is_some() || self.flush_to > self.settled || self.is_half_full(limits)
    }

    fn take_refused(&mut self) -> Refused {
        Refused {
            stats: self.stats,
            ..std::mem::take(&mut self.refused)
        }
    }

    fn obstacle(&self) -> Option<String> {
        match &self.condition {
            StoreState::Failing { reason } => Some(reason.clone()),
            _ => self.obstacle.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
