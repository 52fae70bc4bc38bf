use async_trait::async_trait;

use super::{Result, SessionRecord, SessionStore};

/// Answers from a cache what the cache has, and asks the store behind it for the
/// rest.
///
/// A record that another process changes or deletes is seen as it was for as
/// long as the cache keeps it, until it expires at the latest. Where a session
/// may be ended by another process, do without.
#[derive(Debug, Clone)]
pub struct CachingSessionStore<Cache, Store> {
    cache: Cache,
    store: Store,
}

impl<Cache, Store> CachingSessionStore<Cache, Store> {
    /// Puts `cache` before `store`.
    pub fn new(cache: Cache, store: Store) -> Self {
        Self { cache, store }
    }
}

impl<Cache: SessionStore, Store: SessionStore> CachingSessionStore<Cache, Store> {
    /// Puts into the cache what the store has. Where that fails, the cache no
    /// longer has an older record.
    async fn mirror(&self, record: &SessionRecord) -> Result<()> {
        let mirrored = self.cache.save(record).await;
        if mirrored.is_err()
            && let Err(error) = self.cache.delete(&record.sdk, &record.id).await
        {
            tracing::debug!(%error, "a record could not be taken from the cache of sessions");
        }
        mirrored
    }
}

#[async_trait]
impl<Cache: SessionStore, Store: SessionStore> SessionStore for CachingSessionStore<Cache, Store> {
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let created = self.store.create(record).await?;
        if created {
            self.mirror(record).await?;
        }
        Ok(created)
    }

    /// Saves to the store and then to the cache. If the cache fails, its error
    /// is given though the record is in the store.
    async fn save(&self, record: &SessionRecord) -> Result<()> {
        self.store.save(record).await?;
        self.mirror(record).await
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        // A cache that fails is one that has nothing.
        if let Ok(Some(record)) = self.cache.load(sdk, id).await {
            return Ok(Some(record));
        }
        let record = self.store.load(sdk, id).await?;
        if let Some(record) = &record
            && let Err(error) = self.mirror(record).await
        {
            tracing::debug!(%error, "a record could not be put into the cache of sessions");
        }
        Ok(record)
    }

    /// Deletes in both, even if one fails. The cache's error is given before the store's.
    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        let cached = self.cache.delete(sdk, id).await;
        let stored = self.store.delete(sdk, id).await;
        cached.and(stored)
    }
}
