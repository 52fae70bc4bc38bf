use std::time::Duration;

use async_trait::async_trait;

use super::{Result, SessionRecord, SessionStore};
use crate::keyed_lock::{KeyGuard, KeyedLocks};

/// Answers from a cache what the cache has, and asks the store behind it for the
/// rest.
///
/// A record that another process changes or deletes is seen as it was for as
/// long as the cache keeps it, until it expires at the latest. Where a session
/// may be ended by another process, do without. What is changed through this
/// store and its clones is seen at once: calls for one session take turns, those
/// for different ones do not.
#[derive(Debug, Clone)]
pub struct CachingSessionStore<Cache, Backend> {
    cache: Cache,
    backend: Backend,
    turns: KeyedLocks<Key>,
}

/// SDK and id.
type Key = (String, String);

impl<Cache, Backend> CachingSessionStore<Cache, Backend> {
    /// Puts `cache` before `backend`.
    pub fn new(cache: Cache, backend: Backend) -> Self {
        Self {
            cache,
            backend,
            turns: KeyedLocks::default(),
        }
    }
}

impl<Cache: SessionStore, Backend: SessionStore> CachingSessionStore<Cache, Backend> {
    /// Waits for the turn of a session, and begins it with a cache that is right.
    async fn turn(&self, sdk: &str, id: &str) -> KeyGuard<Key> {
        let mut turn = self.turns.wait((sdk.to_owned(), id.to_owned())).await;
        if turn.is_in_doubt() {
            self.forget(&mut turn, sdk, id).await;
        }
        turn
    }

    /// Puts into the cache what the store has. Where that fails, the cache no
    /// longer has an older record.
    async fn mirror(&self, turn: &mut KeyGuard<Key>, record: &SessionRecord) -> Result<()> {
        turn.set_in_doubt(true);
        let mirrored = self.cache.save(record).await;
        match &mirrored {
            Ok(()) => turn.set_in_doubt(false),
            Err(_) => self.forget(turn, &record.sdk, &record.id).await,
        }
        mirrored
    }

    /// Takes a record from a cache that may be wrong about it.
    async fn forget(&self, turn: &mut KeyGuard<Key>, sdk: &str, id: &str) {
        match self.cache.delete(sdk, id).await {
            Ok(()) => turn.set_in_doubt(false),
            Err(error) => {
                tracing::debug!(%error, "a record could not be taken from the cache of sessions");
            }
        }
    }
}

#[async_trait]
impl<Cache: SessionStore, Backend: SessionStore> SessionStore
    for CachingSessionStore<Cache, Backend>
{
    /// Adds it to the store and then to the cache. If the cache fails, its error
    /// is given though the record is in the store.
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let mut turn = self.turn(&record.sdk, &record.id).await;
        turn.set_in_doubt(true);
        let created = self.backend.create(record).await?;
        if created {
            self.mirror(&mut turn, record).await?;
        }
        Ok(created)
    }

    /// Saves to the store and then to the cache. If the cache fails, its error
    /// is given though the record is in the store.
    async fn save(&self, record: &SessionRecord) -> Result<()> {
        let mut turn = self.turn(&record.sdk, &record.id).await;
        turn.set_in_doubt(true);
        self.backend.save(record).await?;
        self.mirror(&mut turn, record).await
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        let mut turn = self.turn(sdk, id).await;
        // A cache that fails is one that has nothing.
        if !turn.is_in_doubt()
            && let Ok(Some(record)) = self.cache.load(sdk, id).await
        {
            return Ok(Some(record));
        }
        let record = self.backend.load(sdk, id).await?;
        if let Some(record) = &record
            && let Err(error) = self.mirror(&mut turn, record).await
        {
            tracing::debug!(%error, "a record could not be put into the cache of sessions");
        }
        Ok(record)
    }

    async fn prolong(&self, record: &SessionRecord) -> Result<bool> {
        let mut turn = self.turn(&record.sdk, &record.id).await;
        turn.set_in_doubt(true);
        let is_there = self.backend.prolong(record).await?;
        if is_there && self.cache.prolong(record).await.is_ok() {
            turn.set_in_doubt(false);
        } else {
            self.forget(&mut turn, &record.sdk, &record.id).await;
        }
        Ok(is_there)
    }

    /// Deletes in both, even if one fails. The cache's error is given before the store's.
    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        let mut turn = self.turn(sdk, id).await;
        turn.set_in_doubt(true);
        let cached = self.cache.delete(sdk, id).await;
        turn.set_in_doubt(cached.is_err());
        let stored = self.backend.delete(sdk, id).await;
        cached.and(stored)
    }

    fn default_ttl(&self) -> Duration {
        self.backend.default_ttl()
    }
}
