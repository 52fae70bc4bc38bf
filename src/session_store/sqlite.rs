use std::time::Duration;

use async_trait::async_trait;

use super::{
    DEFAULT_MAX_BYTES, DEFAULT_TTL, Result, SessionRecord, SessionStore, SessionStoreError,
};
use crate::clock;
use crate::db::{Answer, Command, SessionRow, Synchronous};
use crate::store::{Store, SubmitError};

/// Keeps records in the file of a [`Store`]; from [`Store::session_store`].
///
/// A change is committed when its call returns. Durability and runtime are those of
/// [`SqliteEventStore`](crate::event_store::SqliteEventStore). On an error both
/// SDKs log a warning and continue the session, which then cannot be resumed.
///
/// Each added record removes some expired ones. The store's
/// [`Retention`](crate::Retention) removes the rest within the hour. All records
/// together take at most 64 MiB, or [`max_bytes`](Self::max_bytes), because each
/// client that initializes a session adds one.
///
/// Clones are handles to the same records. They keep the store open.
#[derive(Debug, Clone)]
#[must_use = "its setters return the changed store"]
pub struct SqliteSessionStore {
    store: Store,
    timeout: Duration,
    synchronous: Synchronous,
    default_ttl: Duration,
    max_bytes: u64,
}

impl Store {
    /// Returns a store for the session records in this file, with the default settings.
    ///
    /// With the feature `tower-mcp` or `rmcp`, the handle is also a session store of
    /// that SDK.
    pub fn session_store(&self) -> SqliteSessionStore {
        SqliteSessionStore {
            store: self.clone(),
            timeout: Duration::from_secs(5),
            synchronous: Synchronous::Normal,
            default_ttl: DEFAULT_TTL,
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }
}

impl SqliteSessionStore {
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

    /// Sets how long a record is kept if its SDK sets no expiry, like rmcp;
    /// [`DEFAULT_TTL`] by default.
    pub fn with_default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = ttl;
        self
    }

    /// Sets how many bytes the records take; 64 MiB by default. Each record counts with
    /// 64 bytes more than its texts. Those that would expire first are evicted first,
    /// which are the oldest if all have the same lifetime. The session of an evicted
    /// record cannot be resumed. The newest one stays, even if it is larger.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    fn row(&self, record: &SessionRecord) -> SessionRow {
        SessionRow {
            sdk: record.sdk.clone(),
            session_id: record.id.clone(),
            data: record.data.clone(),
            expires_at: clock::to_unix_ms(record.expires_at),
            max_bytes: self.max_bytes,
        }
    }

    async fn submit(&self, command: Command) -> Result<Answer> {
        let submitted = self.store.submit(command, self.synchronous, self.timeout);
        Ok(submitted.await?)
    }
}

#[async_trait]
impl SessionStore for SqliteSessionStore {
    async fn create(&self, record: &SessionRecord) -> Result<bool> {
        let create = Command::CreateSession(self.row(record));
        Ok(self.submit(create).await?.is_applied())
    }

    async fn save(&self, record: &SessionRecord) -> Result<()> {
        self.submit(Command::Save(self.row(record))).await?;
        Ok(())
    }

    async fn load(&self, sdk: &str, id: &str) -> Result<Option<SessionRecord>> {
        let (key, session_id) = (sdk.to_owned(), id.to_owned());
        let found = self
            .store
            .read(self.timeout, move |reader| {
                reader.session(&key, &session_id, clock::unix_ms())
            })
            .await?;
        Ok(found.map(|(data, expires_at)| SessionRecord {
            sdk: sdk.to_owned(),
            id: id.to_owned(),
            data,
            expires_at: clock::from_unix_ms(expires_at),
        }))
    }

    async fn prolong(&self, record: &SessionRecord) -> Result<bool> {
        let prolong = Command::Prolong(self.row(record));
        Ok(self.submit(prolong).await?.is_applied())
    }

    async fn delete(&self, sdk: &str, id: &str) -> Result<()> {
        let delete = Command::Delete {
            sdk: sdk.into(),
            session_id: id.into(),
        };
        self.submit(delete).await?;
        Ok(())
    }

    fn default_ttl(&self) -> Duration {
        self.default_ttl
    }
}

impl From<SubmitError> for SessionStoreError {
    fn from(error: SubmitError) -> Self {
        Self::Backend(error.to_string())
    }
}
