use std::time::{Duration, Instant};

/// Between two messages about the same fault.
const PAUSE: Duration = Duration::from_secs(60);

/// Limits the messages about a fault that repeats: one at once, and then at most
/// one each minute.
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    last_logged: Option<Instant>,
    total: u64,
    /// The fault was logged since it last ended.
    is_logged: bool,
}

impl LogThrottle {
    /// Counts the fault `count` times. Returns the total if it is to be logged now.
    pub(super) fn happened(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.total += count;
        let is_early = |at| now.saturating_duration_since(at) < PAUSE;
        if self.last_logged.is_some_and(is_early) {
            return None;
        }
        self.last_logged = Some(now);
        self.is_logged = true;
        Some(self.total)
    }

    /// Ends the fault. Returns whether that is to be logged, which it is if the fault was.
    pub(super) fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.is_logged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_fault_is_logged_at_once_and_later_ones_each_minute() {
        let start = Instant::now();
        let mut throttle = LogThrottle::default();
        assert_eq!(throttle.happened(3, start), Some(3));
        assert_eq!(throttle.happened(4, start + PAUSE / 2), None);
        assert_eq!(throttle.happened(5, start + PAUSE), Some(12));
        assert_eq!(throttle.happened(1, start + PAUSE), None);
    }

    #[test]
    fn end_is_logged_if_the_fault_was() {
        let start = Instant::now();
        let mut throttle = LogThrottle::default();
        assert!(!throttle.is_over());
        throttle.happened(1, start);
        assert!(throttle.is_over());
        throttle.happened(1, start);
        assert!(!throttle.is_over(), "the second fault was not logged");
    }
}
