use std::time::{Duration, Instant};

/// Between two messages about the same trouble.
const PAUSE: Duration = Duration::from_secs(60);

/// Something that goes wrong again and again: told at once, and after that at
/// most once a minute, so that it cannot flood the log.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    last_told: Option<Instant>,
    total: u64,
    /// The present stretch of it was told of.
    told: bool,
}

impl Trouble {
    /// It happened `count` times more: the total, where it is time to tell it.
    pub(super) fn happened(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.total += count;
        let is_early = |at| now.saturating_duration_since(at) < PAUSE;
        if self.last_told.is_some_and(is_early) {
            return None;
        }
        self.last_told = Some(now);
        self.told = true;
        Some(self.total)
    }

    /// It is over: whether to tell of that, as the log tells of its beginning.
    pub(super) fn is_over(&mut self) -> bool {
        std::mem::take(&mut self.told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_all_others_of_a_minute_later() {
        let start = Instant::now();
        let mut trouble = Trouble::default();
        assert_eq!(trouble.happened(3, start), Some(3));
        assert_eq!(trouble.happened(4, start + PAUSE / 2), None);
        assert_eq!(trouble.happened(5, start + PAUSE), Some(12));
        assert_eq!(trouble.happened(1, start + PAUSE), None);
    }

    #[test]
    fn the_end_is_told_where_the_beginning_was() {
        let start = Instant::now();
        let mut trouble = Trouble::default();
        assert!(!trouble.is_over());
        trouble.happened(1, start);
        assert!(trouble.is_over());
        trouble.happened(1, start);
        assert!(!trouble.is_over(), "nothing was told of this stretch");
    }
}
