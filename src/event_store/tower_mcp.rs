//! The event stores as tower-mcp event stores, whose trait has the same methods.

use async_trait::async_trait;
use tower_mcp::event_store as theirs;

use super::{
    CachingEventStore, EventRecord, EventStore, EventStoreError, MemoryEventStore, SqliteEventStore,
};

/// Implements tower-mcp's trait for one of our stores. A blanket implementation is
/// not possible, because the trait is foreign.
macro_rules! implement {
    ($(#[$doc:meta])* impl [$($generics:tt)*] for $store:ty) => {
        $(#[$doc])*
        #[cfg_attr(docsrs, doc(cfg(feature = "tower-mcp")))]
        #[async_trait]
        impl<$($generics)*> theirs::EventStore for $store {
            async fn append(
                &self,
                session_id: &str,
                event: theirs::EventRecord,
            ) -> theirs::Result<()> {
                let mut record = EventRecord::new(event.id, event.data);
                record.timestamp = event.timestamp;
                Ok(EventStore::append(self, session_id, record).await?)
            }

            async fn replay_after(
                &self,
                session_id: &str,
                after_id: u64,
            ) -> theirs::Result<Vec<theirs::EventRecord>> {
                let events = EventStore::replay_after(self, session_id, after_id).await?;
                let records = events.into_iter().map(|event| {
                    let mut record = theirs::EventRecord::new(event.id, event.data);
                    record.timestamp = event.timestamp;
                    record
                });
                Ok(records.collect())
            }

            async fn purge_session(&self, session_id: &str) -> theirs::Result<()> {
                Ok(EventStore::purge_session(self, session_id).await?)
            }
        }
    };
}

implement! {
    /// For `HttpTransport::event_store`, with [`SqliteSessionStore`] for
    /// `HttpTransport::session_store`: another process can resume a session only with
    /// both.
    ///
    /// Two properties come from tower-mcp. A process that has lost a session to another
    /// process deletes it, including its events, once its own copy has been unused for
    /// the session's lifetime. So let the first process end after a hand-over. A
    /// session whose only event has the id 0 continues numbering from 0 after a
    /// restart, so the next event replaces it.
    ///
    /// [`SqliteSessionStore`]: crate::session_store::SqliteSessionStore
    impl [] for SqliteEventStore
}

implement! {
    /// For `HttpTransport::event_store`, for clients that lose their connection while
    /// the server keeps running.
    impl [] for MemoryEventStore
}

implement! {
    /// For `HttpTransport::event_store`.
    impl [Cache: EventStore, Backend: EventStore] for CachingEventStore<Cache, Backend>
}

impl From<EventStoreError> for theirs::EventStoreError {
    fn from(error: EventStoreError) -> Self {
        match error {
            EventStoreError::Encode(reason) => Self::Encode(reason),
            EventStoreError::Decode(reason) => Self::Decode(reason),
            EventStoreError::Backend(reason) => Self::Backend(reason),
        }
    }
}
