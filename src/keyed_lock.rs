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

/// The sessions that are locked, and those of which the cache is dirty, by their keys.
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
    pub(crate) async fn lock(&self, key: K) -> KeyGuard<K> {
        let session = Arc::clone(self.sessions().entry(key.clone()).or_default());
        // The guard is made before the wait, so that a waiter that is dropped removes its
        // entry, too.
        let mut guard = KeyGuard {
            dirty: None,
            key,
            locks: self.clone(),
        };
        guard.dirty = Some(session.lock_owned().await);
        guard
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
    dirty: Option<OwnedMutexGuard<CacheDirty>>,
    key: K,
    locks: KeyedLocks<K>,
}

impl<K: Eq + Hash + Clone> KeyGuard<K> {
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.as_deref().is_some_and(|dirty| *dirty)
    }

    pub(crate) fn set_dirty(&mut self, is: bool) {
        if let Some(dirty) = &mut self.dirty {
            **dirty = is;
        }
    }
}

impl<K: Eq + Hash + Clone> Drop for KeyGuard<K> {
    fn drop(&mut self) {
        let mut sessions = self.locks.sessions();
        self.dirty = None;
        let is_done_with = |session: &Arc<tokio::sync::Mutex<CacheDirty>>| {
            Arc::strong_count(session) == 1 && session.try_lock().is_ok_and(|dirty| !*dirty)
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
    async fn only_sessions_with_a_dirty_cache_are_remembered() {
        let locks = KeyedLocks::default();
        let mut guard = locks.lock("a").await;
        drop(locks.lock("b").await);
        guard.set_dirty(true);
        drop(guard);
        assert_eq!(locks.sessions().len(), 1);
        let mut guard = locks.lock("a").await;
        assert!(guard.is_dirty());
        guard.set_dirty(false);
        let next = locks.lock("a");
        let mut next = std::pin::pin!(next);
        tokio::select! {
            biased;
            _ = &mut next => panic!("two at once"),
            () = std::future::ready(()) => drop(guard),
        }
        assert_eq!(locks.sessions().len(), 1, "for the one that waits");
        drop(next.await);
        assert!(locks.sessions().is_empty());
    }

    #[tokio::test]
    async fn dropped_waiter_leaves_no_entry() {
        for turn_ends_first in [false, true] {
            let locks = KeyedLocks::default();
            let guard = locks.lock("a").await;
            let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(locks.lock("a"))).collect();
            for waiter in &mut waiters {
                assert!(poll_once(waiter.as_mut()).is_none(), "two at once");
            }
            if turn_ends_first {
                drop(guard);
                drop(waiters);
            } else {
                drop(waiters);
                drop(guard);
            }
            assert!(locks.sessions().is_empty());
        }
    }

    #[tokio::test]
    async fn dropped_waiter_leaves_the_doubt() {
        let locks = KeyedLocks::default();
        let mut guard = locks.lock("a").await;
        guard.set_dirty(true);
        let mut waiter = Box::pin(locks.lock("a"));
        assert!(poll_once(waiter.as_mut()).is_none(), "two at once");
        drop(guard);
        drop(waiter);
        assert!(locks.lock("a").await.is_dirty());
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
