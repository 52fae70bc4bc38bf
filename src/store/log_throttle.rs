use std::time::{Duration, Instant};

/// The pause between two messages about the same fault.
const PAUSE: Duration = Duration::from_secs(60);

/// Limits the messages about a repeated fault: one at once, and then at most one
/// per minute.
#[derive(Debug, Default)]
pub(super) struct LogThrottle {
    /// The end of the current pause. Each message beyond the first ones moves it
    /// further into the future.
    free_at: Option<Instant>,
    /// The number of messages that are logged without a pause.
    burst: u32,
    total: u64,
    /// The fault was logged since it last ended.
    is_logged: bool,
}

impl LogThrottle {
    /// Returns a throttle for a fault that is logged each time it begins. It passes
    /// `burst` messages at once, and as many per minute on average.
    pub(super) fn burst(burst: u32) -> Self {
        Self {
            burst,
            ..Self::default()
        }
    }

    /// Counts the fault `count` times. Returns the total if it has to be logged now.
    pub(super) fn happened(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.total += count;
        let burst = self.burst.max(1);
        let share = PAUSE / burst;
        let free_at = self.free_at.map_or(now, |at| at.max(now));
        if free_at.saturating_duration_since(now) > share * (burst - 1) {
            return None;
        }
        self.free_at = Some(free_at + share);
        self.is_logged = true;
        Some(self.total)
    }

    /// Ends the fault. Returns whether to log the end, which is so if the fault was
    /// logged.
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
    fn several_faults_of_one_minute_are_logged_up_to_the_burst() {
        let start = Instant::now();
        let mut throttle = LogThrottle::burst(3);
        let logged = |throttle: &mut LogThrottle, now| {
            (0..5)
                .filter(|_| throttle.happened(1, now).is_some())
                .count()
        };
        assert_eq!(logged(&mut throttle, start), 3);
        assert_eq!(logged(&mut throttle, start + PAUSE / 3), 1);
        assert_eq!(logged(&mut throttle, start + PAUSE * 3), 3);
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
