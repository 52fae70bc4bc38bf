//! The session stores as rmcp session stores.

use async_trait::async_trait;
use rmcp::transport::streamable_http_server::session as theirs;

use super::record::after;
use super::{
    CachingSessionStore, MemorySessionStore, SessionRecord, SessionStore, SessionStoreError,
    SqliteSessionStore,
};

const SDK: &str = "rmcp";

/// Implements rmcp's trait for one of our stores. A blanket implementation is not
/// possible, because the trait is foreign.
macro_rules! implement {
    (impl [$($generics:tt)*] for $store:ty) => {
        /// For the `session_store` of `StreamableHttpServerConfig`.
        ///
        /// rmcp sets no expiry for its sessions. A record is kept for
        /// [`default_ttl`](SessionStore::default_ttl) after it was stored or last loaded.
        #[cfg_attr(docsrs, doc(cfg(feature = "rmcp")))]
        #[async_trait]
        impl<$($generics)*> theirs::SessionStore for $store {
            async fn load(
                &self,
                session_id: &str,
            ) -> Result<Option<theirs::SessionState>, theirs::SessionStoreError> {
                load(self, session_id).await
            }

            async fn store(
                &self,
                session_id: &str,
                state: &theirs::SessionState,
            ) -> Result<(), theirs::SessionStoreError> {
                let data = serde_json::to_string(state)
                    .map_err(|error| SessionStoreError::Encode(error.to_string()))?;
                let ttl = SessionStore::default_ttl(self);
                let record = SessionRecord::new(SDK, session_id, data, ttl);
                Ok(SessionStore::save(self, &record).await?)
            }

            async fn delete(&self, session_id: &str) -> Result<(), theirs::SessionStoreError> {
                Ok(SessionStore::delete(self, SDK, session_id).await?)
            }
        }
    };
}

implement!(impl [] for SqliteSessionStore);
implement!(impl [] for MemorySessionStore);
implement!(impl [Cache: SessionStore, Backend: SessionStore] for CachingSessionStore<Cache, Backend>);

async fn load(
    store: &impl SessionStore,
    session_id: &str,
) -> Result<Option<theirs::SessionState>, theirs::SessionStoreError> {
    let Some(mut record) = store.load(SDK, session_id).await? else {
        return Ok(None);
    };
    // The error's own text is not used, because it may quote the record.
    let state = serde_json::from_str(&record.data).map_err(|_| {
        SessionStoreError::Decode(String::from("the data is no session state of rmcp's"))
    })?;
    record.expires_at = after(store.default_ttl());
    match store.prolong(&record).await {
        Ok(true) => Ok(Some(state)),
        // The record was deleted after it was read.
        Ok(false) => Ok(None),
        // The session continues nevertheless, until the record expires.
        Err(error) => {
            tracing::warn!(%error, "a session could not be prolonged");
            Ok(Some(state))
        }
    }
}
