//! The store as rmcp's.

use async_trait::async_trait;
use rmcp::transport::streamable_http_server::session as theirs;

use super::record::after;
use super::{SessionRecord, SessionStore, SessionStoreError, SqliteSessionStore};

const SDK: &str = "rmcp";

/// For the `session_store` of `StreamableHttpServerConfig`.
#[cfg_attr(docsrs, doc(cfg(feature = "rmcp")))]
#[async_trait]
impl theirs::SessionStore for SqliteSessionStore {
    async fn load(
        &self,
        session_id: &str,
    ) -> Result<Option<theirs::SessionState>, theirs::SessionStoreError> {
        let Some(mut record) = SessionStore::load(self, SDK, session_id).await? else {
            return Ok(None);
        };
        // Not the error's own text, which may quote the record.
        let state = serde_json::from_str(&record.data).map_err(|_| {
            SessionStoreError::Decode(String::from("the data is no session state of rmcp's"))
        })?;
        record.expires_at = after(self.rmcp_ttl);
        match self.prolong(&record).await {
            Ok(true) => Ok(Some(state)),
            // It was deleted since it was read.
            Ok(false) => Ok(None),
            // The session goes on nevertheless, for as long as it had left.
            Err(error) => {
                tracing::warn!(%error, "a session could not be prolonged");
                Ok(Some(state))
            }
        }
    }

    async fn store(
        &self,
        session_id: &str,
        state: &theirs::SessionState,
    ) -> Result<(), theirs::SessionStoreError> {
        let data = serde_json::to_string(state)
            .map_err(|error| SessionStoreError::Encode(error.to_string()))?;
        let record = SessionRecord::new(SDK, session_id, data, self.rmcp_ttl);
        Ok(SessionStore::save(self, &record).await?)
    }

    async fn delete(&self, session_id: &str) -> Result<(), theirs::SessionStoreError> {
        Ok(SessionStore::delete(self, SDK, session_id).await?)
    }
}
