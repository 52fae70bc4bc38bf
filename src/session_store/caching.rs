use std::time::Duration;

use async_trait::async_trait;

use super::{Result, SessionRecord, SessionStore};
use crate::keyed_lock::{KeyGuard, KeyedLocks};

/// Answers from a cache, and from the store behind it if the cache has no record.
///
/// If another process changes or deletes a record, this store keeps returning the
/// old record for as long as the cache holds it, until it expires at the latest. Do
/// not use it if another process may end a session. Changes through this store and
/// its clones are visible at once: calls for one session run one after another;
/// calls for different sessions run in parallel.
/// for different ones do not.
#[derive(Debug, Clone)]
pub struct CachingSessionStore<Cache, Backend> {
    cache: Cache,
    backend: Backend,
    locks: KeyedLocks<Key>,
}

/// SDK and session id.
type Key = (String, String);

impl<Cache, Backend> CachingSessionStore<Cache, Backend> {
    /// Puts `cache` before `backend`.
    pub fn new(cache: Cache, backend: Backend) -> Self {
        Self {
            cache,
            backend,
            locks: KeyedLocks::default(),
        }
    }
}

impl<Cache: SessionStore, Backend: SessionStore> CachingSessionStore<Cache, Backend> {
    /// Locks a session. Removes its record from the cache first if the cache may be
    /// wrong.
    async fn lock(&self, sdk: &str, id: &str) -> KeyGuard<Key> {
        let mut guard = self.locks.lock((sdk.to_owned(), id.to_owned())).await;
        if guard.is_dirty() {
            self.forget(&mut guard, sdk, id).await;
        }
        guard
    }

    /// Copies a record of the store into the cache. If that fails, the cache no longer
    /// holds an older record.
    async fn mirror(&self, guard: &mut KeyGuard<Key>, record: &SessionRecord) -> Result<()> {
        guard.set_dirty(true);
        let mirrored = self.cache.save(record).await;
        match &mirrored {
            Ok(()) => guard.set_dirty(false),
            Err(_) => self.forget(guard, &record.sdk, &record.id).await,
        }
        mirrored
    }

    /// Removes a record from a cache that may be wrong about it.
    async fn forget(&self, guard: &mut KeyGuard<Key>, sdk: &str, id: &str) {
        match self.cache.delete(sdk, id).await {
            Ok(()) => guard.set_dirty(false),
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
    /// Adds the record to the store and then to the cache. If the cache fails, its
    /// error is returned although the record is in the store.
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let mut guard = self.lock(&record.sdk, &record.id).await;
        guard.set_dirty(true);
        let created = self.backend.create(record).await?;
        if created {
            self.mirror(&mut guard, record).await?;
        }
        Ok(created)
    }

    /// Saves to the store and then to the cache. If the cache fails, its error is
    /// returned although the record is in the store.
    async fn save(&self, record: &SessionRecord) -> Result<()> {
        let mut guard = self.lock(&record.sdk, &record.id).await;
        guard.set_dirty(true);
        self.backend.save(record).await?;
        self.mirror(&mut guard, record).await
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        let mut guard = self.lock(sdk, id).await;
        // A failing cache counts as empty.
        if !guard.is_dirty()
            && let Ok(Some(record)) = self.cache.load(sdk, id).await
        {
            return Ok(Some(record));
        }
        let record = self.backend.load(sdk, id).await?;
        if let Some(record) = &record
            && let Err(error) = self.mirror(&mut guard, record).await
        {
            tracing::debug!(%error, "a record could not be put into the cache of sessions");
        }
        Ok(record)
    }

    async fn prolong(&self, record: &SessionRecord) -> Result<bool> {
        let mut guard = self.lock(&record.sdk, &record.id).await;
        guard.set_dirty(true);
        let is_there = self.backend.prolong(record).await?;
        if is_there && self.cache.prolong(record).await.is_ok() {
            guard.set_dirty(false);
        } else {
            self.forget(&mut guard, &record.sdk, &record.id).await;
        }
        Ok(is_there)
    }

    /// Deletes in both, even if one fails. The cache's error takes precedence.
    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        let mut guard = self.lock(sdk, id).await;
        guard.set_dirty(true);
        let cached = self.cache.delete(sdk, id).await;
        guard.set_dirty(cached.is_err());
        let stored = self.backend.delete(sdk, id).await;
        cached.and(stored)
    }

    fn default_ttl(&self) -> Duration {
        self.backend.default_ttl()
    }
}
