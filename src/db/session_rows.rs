//! The session state of SDKs: `sdk_sessions`.

use rusqlite::{Connection, Result, params};

use super::bind::count;

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

/// The most records that one change evicts, after the limit was lowered.
const EVICTED_AT_ONCE: usize = 1024;

/// A session as it is stored in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) sdk: String,
    pub(crate) session_id: String,
    pub(crate) data: String,
    pub(crate) expires_at: i64,
    /// How many bytes all records may take once this one is added.
    pub(crate) max_bytes: u64,
}

/// Adds a session, unless there is one with that id that has not expired. Returns
/// whether it did.
pub(super) fn create(conn: &Connection, row: &SessionRow, now: i64) -> Result<bool> {
    sweep(conn, now)?;
    let SessionRow {
        sdk,
        session_id,
        data,
        expires_at,
        max_bytes,
    } = row;
    let mut create = conn.prepare_cached(CREATE)?;
    let created = create.execute(params![session_id, sdk, data, expires_at, now])?;
    evict(conn, *max_bytes, session_id, sdk)?;
    Ok(created == 1)
}

/// Adds a session, or replaces the one with the same id.
pub(super) fn save(conn: &Connection, row: &SessionRow, now: i64) -> Result<()> {
    sweep(conn, now)?;
    let SessionRow {
        sdk,
        session_id,
        data,
        expires_at,
        max_bytes,
    } = row;
    let mut save = conn.prepare_cached(SAVE)?;
    save.execute(params![session_id, sdk, data, expires_at])?;
    evict(conn, *max_bytes, session_id, sdk)
}

/// Extends the life of a session that has not expired to that in `row`. Returns
/// whether there is one.
pub(super) fn prolong(conn: &Connection, row: &SessionRow, now: i64) -> Result<bool> {
    let SessionRow {
        sdk,
        session_id,
        expires_at,
        ..
    } = row;
    let mut prolong = conn.prepare_cached(PROLONG)?;
    Ok(prolong.execute(params![session_id, sdk, expires_at, now])? == 1)
}

/// Removes a session.
pub(super) fn delete(conn: &Connection, sdk: &str, session_id: &str) -> Result<()> {
    let mut delete = conn.prepare_cached(DELETE)?;
    delete.execute([session_id, sdk]).map(drop)
}

/// Removes the sessions that would expire first, until all take `max_bytes`. The
/// named one, which was just added, stays.
fn evict(conn: &Connection, max_bytes: u64, session_id: &str, sdk: &str) -> Result<()> {
    let mut bytes = conn.prepare_cached(BYTES)?;
    let mut evict = conn.prepare_cached(EVICT)?;
    for _ in 0..EVICTED_AT_ONCE {
        let bytes: Option<i64> = bytes.query_row([], |row| row.get(0))?;
        let is_within = bytes.unwrap_or(0) <= count(max_bytes);
        if is_within || evict.execute([session_id, sdk])? == 0 {
            break;
        }
    }
    Ok(())
}

/// Removes some sessions that have expired: more than are ever added at once.
fn sweep(conn: &Connection, now: i64) -> Result<()> {
    conn.prepare_cached(SWEEP)?.execute([now]).map(drop)
}
