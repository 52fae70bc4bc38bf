//! Whether the writer thread sleeps, and when it has to wake.

use super::super::deadline::Deadline;

/// Number of intervals without an event that the writer thread polls before it
/// sleeps until a caller wakes it. Waking a thread costs a caller a hundred times
/// as much as queueing its event, so only the first event after a pause pays for
/// it.
pub(super) const IDLE_POLLS: u32 = 25;

/// What the writer thread is doing. A caller wakes it only if it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// The sleep of the writer thread.
#[derive(Debug)]
pub(super) struct Sleeper {
    sleep: Sleep,
    /// Number of intervals that the writer thread still polls before it sleeps.
    idle_polls: u32,
    /// When a layer has overdue exchanges.
    alarm: Deadline,
    /// When housekeeping is due.
    housekeeping: Deadline,
}

impl Sleeper {
    pub(super) fn new() -> Self {
        Self {
            sleep: Sleep::Awake,
            idle_polls: 0,
            alarm: Deadline::NEVER,
            housekeeping: Deadline::NEVER,
        }
    }

    pub(super) fn sleep(&self) -> Sleep {
        self.sleep
    }

    /// Notes what the writer thread does from now on.
    pub(super) fn set(&mut self, sleep: Sleep) {
        self.sleep = sleep;
    }

    /// Marks the writer thread as awake. Returns whether it has to be notified.
    pub(super) fn wake(&mut self) -> bool {
        std::mem::replace(&mut self.sleep, Sleep::Awake) != Sleep::Awake
    }

    /// Moves the alarm to `moment` if that is earlier. Returns whether it is.
    pub(super) fn set_alarm(&mut self, moment: Deadline) -> bool {
        let is_earlier = moment.is_before(self.alarm);
        if is_earlier {
            self.alarm = moment;
        }
        is_earlier
    }

    /// Returns whether the alarm is due, and clears it if so.
    pub(super) fn take_alarm(&mut self) -> bool {
        take_if_due(&mut self.alarm)
    }

    /// Sets when housekeeping is due, which replaces the previous moment.
    pub(super) fn set_housekeeping(&mut self, moment: Deadline) {
        self.housekeeping = moment;
    }

    /// Returns whether housekeeping is due, and clears its moment if so.
    pub(super) fn take_housekeeping(&mut self) -> bool {
        take_if_due(&mut self.housekeeping)
    }

    /// Returns when the writer thread has to wake, even if there is no event.
    pub(super) fn wake_up_at(&self) -> Deadline {
        self.alarm.earlier(self.housekeeping)
    }

    /// Makes the writer thread poll before it sleeps until a caller wakes it.
    pub(super) fn restart_polls(&mut self) {
        self.idle_polls = IDLE_POLLS;
    }

    /// Counts an interval without an event.
    pub(super) fn count_poll(&mut self) {
        self.idle_polls -= 1;
    }

    /// Returns how many intervals are still polled.
    pub(super) fn polls_left(&self) -> u32 {
        self.idle_polls
    }
}

fn take_if_due(moment: &mut Deadline) -> bool {
    let is_due = moment.has_passed();
    if is_due {
        *moment = Deadline::NEVER;
    }
    is_due
}
