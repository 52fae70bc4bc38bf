//! Who may change both tiers: of each session one caller at a time.
//!
//! Two that replace the same event at once could else come to the store in one
//! order and to the cache in the other.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Whether the cache may be wrong about a session: a change came to the one tier
/// and, as far as is known, not to the other.
type Doubt = bool;

/// Of the sessions in use, and of those in doubt.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<String, Arc<tokio::sync::Mutex<Doubt>>>>>);

impl Turns {
    /// Waits for the turn of a session.
    pub(super) async fn wait(&self, session_id: &str) -> Turn {
        let session = Arc::clone(self.sessions().entry(session_id.to_owned()).or_default());
        Turn {
            doubt: Some(session.lock_owned().await),
            session_id: session_id.to_owned(),
            turns: self.clone(),
        }
    }

    /// Held for moving pointers only, never across an await.
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<Doubt>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the ids of the sessions, which open them.
impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

/// The turn of one caller, until it is dropped.
pub(super) struct Turn {
    /// There until the drop.
    doubt: Option<OwnedMutexGuard<Doubt>>,
    session_id: String,
    turns: Turns,
}

impl Turn {
    pub(super) fn is_in_doubt(&self) -> bool {
        self.doubt.as_deref().is_some_and(|doubt| *doubt)
    }

    pub(super) fn set_in_doubt(&mut self, is: bool) {
        if let Some(doubt) = &mut self.doubt {
            **doubt = is;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let is_in_doubt = self.is_in_doubt();
        let mut sessions = self.turns.sessions();
        self.doubt = None;
        let is_last = |session: &Arc<_>| Arc::strong_count(session) == 1;
        if !is_in_doubt && sessions.get(&self.session_id).is_some_and(is_last) {
            sessions.remove(&self.session_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_sessions_in_doubt_are_remembered() {
        let turns = Turns::default();
        let mut turn = turns.wait("a").await;
        drop(turns.wait("b").await);
        turn.set_in_doubt(true);
        drop(turn);
        assert_eq!(turns.sessions().len(), 1);
        let mut turn = turns.wait("a").await;
        assert!(turn.is_in_doubt());
        turn.set_in_doubt(false);
        let next = turns.wait("a");
        let mut next = std::pin::pin!(next);
        tokio::select! {
            biased;
            _ = &mut next => panic!("two at once"),
            () = std::future::ready(()) => drop(turn),
        }
        assert_eq!(turns.sessions().len(), 1, "for the one that waits");
        drop(next.await);
        assert!(turns.sessions().is_empty());
    }
}
