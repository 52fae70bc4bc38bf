//! Stores for the events of SSE streams, so that a client can resume after it lost
//! its stream or the server restarted.
//!
//! [`EventStore`] keeps [`EventRecord`]s by session. Three implement it:
//! [`MemoryEventStore`] for one process and as a cache, [`SqliteEventStore`]
//! for a file that outlives the process, and [`CachingEventStore`], which puts
//! one before the other. With the feature `tower-mcp` all three implement the
//! `EventStore` trait of tower-mcp, with `rmcp` the first two that of rmcp.
//!
//! ```
//! use tower_mcp_store::Store;
//! use tower_mcp_store::event_store::{EventRecord, EventStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("mcp.db");
//! let store = Store::open(path)?;
//! let events = store.event_store();
//! for id in 1..=3 {
//!     // In the file when this returns.
//!     events.append("a session", EventRecord::new(id, "{}")).await?;
//! }
//! let missed = events.replay_after("a session", 1).await?;
//! assert_eq!(missed.iter().map(|event| event.id).collect::<Vec<_>>(), [2, 3]);
//! # Ok(())
//! # }
//! ```

mod caching;
mod error;
mod memory;
mod record;
#[cfg(feature = "rmcp")]
mod rmcp;
mod sqlite;
#[cfg(feature = "tower-mcp")]
mod tower_mcp;

pub use caching::CachingEventStore;
pub use error::{EventStoreError, Result};
pub use memory::{DEFAULT_MAX_EVENTS_PER_SESSION, MemoryEventStore};
pub use record::EventRecord;
pub use sqlite::SqliteEventStore;

pub use crate::db::Synchronous;

use async_trait::async_trait;

/// Keeps the events of SSE streams by session.
///
/// One session's events never appear in another's replay.
#[async_trait]
pub trait EventStore: Send + Sync + 'static {
    /// Adds an event to a session. Replaces an event with the same id.
    ///
    /// # Errors
    ///
    /// If the event is not stored, or it is not known whether it is.
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()>;

    /// Returns the events of a session with ids greater than `after_id`, in the order
    /// of their ids. Returns no events for an unknown session.
    ///
    /// Evicted events are missing; [`complete_after`](Self::complete_after) says
    /// whether there are any.
    ///
    /// # Errors
    ///
    /// If the events cannot be read.
    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>>;

    /// Removes all events of a session. An unknown session is not an error.
    ///
    /// # Errors
    ///
    /// If they are not removed, or it is not known whether they are.
    async fn purge_session(&self, session_id: &str) -> Result<()>;

    /// Returns the lowest `after_id` for which [`replay_after`](Self::replay_after) is
    /// complete: it returns every later event that was ever appended to the session.
    /// `None` if that is not known: for a session without events, and for a store that
    /// does not track evictions.
    ///
    /// The store cannot know about events before the first one it holds, for example
    /// after all of them were purged or evicted. A session that begins with another id
    /// than 0 or 1 counts as complete from there on. It counts as a new session only if
    /// its ids also begin again.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    async fn complete_after(&self, session_id: &str) -> Result<Option<u64>> {
        let _ = session_id;
        Ok(None)
    }
}

/// A shared store is a store.
#[async_trait]
impl<S: EventStore + ?Sized> EventStore for std::sync::Arc<S> {
    async fn append(&self, session_id: &str, event: EventRecord) -> Result<()> {
        (**self).append(session_id, event).await
    }

    async fn replay_after(&self, session_id: &str, after_id: u64) -> Result<Vec<EventRecord>> {
        (**self).replay_after(session_id, after_id).await
    }

    async fn purge_session(&self, session_id: &str) -> Result<()> {
        (**self).purge_session(session_id).await
    }

    async fn complete_after(&self, session_id: &str) -> Result<Option<u64>> {
        (**self).complete_after(session_id).await
    }
}
