use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;

use super::{DEFAULT_MAX_BYTES, RECORD_OVERHEAD, Result, SessionRecord, SessionStore};

/// Keeps records in memory.
///
/// All records together take at most 64 MiB, or [`max_bytes`](Self::max_bytes),
/// because each client that initializes a session adds one. Clones share the
/// records.
#[derive(Clone)]
pub struct MemorySessionStore {
    records: Arc<Mutex<Records>>,
    max_bytes: u64,
}

/// SDK and session id.
type Key = (String, String);

#[derive(Default)]
struct Records {
    by_key: HashMap<Key, SessionRecord>,
    /// The same records, in the order in which they expire.
    by_end: BTreeSet<(SystemTime, Key)>,
    bytes: u64,
}

impl MemorySessionStore {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self {
            records: Arc::default(),
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }

    /// Sets how many bytes the records take; 64 MiB by default. Each record counts with
    /// 64 bytes more than its texts. Those that would expire first are evicted first.
    /// The newest one stays, even if it is larger.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Returns the number of records that have not expired.
    pub async fn session_count(&self) -> usize {
        let records = self.records();
        let kept = records.by_key.values();
        kept.filter(|kept| !kept.is_expired()).count()
    }

    /// Removes the records that have expired, and returns their number. Adding a record
    /// removes them too.
    pub async fn remove_expired(&self) -> usize {
        self.records().remove_expired()
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemorySessionStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Records {
    fn get(&self, sdk: &str, id: &str) -> Option<&SessionRecord> {
        let known = self.by_key.get(&key(sdk, id));
        known.filter(|known| !known.is_expired())
    }

    /// Adds a record. Expired records are removed, and the next to expire are evicted
    /// if it needs room.
    fn insert(&mut self, record: &SessionRecord, max_bytes: u64) {
        self.remove_expired();
        let key = key(&record.sdk, &record.id);
        self.remove(&key);
        let bytes = size(record);
        while self.bytes.saturating_add(bytes) > max_bytes {
            let Some((_, first)) = self.by_end.pop_first() else {
                break;
            };
            self.remove(&first);
        }
        self.bytes += bytes;
        self.by_end.insert((record.expires_at, key.clone()));
        self.by_key.insert(key, record.clone());
    }

    fn remove(&mut self, key: &Key) {
        if let Some(record) = self.by_key.remove(key) {
            self.bytes -= size(&record);
            self.by_end.remove(&(record.expires_at, key.clone()));
        }
    }

    fn remove_expired(&mut self) -> usize {
        let before = self.by_key.len();
        while let Some((_, key)) = self.by_end.first().cloned()
            && self.get(&key.0, &key.1).is_none()
        {
            self.remove(&key);
        }
        before - self.by_key.len()
    }
}

fn key(sdk: &str, id: &str) -> Key {
    (sdk.to_owned(), id.to_owned())
}

fn size(record: &SessionRecord) -> u64 {
    let texts = record.sdk.len() + record.id.len() + record.data.len();
    RECORD_OVERHEAD + texts as u64
}

#[async_trait]
impl SessionStore for MemorySessionStore {
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let mut records = self.records();
        let is_new = records.get(&record.sdk, &record.id).is_none();
        if is_new {
            records.insert(record, self.max_bytes);
        }
        Ok(is_new)
    }

    async fn save(&self, record: &SessionRecord) -> Result<()> {
        self.records().insert(record, self.max_bytes);
        Ok(())
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        Ok(self.records().get(sdk, id).cloned())
    }

    async fn prolong(&self, record: &SessionRecord) -> Result<bool> {
        let mut records = self.records();
        let Some(mut known) = records.get(&record.sdk, &record.id).cloned() else {
            return Ok(false);
        };
        known.expires_at = known.expires_at.max(record.expires_at);
        records.insert(&known, self.max_bytes);
        Ok(true)
    }

    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        self.records().remove(&key(sdk, id));
        Ok(())
    }
}

/// Shows no session ids, because they are credentials.
impl fmt::Debug for MemorySessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySessionStore")
            .field("records", &self.records().by_key.len())
            .finish()
    }
}
