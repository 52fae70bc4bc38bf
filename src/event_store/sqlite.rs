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
/// [`append`](EventStore::append) returns when the event is committed. Then it
/// survives the end of the process in whatever manner, and with
/// [`Synchronous::Full`] that of the machine. Appends that wait at the same time
/// share one commit, and they go before whatever else the store has to write.
///
/// One that is not committed within the [`timeout`](Self::timeout), one that
/// finds a disk full, and one after [`Store::shutdown`] is an error. tower-mcp
/// then logs a warning and sends the event all the same: a client that gets it
/// has it, one that loses its stream before will not. rmcp does not send the
/// event, and the call that it answers ends without an answer.
///
/// # What is kept
///
/// Of each session (with rmcp: of each stream) the
/// [`max_events_per_session`](Self::max_events_per_session) of the highest ids;
/// of all sessions together the youngest [`max_bytes`](Self::max_bytes), and none
/// older than [`max_age`](Self::max_age). The newest event of a session stays
/// nevertheless, for a server that is started again counts on from it: until the
/// session has been silent for `max_age` and there is no
/// [session record](crate::session_store) of its id that has not expired. With
/// rmcp, which asks for ids, that is so only for the stream that a session has all
/// its life, and only while there is a record: else a client that listens would
/// not find its place again. The bounds of all sessions are kept by the writer,
/// some events at a time with each append;
/// [`complete_after`](EventStore::complete_after) tells what they have taken from
/// a session. tower-mcp has the events of a session removed when it ends, rmcp
/// does not.
///
/// Sessions are told apart by id alone. So one file is for one server and its
/// replicas, and these should have the same bounds: those of the last append
/// are kept, whosever events they meet. Ages are by the system's clock.
///
/// Ids are at most 2⁶³ − 1, the largest integer of SQLite.
///
/// # Where it runs
///
/// In a tokio runtime with its timers, as both SDKs do; elsewhere every call is
/// an error (without the timers, with a panic's message from tokio on standard
/// error, for it can be asked for them in no other way). Reading takes place on the runtime's threads for blocking work,
/// over connections of its own, and holds the writer up no more than the writer
/// does it.
///
/// Clones are handles on the same events. They keep the store open.
#[derive(Debug, Clone)]
pub struct SqliteEventStore {
    pub(super) store: Store,
    pub(super) timeout: Duration,
    pub(super) synchronous: Synchronous,
    pub(super) bounds: EventBounds,
}

impl Store {
    /// The events of SSE streams in this file, with the default settings.
    ///
    /// The handle is a store of events for tower-mcp and rmcp too, with the
    /// features of these names.
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
    /// How long a call waits at most; 5 seconds by default. What is not
    /// committed by then is an error, and may be committed all the same.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What a commit has to survive; the end of the process by default.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// How many events are kept of one session (with rmcp: of one stream), at
    /// least one; [`DEFAULT_MAX_EVENTS_PER_SESSION`] by default.
    pub fn max_events_per_session(mut self, events: usize) -> Self {
        self.bounds.per_log = events as u64;
        self
    }

    /// How much the events of all sessions take, in bytes, each counted with 64
    /// more than its data; 256 MiB by default.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.bounds.bytes = bytes;
        self
    }

    /// How old an event becomes, from its append on; 24 hours by default.
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
