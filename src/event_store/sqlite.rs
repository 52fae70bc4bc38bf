use std::time::Duration;

use async_trait::async_trait;

use super::{DEFAULT_MAX_EVENTS_PER_SESSION, EventRecord, EventStore, EventStoreError, Result};
use crate::clock;
use crate::db::{Command, EventBounds, EventRow, LogKind, Synchronous};
use crate::store::{Store, SubmitError};

/// Keeps events in the file of a [`Store`]; from [`Store::event_store`].
///
/// # Durability
///
/// [`append`](EventStore::append) returns when the event is committed. The event
/// then survives any end of the process, and with [`Synchronous::Full`] a power
/// loss. Appends that wait at the same time share one commit, and they precede
/// everything else that the store has to write.
///
/// An append fails if it is not committed within the [`timeout`](Self::timeout), if
/// the disk is full, and after [`Store::shutdown`]. tower-mcp then logs a warning
/// and sends the event nevertheless: a client that receives it has it, and a client
/// that loses its stream before will not get it. rmcp does not send the event, and
/// the call ends without an answer.
///
/// # Retention
///
/// The store keeps the [`max_events_per_session`](Self::max_events_per_session)
/// events with the highest ids of each session (with rmcp: of each stream). Of all
/// sessions together, it keeps the youngest events within
/// [`max_bytes`](Self::max_bytes), and none older than [`max_age`](Self::max_age).
///
/// The newest event of each session is kept beyond these limits, because a
/// restarted server continues numbering from it. It is removed once the session has
/// been silent for `max_age` and has no [session record](crate::session_store) that
/// has not expired. With rmcp, which requests ids, this applies only to the stream
/// that lives as long as the session, and only while there is a record: otherwise a
/// listening client could not find its place again.
///
/// The writer thread applies the limits across sessions, to some events with each
/// append. [`complete_after`](EventStore::complete_after) says which events of a
/// session were evicted. tower-mcp purges the events of a session that ends, rmcp
/// does not.
///
/// Sessions are distinguished by id alone. So use one file for one server and its
/// replicas, and give the replicas the same limits: the limits of the last append
/// apply to the events of all of them. Ages are measured by the system clock.
///
/// Ids are at most 2⁶³ − 1, the largest integer of SQLite.
///
/// # Runtime
///
/// The calls need a tokio runtime with a time driver, which both SDKs have. Without
/// a runtime every call fails. Without a time driver every call fails too, and
/// tokio prints a panic message, because tokio offers no other check. Reads run on
/// the runtime's blocking threads over their own connections, and do not block the
/// writer thread.
///
/// Clones are handles to the same events. They keep the store open.
#[derive(Debug, Clone)]
#[must_use = "its setters return the changed store"]
pub struct SqliteEventStore {
    pub(super) store: Store,
    pub(super) timeout: Duration,
    pub(super) synchronous: Synchronous,
    pub(super) bounds: EventBounds,
}

impl Store {
    /// Returns a store for the events of SSE streams in this file, with the default
    /// settings.
    ///
    /// With the feature `tower-mcp` or `rmcp`, the handle is also an event store of
    /// that SDK.
    pub fn event_store(&self) -> SqliteEventStore {
        SqliteEventStore {
            store: self.clone(),
            timeout: Duration::from_secs(5),
            synchronous: Synchronous::Normal,
            bounds: EventBounds {
                per_log: DEFAULT_MAX_EVENTS_PER_SESSION as u64,
                bytes: 256 << 20,
                age_ms: clock::to_ms(Duration::from_secs(24 * 60 * 60)),
            },
        }
    }
}

impl SqliteEventStore {
    /// Sets how long a call waits at most; 5 seconds by default. A call that is not
    /// committed by then fails, and may still be committed later.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets which failure a commit has to survive; the end of the process by default.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Sets how many events are kept of one session (with rmcp: of one stream), at
    /// least one; [`DEFAULT_MAX_EVENTS_PER_SESSION`] by default.
    pub fn max_events_per_session(mut self, events: usize) -> Self {
        self.bounds.per_log = events as u64;
        self
    }

    /// Sets how many bytes the events of all sessions take; 256 MiB by default. Each
    /// event counts with 64 bytes more than its data.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// Sets how long an event is kept after its append; 24 hours by default.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.bounds.age_ms = clock::to_ms(age);
        self
    }
}

#[async_trait]
impl EventStore for SqliteEventStore {
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        let append = Command::AppendEvent {
            session_id: session_id.into(),
            id: i64::try_from(event.id).map_err(|_| {
                EventStoreError::Encode(String::from("the id of the event is larger than 2^63 - 1"))
            })?,
            event: EventRow {
                ts: clock::to_unix_ms(event.timestamp),
                retry_ms: None,
                data: event.data,
            },
            bounds: self.bounds,
        };
        self.store
            .submit(append, self.synchronous, self.timeout)
            .await?;
        Ok(())
    }

    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>> {
        let session_id = session_id.to_owned();
        let after_id = i64::try_from(after_id).unwrap_or(i64::MAX);
        let events = self
            .store
            .read(self.timeout, move |reader| {
                reader.events(LogKind::Session, &session_id, after_id)
            })
            .await?;
        events.into_iter().map(record).collect()
    }

    async fn purge_session(&self, session_id: &str) -> Result<()> {
        let purge = Command::Purge {
            session_id: session_id.into(),
        };
        self.store
            .submit(purge, self.synchronous, self.timeout)
            .await?;
        Ok(())
    }

    async fn complete_after(&self, session_id: &str) -> Result<Option<u64>> {
        let session_id = session_id.to_owned();
        let highest_evicted = self
            .store
            .read(self.timeout, move |reader| {
                reader.complete_after(LogKind::Session, &session_id)
            })
            .await?;
        highest_evicted.map(id).transpose()
    }
}

fn record((number, event): (i64, EventRow)) -> Result<EventRecord> {
    let mut record = EventRecord::new(id(number)?, event.data);
    record.timestamp = clock::from_unix_ms(event.ts);
    Ok(record)
}

fn id(id: i64) -> Result<u64> {
    id.try_into()
        .map_err(|_| EventStoreError::Decode(String::from("the id of an event is negative")))
}

impl From<SubmitError> for EventStoreError {
    fn from(error: SubmitError) -> Self {
        Self::Backend(error.to_string())
    }
}
