use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Result, SessionRecord, SessionStore};

/// Keeps records in memory.
///
/// Clones share what they keep.
#[derive(Clone, Default)]
pub struct MemorySessionStore {
    records: Arc<Mutex<HashMap<(String, String), SessionRecord>>>,
}

impl MemorySessionStore {
    /// A store without a record.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many records are kept that have not expired.
    pub async fn session_count(&self) -> usize {
        let records = self.records();
        records.values().filter(|kept| !kept.is_expired()).count()
    }

    /// Removes the records that have expired, and gives their number. Adding
    /// one does it now and then.
    pub async fn remove_expired(&self) -> usize {
        let mut records = self.records();
        let before = records.len();
        records.retain(|_, record| !record.is_expired());
        before - records.len()
    }

    fn records(&self) -> MutexGuard<'_, HashMap<(String, String), SessionRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a record; where that would make the map larger, those that have expired
/// make room.
fn insert(records: &mut HashMap<(String, String), SessionRecord>, record: &SessionRecord) {
    if records.len() == records.capacity() {
        records.retain(|_, record| !record.is_expired());
    }
    records.insert(key(&record.sdk, &record.id), record.clone());
}

fn key(sdk: &str, id: &str) -> (String, String) {
    (sdk.to_owned(), id.to_owned())
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let mut records = self.records();
        let known = records.get(&key(&record.sdk, &record.id));
        if known.is_some_and(|known| !known.is_expired()) {
            return Ok(false);
        }
        insert(&mut records, record);
        Ok(true)
    }

    async fn save(&self, record: &SessionRecord) -> Result<()> {
        insert(&mut self.records(), record);
        Ok(())
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        let records = self.records();
        let known = records.get(&key(sdk, id));
        Ok(known.filter(|record| !record.is_expired()).cloned())
    }

    async fn prolong(&self, record: &SessionRecord) -> Result<bool> {
        let mut records = self.records();
        let known = records.get_mut(&key(&record.sdk, &record.id));
        let Some(known) = known.filter(|known| !known.is_expired()) else {
            return Ok(false);
        };
        known.expires_at = known.expires_at.max(record.expires_at);
        Ok(true)
    }

    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        self.records().remove(&key(sdk, id));
        Ok(())
    }
}

/// Without the ids of the sessions, which open them.
impl fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessionStore")
            .field("records", &self.records().len())
            .finish()
    }
}
