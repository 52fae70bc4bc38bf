//! Remembers which answers have completed a call, so that a replay of one does not
//! complete another call.
//!
//! An event has an id that is unique in its session, and a replay has the same id
//! (2025-11-25, "Resumability and Redelivery"). Request ids can repeat.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The most answers that are remembered, of all sessions together. A forgotten
/// answer matters only if its request id repeats and the server replays the answer.
const REMEMBERED: usize = 8192;

/// The last answers in events with an id.
#[derive(Default)]
pub(super) struct Replays {
    /// Keyed hashes of session, request and event, each at the only place where it can
    /// be. Allocated at the first note.
    seen: OnceLock<Box<[AtomicU64]>>,
}

impl Replays {
    /// Notes an answer that has completed a call.
    pub(super) fn note(&self, answer: u64) {
        let seen = self
            .seen
            .get_or_init(|| (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect());
        if let Some(place) = seen.get(place(answer)) {
            place.store(answer, Relaxed);
        }
    }

    /// Returns whether an answer has completed a call.
    pub(super) fn contain(&self, answer: u64) -> bool {
        let place = self.seen.get().and_then(|seen| seen.get(place(answer)));
        place.is_some_and(|place| place.load(Relaxed) == answer)
    }
}

fn place(answer: u64) -> usize {
    answer as usize % REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_is_remembered_until_another_takes_its_place() {
        let replays = Replays::default();
        assert!(!replays.contain(7));
        replays.note(7);
        replays.note(8);
        assert!(replays.contain(7) && replays.contain(8));
        assert!(!replays.contain(9));
        replays.note(7 + REMEMBERED as u64);
        assert!(!replays.contain(7));
    }
}
