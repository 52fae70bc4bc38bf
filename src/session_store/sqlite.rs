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
/// A change is in the file when its call returns, as with the events of
/// [`SqliteEventStore`](crate::event_store::SqliteEventStore), which tells of
/// durability and of the runtime. On an error both SDKs log a warning and go on
/// with the session, which then cannot be taken up again.
///
/// A record that has expired is removed when others are added, some with each, or
/// by the store's [`Retention`](crate::Retention) within the hour. All records
/// together take at most 64 MiB, which [`max_bytes`](Self::max_bytes) sets: each
/// client that initializes a session adds one.
///
/// Clones are handles on the same records. They keep the store open.
#[derive(Debug, Clone)]
pub struct SqliteSessionStore {
    store: Store,
    timeout: Duration,
    synchronous: Synchronous,
    default_ttl: Duration,
    max_bytes: u64,
}

impl Store {
    /// The records of sessions in this file, with the default settings.
    ///
    /// The handle is a store of sessions for tower-mcp and rmcp too, with the
    /// features of these names.
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

    /// Sets how long a record lives whose SDK gives it no end, as rmcp does;
    /// [`DEFAULT_TTL`] by default.
    pub fn with_default_ttl(mut self, ttl: Duration) -> Self {
        self.default_ttl = ttl;
        self
    }

    /// Sets how much the records take at most, in bytes of their texts and 64 for
    /// each; 64 MiB by default. Those that would expire first go first, which are
    /// the oldest where all live equally long; the session of a record that is
    /// gone cannot be taken up again. The newest one stays, whatever its size.
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
