use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

#[cfg(feature = "rmcp")]
use super::rmcp::Streams;
use super::{EventRecord, EventStore, Result};

/// The default number of events that are kept of one session.
pub const DEFAULT_MAX_EVENTS_PER_SESSION: usize = 1000;

/// Keeps events in memory: the newest of each session, up to a number.
///
/// Clones share the events. Sessions are kept until they are purged.
#[derive(Clone)]
pub struct MemoryEventStore {
    capacity: NonZeroUsize,
    logs: Arc<Mutex<HashMap<String, Log>>>,
    #[cfg(feature = "rmcp")]
    streams: Arc<Mutex<Streams>>,
}

/// The events of one session.
struct Log {
    events: BTreeMap<u64, EventRecord>,
    /// The highest id that was evicted, or the id before the first one.
    complete_after: u64,
}

impl MemoryEventStore {
    /// Makes a store that keeps [`DEFAULT_MAX_EVENTS_PER_SESSION`] events of each
    /// session.
    pub fn new() -> Self {
        Self::with_capacity(DEFAULT_MAX_EVENTS_PER_SESSION)
    }

    /// Makes a store that keeps this number of events of each session, at least one.
    /// Those with the lowest ids are evicted.
    pub fn with_capacity(max_events_per_session: usize) -> Self {
        Self {
            // The newest event has to stay, because servers continue numbering from it.
            capacity: NonZeroUsize::new(max_events_per_session).unwrap_or(NonZeroUsize::MIN),
            logs: Arc::default(),
            #[cfg(feature = "rmcp")]
            streams: Arc::default(),
        }
    }

    /// Returns the number of events, of all sessions.
    pub async fn total_events(&self) -> usize {
        self.logs().values().map(|log| log.events.len()).sum()
    }

    /// Returns the number of sessions with at least one event.
    pub async fn session_count(&self) -> usize {
        self.logs().len()
    }

    /// The lock is held only to move records, never across an await.
    fn logs(&self) -> MutexGuard<'_, HashMap<String, Log>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock is held only to move records, never across an await.
    #[cfg(feature = "rmcp")]
    pub(super) fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "rmcp")]
    pub(super) fn capacity(&self) -> NonZeroUsize {
        self.capacity
    }
}

impl Default for MemoryEventStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl EventStore for MemoryEventStore {
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        let mut logs = self.logs();
        let log = logs.entry(session_id.to_owned()).or_insert_with(|| Log {
            events: BTreeMap::new(),
            complete_after: event.id.saturating_sub(1),
        });
        log.events.insert(event.id, event);
        if log.events.len() > self.capacity.get()
            && let Some((id, _)) = log.events.pop_first()
        {
            log.complete_after = log.complete_after.max(id);
        }
        Ok(())
    }

    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>> {
        let behind = (Bound::Excluded(after_id), Bound::Unbounded);
        let logs = self.logs();
        let events = logs.get(session_id).map(|log| log.events.range(behind));
        Ok(events
            .into_iter()
            .flatten()
            .map(|(_, event)| event.clone())
            .collect())
    }

    async fn purge_session(&self, session_id: &str) -> Result<()> {
        self.logs().remove(session_id);
        Ok(())
    }

    async fn complete_after(&self, session_id: &str) -> Result<Option<u64>> {
        Ok(self.logs().get(session_id).map(|log| log.complete_after))
    }
}

/// Shows neither session ids, which are credentials, nor events.
impl fmt::Debug for MemoryEventStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryEventStore")
            .field("capacity", &self.capacity)
            .field("sessions", &self.logs().len())
            .finish()
    }
}
