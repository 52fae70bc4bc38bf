use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A moment to wait for. A moment too far in the future to be represented never
/// comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) const NEVER: Self = Self(None);

    pub(super) fn at(moment: Instant) -> Self {
        Self(Some(moment))
    }

    pub(super) fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    pub(super) fn has_passed(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    /// Returns whether it passed at least this long ago.
    pub(super) fn is_past_by(self, time: Duration) -> bool {
        self.0.is_some_and(|at| at.elapsed() >= time)
    }

    /// Returns the time that is left until this moment.
    pub(super) fn left(self) -> Duration {
        self.0.map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    pub(super) fn is_before(self, other: Self) -> bool {
        match (self.0, other.0) {
            (Some(a), Some(b)) => a < b,
            (a, b) => a.is_some() && b.is_none(),
        }
    }

    pub(super) fn earlier(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(a), Some(b)) => Self(Some(a.min(b))),
            (a, b) => Self(a.or(b)),
        }
    }

    /// Waits on `condvar` until it is notified or this moment has come. Spurious
    /// wake-ups are possible.
    pub(super) fn wait<'a, T>(
        self,
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
    ) -> MutexGuard<'a, T> {
        match self.0 {
            None => condvar.wait(guard).unwrap_or_else(PoisonError::into_inner),
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                match condvar.wait_timeout(guard, left) {
                    Ok((guard, _)) => guard,
                    Err(poisoned) => poisoned.into_inner().0,
                }
            }
        }
    }
}
