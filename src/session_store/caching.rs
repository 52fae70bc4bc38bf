use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use super::{Result, SessionRecord, SessionStore};

/// Answers from a cache what the cache has, and asks the store behind it for the
/// rest.
///
/// A record that another process changes or deletes is seen as it was for as
/// long as the cache keeps it, until it expires at the latest. Where a session
/// may be ended by another process, do without. What is changed through this
/// store and its clones is seen at once.
#[derive(Clone)]
pub struct CachingSessionStore<Cache, Store> {
    cache: Cache,
    store: Store,
    records: Arc<Records>,
}

impl<Cache, Store> CachingSessionStore<Cache, Store> {
    /// Puts `cache` before `store`.
    pub fn new(cache: Cache, store: Store) -> Self {
        Self {
            cache,
            store,
            records: Arc::default(),
        }
    }
}

impl<Cache: fmt::Debug, Store: fmt::Debug> fmt::Debug for CachingSessionStore<Cache, Store> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachingSessionStore")
            .field("cache", &self.cache)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl<Cache: SessionStore, Store: SessionStore> CachingSessionStore<Cache, Store> {
    /// A record is about to be written: the cache has none of it meanwhile. Gives
    /// the number of this step.
    async fn begin_write(&self, record: &RecordInUse<'_>) -> (u64, Result<()>) {
        let mut steps = record.steps().await;
        *steps += 1;
        (*steps, self.cache.delete(record.sdk, record.id).await)
    }

    /// The write is over that was the step `begun`, and left `record`. The cache
    /// gets it unless another write was under way, which may have come later.
    async fn end_write(
        &self,
        place: &RecordInUse<'_>,
        begun: u64,
        record: Option<&SessionRecord>,
    ) -> Result<()> {
        let mut steps = place.steps().await;
        let is_alone = *steps == begun;
        *steps += 1;
        match record.filter(|_| is_alone) {
            Some(record) => self.put(record).await,
            None => self.cache.delete(place.sdk, place.id).await,
        }
    }

    /// Puts a record into the cache. Where that fails, there is no older one.
    async fn put(&self, record: &SessionRecord) -> Result<()> {
        let put = self.cache.save(record).await;
        if put.is_err()
            && let Err(error) = self.cache.delete(&record.sdk, &record.id).await
        {
            tracing::debug!(%error, "a record could not be taken from the cache of sessions");
        }
        put
    }
}

#[async_trait]
impl<Cache: SessionStore, Store: SessionStore> SessionStore for CachingSessionStore<Cache, Store> {
    /// Adds it to the store and then to the cache. If the cache fails, its error
    /// is given though the record is in the store.
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let place = self.records.enter(&record.sdk, &record.id);
        let (begun, cleared) = self.begin_write(&place).await;
        let created = self.store.create(record).await?;
        let ended = self
            .end_write(&place, begun, created.then_some(record))
            .await;
        cleared.and(ended).map(|()| created)
    }

    /// Saves to the store and then to the cache. If the cache fails, its error
    /// is given though the record is in the store.
    async fn save(&self, record: &SessionRecord) -> Result<()> {
        let place = self.records.enter(&record.sdk, &record.id);
        let (begun, cleared) = self.begin_write(&place).await;
        self.store.save(record).await?;
        let ended = self.end_write(&place, begun, Some(record)).await;
        cleared.and(ended)
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        // A cache that fails is one that has nothing.
        if let Ok(Some(record)) = self.cache.load(sdk, id).await {
            return Ok(Some(record));
        }
        let place = self.records.enter(sdk, id);
        let begun = *place.steps().await;
        let record = self.store.load(sdk, id).await?;
        let steps = place.steps().await;
        if let Some(record) = &record
            && *steps == begun
            && let Err(error) = self.put(record).await
        {
            tracing::debug!(%error, "a record could not be put into the cache of sessions");
        }
        Ok(record)
    }

    /// Deletes in both, even if one fails. The cache's error is given before the store's.
    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        let place = self.records.enter(sdk, id);
        let (begun, cleared) = self.begin_write(&place).await;
        let stored = self.store.delete(sdk, id).await;
        let ended = self.end_write(&place, begun, None).await;
        cleared.and(ended).and(stored)
    }
}

type Key = (Box<str>, Box<str>);

/// The records that somebody reads from the store or writes.
#[derive(Default)]
struct Records(std::sync::Mutex<HashMap<Key, Arc<Mutex<u64>>>>);

impl Records {
    fn enter<'a>(&'a self, sdk: &'a str, id: &'a str) -> RecordInUse<'a> {
        let steps = Arc::clone(self.lock().entry((sdk.into(), id.into())).or_default());
        RecordInUse {
            records: self,
            sdk,
            id,
            steps,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Mutex<u64>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record that somebody reads from the store or writes.
struct RecordInUse<'a> {
    records: &'a Records,
    sdk: &'a str,
    id: &'a str,
    /// How many writes of it began and ended. Whoever holds it writes to the cache.
    steps: Arc<Mutex<u64>>,
}

impl RecordInUse<'_> {
    async fn steps(&self) -> MutexGuard<'_, u64> {
        self.steps.lock().await
    }
}

impl Drop for RecordInUse<'_> {
    fn drop(&mut self) {
        let mut records = self.records.lock();
        // This one and the one in the map.
        if Arc::strong_count(&self.steps) == 2 {
            records.remove(&(self.sdk.into(), self.id.into()));
        }
    }
}
