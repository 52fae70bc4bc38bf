//! The session stores as tower-mcp session stores.

use async_trait::async_trait;
use tower_mcp::session_store as theirs;
use uuid::Uuid;

use super::{
    CachingSessionStore, MemorySessionStore, SessionRecord, SessionStore, SessionStoreError,
    SqliteSessionStore,
};

const SDK: &str = "tower-mcp";

/// Implements tower-mcp's trait for one of our stores. A blanket implementation is
/// not possible, because the trait is foreign.
macro_rules! implement {
    ($(#[$doc:meta])* impl [$($generics:tt)*] for $store:ty) => {
        $(#[$doc])*
        #[cfg_attr(docsrs, doc(cfg(feature = "tower-mcp")))]
        #[async_trait]
        impl<$($generics)*> theirs::SessionStore for $store {
            async fn create(&self, record: &mut theirs::SessionRecord) -> theirs::Result<()> {
                while !SessionStore::create(self, &encode(record)?).await? {
                    record.id = Uuid::new_v4().to_string();
                }
                Ok(())
            }

            async fn save(&self, record: &theirs::SessionRecord) -> theirs::Result<()> {
                Ok(SessionStore::save(self, &encode(record)?).await?)
            }

            async fn load(&self, id: &str) -> theirs::Result<Option<theirs::SessionRecord>> {
                let record = SessionStore::load(self, SDK, id).await?;
                record.as_ref().map(decode).transpose()
            }

            async fn delete(&self, id: &str) -> theirs::Result<()> {
                Ok(SessionStore::delete(self, SDK, id).await?)
            }
        }
    };
}

implement! {
    /// For `HttpTransport::session_store`.
    ///
    /// tower-mcp saves the record with each request that names its session, and
    /// waits for it: while another program locks the file, requests take up to
    /// [`timeout`](SqliteSessionStore::timeout) longer.
    impl [] for SqliteSessionStore
}

implement! {
    /// For `HttpTransport::session_store`.
    impl [] for MemorySessionStore
}

implement! {
    /// For `HttpTransport::session_store`.
    impl [Cache: SessionStore, Backend: SessionStore] for CachingSessionStore<Cache, Backend>
}

fn encode(record: &theirs::SessionRecord) -> theirs::Result<SessionRecord> {
    let data = serde_json::to_string(record)
        .map_err(|error| theirs::SessionStoreError::Encode(error.to_string()))?;
    Ok(SessionRecord {
        sdk: SDK.to_owned(),
        id: record.id.clone(),
        data,
        expires_at: record.expires_at,
    })
}

fn decode(record: &SessionRecord) -> theirs::Result<theirs::SessionRecord> {
    // The error's own text is not used, because it may quote the record.
    serde_json::from_str(&record.data).map_err(|_| {
        theirs::SessionStoreError::Decode(String::from("the data is no record of tower-mcp's"))
    })
}

impl From<SessionStoreError> for theirs::SessionStoreError {
    fn from(error: SessionStoreError) -> Self {
        match error {
            SessionStoreError::Encode(reason) => Self::Encode(reason),
            SessionStoreError::Decode(reason) => Self::Decode(reason),
            SessionStoreError::Backend(reason) => Self::Backend(reason),
        }
    }
}
