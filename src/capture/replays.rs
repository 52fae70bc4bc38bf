//! Which answers have settled a call, so that their replays settle no other one.
//!
//! An event has an id of its own throughout a session, and a replay has it, too
//! (2025-11-25, "Resumability and Redelivery"). Ids of requests can come twice.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How many answers are remembered at most, of all sessions together. A forgotten one
/// matters only if the id of its request comes again and the server replays it.
const REMEMBERED: usize = 8192;

/// The last answers that came with an event's id.
#[derive(Default)]
pub(super) struct Replays {
    /// Keyed hashes of session, request and event, each at the one place where it
    /// can be. Made when the first is noted.
    seen: OnceLock<Box<[AtomicU64]>>,
}

impl Replays {
    /// Notes an answer that has settled a call.
    pub(super) fn note(&self, answer: u64) {
        let seen = self
            .seen
            .get_or_init(|| (0..REMEMBERED).map(|_| AtomicU64::new(0)).collect());
        if let Some(place) = seen.get(place(answer)) {
            place.store(answer, Relaxed);
        }
    }

    /// Returns whether an answer has settled a call.
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
