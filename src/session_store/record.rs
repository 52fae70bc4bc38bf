use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// The state that an SDK keeps of one session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SessionRecord {
    /// The SDK that owns the session, such as `rmcp`. Each SDK has its own ids.
    pub sdk: String,
    /// The session's id.
    pub id: String,
    /// JSON that only the SDK reads.
    pub data: String,
    /// From this time on, the record is not returned.
    pub expires_at: SystemTime,
}

impl SessionRecord {
    /// Makes a record that expires after `ttl`.
    pub fn new(
        sdk: impl Into<String>,
        id: impl Into<String>,
        data: impl Into<String>,
        ttl: Duration,
    ) -> Self {
        Self {
            sdk: sdk.into(),
            id: id.into(),
            data: data.into(),
            expires_at: after(ttl),
        }
    }

    /// Returns whether the record has expired.
    pub fn is_expired(&self) -> bool {
        self.expires_at <= SystemTime::now()
    }
}

/// Shows neither the id, which is a credential, nor the data.
impl fmt::Debug for SessionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecord")
            .field("sdk", &self.sdk)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Returns the moment after `ttl`, or a century from now if the clock cannot
/// represent it.
pub(super) fn after(ttl: Duration) -> SystemTime {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let now = SystemTime::now();
    now.checked_add(ttl).unwrap_or(now + CENTURY)
}
