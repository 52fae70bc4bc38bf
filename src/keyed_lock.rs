//! Locks for a cache and the store behind it: one caller at a time changes a session.
//!
//! Without a lock, two concurrent changes of one session could reach the store in one
//! order and the cache in the other.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Whether the cache may be wrong about a session, because a change reached one tier
/// and, as far as is known, not the other.
type CacheDirty = bool;

/// The sessions that are locked, and those in doubt, by their keys.
#[derive(Clone)]
pub(crate) struct KeyedLocks<K>(Arc<Mutex<Sessions<K>>>);

type Sessions<K> = HashMap<K, Arc<tokio::sync::Mutex<CacheDirty>>>;

impl<K> Default for KeyedLocks<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> KeyedLocks<K> {
    /// Locks a session. Waits while another caller holds the lock.
    pub(crate) async fn wait(&self, key: K) -> KeyGuard<K> {
        let session = Arc::clone(self.sessions().entry(key.clone()).or_default());
        // The guard is made before the wait, so that a waiter that is dropped removes its
        // entry, too.
        let mut turn = KeyGuard {
            doubt: None,
            key,
            turns: self.clone(),
        };
        turn.doubt = Some(session.lock_owned().await);
        turn
    }

    /// The lock is held only to move pointers, never across an await.
    fn sessions(&self) -> MutexGuard<'_, Sessions<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shows no session ids, because they are credentials.
impl<K> fmt::Debug for KeyedLocks<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedLocks").finish_non_exhaustive()
    }
}

/// The lock of a session, held until it is dropped.
pub(crate) struct KeyGuard<K: Eq + Hash + Clone> {
    /// Set from the end of the wait until the drop.
    doubt: Option<OwnedMutexGuard<CacheDirty>>,
    key: K,
    turns: KeyedLocks<K>,
}

impl<K: Eq + Hash + Clone> KeyGuard<K> {
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.doubt.as_deref().is_some_and(|doubt| *doubt)
    }

    pub(crate) fn set_in_doubt(&mut self, is: bool) {
        if let Some(doubt) = &mut self.doubt {
            **doubt = is;
        }
    }
}

impl<K: Eq + Hash + Clone> Drop for KeyGuard<K> {
    fn drop(&mut self) {
        let mut sessions = self.turns.sessions();
        self.doubt = None;
        let is_done_with = |session: &Arc<tokio::sync::Mutex<CacheDirty>>| {
            Arc::strong_count(session) == 1 && session.try_lock().is_ok_and(|doubt| !*doubt)
        };
        if sessions.get(&self.key).is_some_and(is_done_with) {
            sessions.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_sessions_in_doubt_are_remembered() {
        let turns = KeyedLocks::default();
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

    #[tokio::test]
    async fn dropped_waiter_leaves_no_entry() {
        for turn_ends_first in [false, true] {
            let turns = KeyedLocks::default();
            let turn = turns.wait("a").await;
            let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(turns.wait("a"))).collect();
            for waiter in &mut waiters {
                assert!(poll_once(waiter.as_mut()).is_none(), "two at once");
            }
            if turn_ends_first {
                drop(turn);
                drop(waiters);
            } else {
                drop(waiters);
                drop(turn);
            }
            assert!(turns.sessions().is_empty());
        }
    }

    #[tokio::test]
    async fn dropped_waiter_leaves_the_doubt() {
        let turns = KeyedLocks::default();
        let mut turn = turns.wait("a").await;
        turn.set_in_doubt(true);
        let mut waiter = Box::pin(turns.wait("a"));
        assert!(poll_once(waiter.as_mut()).is_none(), "two at once");
        drop(turn);
        drop(waiter);
        assert!(turns.wait("a").await.is_in_doubt());
    }

    /// Polls a future once. Returns its output, if it is ready.
    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
