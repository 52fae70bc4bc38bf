//! The pauses between attempts.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// Pauses that double from half a second to a minute. Each is shortened by up to a half at
/// random, so that the shippers and readers of a fleet do not return at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Returns the next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let full = self.next;
        self.next = (full * 2).min(LONGEST);
        let mut random = [0; 2];
        // Without random numbers the pause is a full one.
        let _ = getrandom::fill(&mut random);
        let part = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        full.mul_f64(1.0 - part / 2.0)
    }

    /// Begins with the shortest pause again.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        for seconds in [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            let pause = backoff.next().as_secs_f64();
            assert!(
                (seconds / 2.0..=seconds).contains(&pause),
                "{pause} of {seconds}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
