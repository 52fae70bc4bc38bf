//! What SDKs keep of their sessions: `sdk_sessions`.

use rusqlite::params;

use super::WriteError;
use super::durable::Durable;
use super::group::count;

const CREATE: &str = "INSERT INTO sdk_sessions (session_id, sdk, data, expires_at)
     VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (session_id, sdk) DO UPDATE
         SET data = excluded.data, expires_at = excluded.expires_at
         WHERE expires_at <= ?5";
const SAVE: &str = "INSERT INTO sdk_sessions (session_id, sdk, data, expires_at)
     VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT (session_id, sdk) DO UPDATE
         SET data = excluded.data, expires_at = excluded.expires_at";
const PROLONG: &str = "UPDATE sdk_sessions SET expires_at = max(expires_at, ?3)
     WHERE session_id = ?1 AND sdk = ?2 AND expires_at > ?4";
const DELETE: &str = "DELETE FROM sdk_sessions WHERE session_id = ?1 AND sdk = ?2";
const SWEEP: &str = "DELETE FROM sdk_sessions WHERE (session_id, sdk) IN (
         SELECT session_id, sdk FROM sdk_sessions WHERE expires_at <= ?1
         ORDER BY expires_at LIMIT 8)";

const BYTES: &str = "SELECT max(session_bytes) FROM sse_totals";
const EVICT: &str = "DELETE FROM sdk_sessions WHERE (session_id, sdk) IN (
         SELECT session_id, sdk FROM sdk_sessions WHERE session_id <> ?1 OR sdk <> ?2
         ORDER BY expires_at LIMIT 1)";

pub(super) const STATEMENTS: [&str; 6] = [CREATE, SAVE, DELETE, SWEEP, BYTES, EVICT];

/// How many records one change evicts at most, when the limit was lowered.
const EVICTED_AT_ONCE: usize = 1024;

/// A session as the table holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) sdk: String,
    pub(crate) session_id: String,
    pub(crate) data: String,
    pub(crate) expires_at: i64,
    /// How many bytes all records may take once this one is added.
    pub(crate) max_bytes: u64,
}

impl Durable<'_> {
    /// Adds a session unless there is one of that id, which has not expired.
    pub(crate) fn create_session(
        &mut self,
        row: &SessionRow,
        now: i64,
    ) -> Result<bool, WriteError> {
        self.sweep(now)?;
        let SessionRow {
            sdk,
            session_id,
            data,
            expires_at,
            max_bytes,
        } = row;
        let mut create = self.tx.prepare_cached(CREATE)?;
        let created = create.execute(params![session_id, sdk, data, expires_at, now])?;
        self.evict_sessions(*max_bytes, session_id, sdk)?;
        Ok(created == 1)
    }

    /// Adds a session, in place of one of the same id.
    pub(crate) fn save_session(&mut self, row: &SessionRow, now: i64) -> Result<(), WriteError> {
        self.sweep(now)?;
        let SessionRow {
            sdk,
            session_id,
            data,
            expires_at,
            max_bytes,
        } = row;
        let mut save = self.tx.prepare_cached(SAVE)?;
        save.execute(params![session_id, sdk, data, expires_at])?;
        self.evict_sessions(*max_bytes, session_id, sdk)
    }

    /// Has a session that has not expired live as long as `row` at least; whether
    /// there is one.
    pub(crate) fn prolong_session(
        &mut self,
        row: &SessionRow,
        now: i64,
    ) -> Result<bool, WriteError> {
        let SessionRow {
            sdk,
            session_id,
            expires_at,
            ..
        } = row;
        let mut prolong = self.tx.prepare_cached(PROLONG)?;
        Ok(prolong.execute(params![session_id, sdk, expires_at, now])? == 1)
    }

    pub(crate) fn delete_session(&mut self, sdk: &str, session_id: &str) -> Result<(), WriteError> {
        let mut delete = self.tx.prepare_cached(DELETE)?;
        delete.execute([session_id, sdk])?;
        Ok(())
    }

    /// Removes those that would expire first until all take `max_bytes`, but not
    /// the one that was just added.
    fn evict_sessions(
        &self,
        max_bytes: u64,
        session_id: &str,
        sdk: &str,
    ) -> Result<(), WriteError> {
        let mut bytes = self.tx.prepare_cached(BYTES)?;
        let mut evict = self.tx.prepare_cached(EVICT)?;
        for _ in 0..EVICTED_AT_ONCE {
            let bytes: Option<i64> = bytes.query_row([], |row| row.get(0))?;
            let is_within = bytes.unwrap_or(0) <= count(max_bytes);
            if is_within || evict.execute([session_id, sdk])? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Removes some that have expired: more than one is ever added at once.
    fn sweep(&mut self, now: i64) -> Result<(), WriteError> {
        self.tx.prepare_cached(SWEEP)?.execute([now])?;
        Ok(())
    }
}
