use std::time::UNIX_EPOCH;

use async_trait::async_trait;

use super::{EventRecord, EventStore, Result};
use crate::keyed_lock::{KeyGuard, KeyedLocks};

/// Answers a replay from a cache if the cached events are provably complete, and
/// otherwise from the store behind it.
///
/// The proof uses only the cached events. They answer a replay if their ids follow
/// each other without a gap from the requested id on, so that no evicted event can
/// be between them, and if the store continues where they end. To check that, this
/// store asks the other one only for its events from the newest cached one on, and
/// from which id on it is complete. The newest cached event has to be the same there.
/// Events that another process appended behind it are added. A session whose ids have
/// gaps is therefore always read from the store.
///
/// Calls for one session run one after another; calls for different sessions run in
/// parallel. One change goes unnoticed: another process replaces an event in the
/// middle of a session and not the newest one.
#[derive(Debug, Clone)]
pub struct CachingEventStore<Cache, Backend> {
    cache: Cache,
    backend: Backend,
    locks: KeyedLocks<String>,
}

impl<Cache, Backend> CachingEventStore<Cache, Backend> {
    /// Puts `cache` before `backend`.
    pub fn new(cache: Cache, backend: Backend) -> Self {
        Self {
            cache,
            backend,
            locks: KeyedLocks::default(),
        }
    }
}

impl<Cache: EventStore, Backend: EventStore> CachingEventStore<Cache, Backend> {
    /// Locks a session. Empties the cache of its events first if the cache may be wrong.
    async fn lock(&self, session_id: &str) -> KeyGuard<String> {
        let mut guard = self.locks.lock(session_id.to_owned()).await;
        if guard.is_dirty() {
            self.empty(&mut guard, session_id).await;
        }
        guard
    }

    /// Returns the events behind `after_id`, if the cache has them without a gap.
    async fn cached(
        &self,
        guard: &KeyGuard<String>,
        session_id: &str,
        after_id: u64,
    ) -> Option<Vec<EventRecord>> {
        if guard.is_dirty() {
            return None;
        }
        // A failing cache counts as empty.
        let events = self.cache.replay_after(session_id, after_id).await.ok()?;
        let seamless = (1..)
            .zip(&events)
            .all(|(place, event)| event.id.checked_sub(place) == Some(after_id));
        seamless.then_some(events)
    }

    /// Puts `events` into the cache, as far as that succeeds.
    async fn warm(&self, guard: &mut KeyGuard<String>, session_id: &str, events: &[EventRecord]) {
        // A cache that is too small evicts the lowest ids. So with this order it never
        // holds an older event in place of a newer one, even if this future is dropped
        // midway.
        for event in events.iter().rev() {
            let added = self.cache.append(session_id, event.clone()).await;
            if added.is_err() {
                return self.empty(guard, session_id).await;
            }
        }
    }

    /// Removes the events of a session from a cache that may be wrong about it.
    async fn empty(&self, guard: &mut KeyGuard<String>, session_id: &str) {
        guard.set_dirty(true);
        match self.cache.purge_session(session_id).await {
            Ok(()) => guard.set_dirty(false),
            Err(error) => {
                tracing::debug!(%error, "a session could not be taken from the cache of events");
            }
        }
    }
}

#[async_trait]
impl<Cache: EventStore, Backend: EventStore> EventStore for CachingEventStore<Cache, Backend> {
    /// Appends to the store and then to the cache. If the cache fails, its error is
    /// returned although the event is in the store.
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        let mut guard = self.lock(session_id).await;
        let was_dirty = guard.is_dirty();
        guard.set_dirty(true);
        self.backend.append(session_id, event.clone()).await?;
        let cached = self.cache.append(session_id, event).await;
        match &cached {
            Ok(()) => guard.set_dirty(was_dirty),
            // The cache may hold an older event with the same id.
            Err(_) => self.empty(&mut guard, session_id).await,
        }
        cached
    }

    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>> {
        let mut guard = self.lock(session_id).await;
        let cached = self.cached(&guard, session_id, after_id).await;
        let cached = cached.unwrap_or_default();
        if let Some(newest) = cached.last() {
            let before = newest.id.saturating_sub(1);
            let end = self.backend.replay_after(session_id, before).await?;
            // Another process may have purged or evicted these events.
            let complete_after = self.backend.complete_after(session_id).await?;
            if let Some((same, later)) = end.split_first()
                && is_same(same, newest)
                && complete_after.is_none_or(|id| id <= after_id)
            {
                let later = later.to_vec();
                self.warm(&mut guard, session_id, &later).await;
                return Ok([cached, later].concat());
            }
            // The session was purged, or its ids began again.
            self.empty(&mut guard, session_id).await;
        }
        let events = self.backend.replay_after(session_id, after_id).await?;
        self.warm(&mut guard, session_id, &events).await;
        Ok(events)
    }

    /// Purges both, even if one fails. The cache's error takes precedence.
    async fn purge_session(&self, session_id: &str) -> Result<()> {
        let mut guard = self.lock(session_id).await;
        guard.set_dirty(true);
        let cached = self.cache.purge_session(session_id).await;
        guard.set_dirty(cached.is_err());
        let stored = self.backend.purge_session(session_id).await;
        cached.and(stored)
    }

    async fn complete_after(&self, session_id: &str) -> Result<Option<u64>> {
        self.backend.complete_after(session_id).await
    }
}

/// Compares times to the millisecond, because a store may keep no more.
fn is_same(a: &EventRecord, b: &EventRecord) -> bool {
    let ms = |event: &EventRecord| {
        let since_epoch = event.timestamp.duration_since(UNIX_EPOCH);
        since_epoch.map(|since| since.as_millis()).ok()
    };
    (a.id, &a.data, ms(a)) == (b.id, &b.data, ms(b))
}
