use async_trait::async_trait;

use super::{Result, SessionRecord, SessionStore};
use crate::turns::{Turn, Turns};

/// Answers from a cache what the cache has, and asks the store behind it for the
/// rest.
///
/// A record that another process changes or deletes is seen as it was for as
/// long as the cache keeps it, until it expires at the latest. Where a session
/// may be ended by another process, do without. What is changed through this
/// store and its clones is seen at once: calls for one session take turns, those
/// for different ones do not.
#[derive(Debug, Clone)]
pub struct CachingSessionStore<Cache, Store> {
    cache: Cache,
    store: Store,
    turns: Turns<Key>,
}

/// SDK and id.
type Key = (String, String);

impl<Cache, Store> CachingSessionStore<Cache, Store> {
    /// Puts `cache` before `store`.
    pub fn new(cache: Cache, store: Store) -> Self {
        Self {
            cache,
            store,
            turns: Turns::default(),
        }
    }
}

impl<Cache: SessionStore, Store: SessionStore> CachingSessionStore<Cache, Store> {
    /// Waits for the turn of a session, and begins it with a cache that is right.
    async fn turn(&self, sdk: &str, id: &str) -> Turn<Key> {
        let mut turn = self.turns.wait((sdk.to_owned(), id.to_owned())).await;
        if turn.is_in_doubt() {
            self.forget(&mut turn, sdk, id).await;
        }
        turn
    }

    /// Puts into the cache what the store has. Where that fails, the cache no
    /// longer has an older record.
    async fn mirror(&self, turn: &mut Turn<Key>, record: &SessionRecord) -> Result<()> {
        turn.set_in_doubt(true);
        let mirrored = self.cache.save(record).await;
        match &mirrored {
            Ok(()) => turn.set_in_doubt(false),
            Err(_) => self.forget(turn, &record.sdk, &record.id).await,
        }
        mirrored
    }

    /// Takes a record from a cache that may be wrong about it.
    async fn forget(&self, turn: &mut Turn<Key>, sdk: &str, id: &str) {
        match self.cache.delete(sdk, id).await {
            Ok(()) => turn.set_in_doubt(false),
            Err(error) => {
                tracing::debug!(%error, "a record could not be taken from the cache of sessions");
            }
        }
    }
}

#[async_trait]
impl<Cache: SessionStore, Store: SessionStore> SessionStore for CachingSessionStore<Cache, Store> {
    /// Adds it to the store and then to the cache. If the cache fails, its error
    /// is given though the record is in the store.
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let mut turn = self.turn(&record.sdk, &record.id).await;
        turn.set_in_doubt(true);
        let created = self.store.create(record).await?;
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
        self.store.save(record).await?;
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
        let record = self.store.load(sdk, id).await?;
        if let Some(record) = &record
            && let Err(error) = self.mirror(&mut turn, record).await
        {
            tracing::debug!(%error, "a record could not be put into the cache of sessions");
        }
        Ok(record)
    }

    /// Deletes in both, even if one fails. The cache's error is given before the store's.
    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        let mut turn = self.turn(sdk, id).await;
        turn.set_in_doubt(true);
        let cached = self.cache.delete(sdk, id).await;
        turn.set_in_doubt(cached.is_err());
        let stored = self.store.delete(sdk, id).await;
        cached.and(stored)
    }
}
