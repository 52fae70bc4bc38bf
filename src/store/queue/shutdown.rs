//! The end of the queue and of the writer thread.

use std::time::Duration;

use super::super::deadline::Deadline;

/// How far a shutdown has come.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    /// Set when a shutdown begins: no event is accepted any more, and the writer thread
    /// ends when it has written the rest or at this moment.
    deadline: Option<Deadline>,
    /// The one immediate attempt of a shutdown was made.
    last_attempt: bool,
    /// Number of events that the writer thread gave up when it ended.
    given_up: u64,
    has_ended: bool,
}

impl Shutdown {
    /// Begins the shutdown. If it has begun, the earlier deadline counts.
    pub(super) fn begin(&mut self, deadline: Deadline) {
        self.deadline = Some(deadline.earlier(self.deadline.unwrap_or(Deadline::NEVER)));
    }

    /// Returns whether the shutdown has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.deadline.is_some()
    }

    /// Returns the moment at which the writer thread ends; `None` before the shutdown.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        self.deadline
    }

    pub(super) fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(Deadline::has_passed)
    }

    /// Returns how much time is left; none before the shutdown.
    pub(super) fn time_left(&self) -> Duration {
        self.deadline.map_or(Duration::ZERO, Deadline::left)
    }

    /// Returns `true` the first time. A caller waits for the end, so the writer thread
    /// makes one attempt at once.
    pub(super) fn take_last_attempt(&mut self) -> bool {
        !std::mem::replace(&mut self.last_attempt, true)
    }

    /// Closes the queue at once if no shutdown has begun, and counts `events` that the
    /// writer thread gives up.
    pub(super) fn give_up(&mut self, events: u64) {
        self.deadline
            .get_or_insert_with(|| Deadline::after(Duration::ZERO));
        self.given_up += events;
    }

    /// Returns how many events were given up.
    pub(super) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Notes that the writer thread has ended.
    pub(super) fn end(&mut self) {
        self.has_ended = true;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }
}
