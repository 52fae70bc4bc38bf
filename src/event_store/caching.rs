use std::time::UNIX_EPOCH;

use async_trait::async_trait;

use super::{EventRecord, EventStore, Result};
use crate::keyed_lock::{KeyGuard, KeyedLocks};

/// Answers replays from a cache where it can prove that nothing is missing,
/// and else from the store behind it.
///
/// The proof asks nothing of the cache but its events. They answer a replay if
/// their ids follow each other without a gap from the one that was asked for,
/// so that there is no room for an evicted event between them, and if the
/// store's events go on where they end. For that the store is asked for its
/// end only, and from when on it has everything: the newest cached event has to
/// be there as it is here, and what another process appended behind it is added.
/// So a store whose ids have gaps is always asked itself.
///
/// Calls for one session take turns, those for different ones do not. Not noticed
/// is an event in the middle of a session that another process replaced, without
/// the newest one being replaced too.
#[derive(Debug, Clone)]
pub struct CachingEventStore<Cache, Backend> {
    cache: Cache,
    backend: Backend,
    turns: KeyedLocks<String>,
}

impl<Cache, Backend> CachingEventStore<Cache, Backend> {
    /// Puts `cache` before `backend`.
    pub fn new(cache: Cache, backend: Backend) -> Self {
        Self {
            cache,
            backend,
            turns: KeyedLocks::default(),
        }
    }
}

impl<Cache: EventStore, Backend: EventStore> CachingEventStore<Cache, Backend> {
    /// Waits for the turn of a session, and begins it with a cache that is right.
    async fn turn(&self, session_id: &str) -> KeyGuard<String> {
        let mut turn = self.turns.wait(session_id.to_owned()).await;
        if turn.is_in_doubt() {
            self.empty(&mut turn, session_id).await;
        }
        turn
    }

    /// The events behind `after_id` if the cache has them without a gap.
    async fn cached(
        &self,
        turn: &KeyGuard<String>,
        session_id: &str,
        after_id: u64,
    ) -> Option<Vec<EventRecord>> {
        if turn.is_in_doubt() {
            return None;
        }
        // A cache that fails is one that has nothing.
        let events = self.cache.replay_after(session_id, after_id).await.ok()?;
        let seamless = (1..)
            .zip(&events)
            .all(|(place, event)| event.id.checked_sub(place) == Some(after_id));
        seamless.then_some(events)
    }

    /// Puts `events` into the cache, as far as that works.
    async fn warm(&self, turn: &mut KeyGuard<String>, session_id: &str, events: &[EventRecord]) {
        // A cache that is too small evicts the lowest ids. So it never has an
        // older event in place of a newer one, whenever this is cut short.
        for event in events.iter().rev() {
            let added = self.cache.append(session_id, event.clone()).await;
            if added.is_err() {
                return self.empty(turn, session_id).await;
            }
        }
    }

    /// Takes the events of a session from a cache that may be wrong about it.
    async fn empty(&self, turn: &mut KeyGuard<String>, session_id: &str) {
        turn.set_in_doubt(true);
        match self.cache.purge_session(session_id).await {
            Ok(()) => turn.set_in_doubt(false),
            Err(error) => {
                tracing::debug!(%error, "a session could not be taken from the cache of events");
            }
        }
    }
}

#[async_trait]
impl<Cache: EventStore, Backend: EventStore> EventStore for CachingEventStore<Cache, Backend> {
    /// Appends to the store and then to the cache. If the cache fails, its error
    /// is given though the event is in the store.
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        let mut turn = self.turn(session_id).await;
        let was_in_doubt = turn.is_in_doubt();
        turn.set_in_doubt(true);
        self.backend.append(session_id, event.clone()).await?;
        let cached = self.cache.append(session_id, event).await;
        match &cached {
            Ok(()) => turn.set_in_doubt(was_in_doubt),
            // It may have an older event of the same id.
            Err(_) => self.empty(&mut turn, session_id).await,
        }
        cached
    }

    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>> {
        let mut turn = self.turn(session_id).await;
        let cached = self.cached(&turn, session_id, after_id).await;
        let cached = cached.unwrap_or_default();
        if let Some(newest) = cached.last() {
            let before = newest.id.saturating_sub(1);
            let end = self.backend.replay_after(session_id, before).await?;
            // What another process purged or evicted is not there any more.
            let complete_after = self.backend.complete_after(session_id).await?;
            if let Some((same, later)) = end.split_first()
                && is_same(same, newest)
                && complete_after.is_none_or(|id| id <= after_id)
            {
                let later = later.to_vec();
                self.warm(&mut turn, session_id, &later).await;
                return Ok([cached, later].concat());
            }
            // Purged, or begun anew.
            self.empty(&mut turn, session_id).await;
        }
        let events = self.backend.replay_after(session_id, after_id).await?;
        self.warm(&mut turn, session_id, &events).await;
        Ok(events)
    }

    /// Purges both, even if one fails. The cache's error is given before the store's.
    async fn purge_session(&self, session_id: &str) -> Result<()> {
        let mut turn = self.turn(session_id).await;
        turn.set_in_doubt(true);
        let cached = self.cache.purge_session(session_id).await;
        turn.set_in_doubt(cached.is_err());
        let stored = self.backend.purge_session(session_id).await;
        cached.and(stored)
    }

    async fn complete_after(&self, session_id: &str) -> Result<Option<u64>> {
        self.backend.complete_after(session_id).await
    }
}

/// With the time to the millisecond, which is what a store may keep of it.
fn is_same(a: &EventRecord, b: &EventRecord) -> bool {
    let ms = |event: &EventRecord| {
        let since_epoch = event.timestamp.duration_since(UNIX_EPOCH);
        since_epoch.map(|since| since.as_millis()).ok()
    };
    (a.id, &a.data, ms(a)) == (b.id, &b.data, ms(b))
}
