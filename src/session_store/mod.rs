//! Stores for the session state of an SDK, so that a session can be resumed after a
//! restart or in another process.
//!
//! [`SessionStore`] keeps [`SessionRecord`]s, whose content only the SDK knows.
//! Three types implement it: [`MemorySessionStore`], [`SqliteSessionStore`], and
//! [`CachingSessionStore`], which puts one before the other. With the features
//! `tower-mcp` and `rmcp` they implement the `SessionStore` traits of these SDKs
//! too.
//!
//! ```
//! use std::time::Duration;
//! use tower_mcp_store::Store;
//! use tower_mcp_store::session_store::{SessionRecord, SessionStore};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("mcp.db");
//! let store = Store::open(path)?;
//! let sessions = store.session_store();
//! let record = SessionRecord::new("my-sdk", "a session", "{}", Duration::from_secs(60));
//! // In the file when this returns.
//! sessions.save(&record).await?;
//! assert!(sessions.load("my-sdk", "a session").await?.is_some());
//! assert!(sessions.load("my-sdk", "another").await?.is_none());
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

pub use caching::CachingSessionStore;
pub use error::{Result, SessionStoreError};
pub use memory::MemorySessionStore;
pub use record::SessionRecord;
pub use sqlite::SqliteSessionStore;

pub use crate::db::Synchronous;

use std::time::Duration;

use async_trait::async_trait;

/// How long a record is kept if its SDK sets no expiry: seven days.
pub const DEFAULT_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The default limit of the records of a store, in bytes.
const DEFAULT_MAX_BYTES: u64 = 64 << 20;

/// What a record counts in addition to its texts, in bytes. The tables count the
/// same.
const RECORD_OVERHEAD: u64 = 64;

/// Keeps the records of sessions by SDK and id.
///
/// A record that has expired is never returned, and is removed later.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds the record of a new session. Returns `false` if there is a record with that
    /// id that has not expired; that record is not changed.
    ///
    /// # Errors
    ///
    /// If the record is not stored, or it is not known whether it is.
    async fn create(&self, record: &SessionRecord) -> Result<bool>;

    /// Adds a record, or replaces the record with the same id.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    async fn save(&self, record: &SessionRecord) -> Result<()>;

    /// Returns the record with that id, unless it has expired.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>>;

    /// Extends the life of the record with this SDK and id to `record.expires_at`
    /// at least. Returns `false` if there is no such record or it has expired.
    /// `record.data` is not used.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    async fn prolong(&self, record: &SessionRecord) -> Result<bool>;

    /// Removes the record with that id. An unknown id is not an error.
    ///
    /// # Errors
    ///
    /// If it is not removed, or it is not known whether it is.
    async fn delete(&self, sdk: &str, id: &str) -> Result<()>;

    /// Returns how long a record is kept if its SDK sets no expiry, like rmcp. The time
    /// counts from when the record was stored or last loaded.
    fn default_ttl(&self) -> Duration {
        DEFAULT_TTL
    }
}

/// A shared store is a store.
#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for std::sync::Arc<S> {
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        (**self).create(record).await
    }

    async fn save(&self, record: &SessionRecord) -> Result<()> {
        (**self).save(record).await
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        (**self).load(sdk, id).await
    }

    async fn prolong(&self, record: &SessionRecord) -> Result<bool> {
        (**self).prolong(record).await
    }

    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        (**self).delete(sdk, id).await
    }

    fn default_ttl(&self) -> Duration {
        (**self).default_ttl()
    }
}
