//! The sessions that were open in a file when it was opened.
//!
//! A session outlives the process that records it: behind a proxy, or with a
//! session store. The facts that its later requests and its end need are read once.
//! Afterwards nothing changes except that sessions end.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::{Connection, Result};

use super::newest_open::newest_open;
use super::session_ids::SessionIds;

/// The most sessions that are read, those that were seen last.
const MOST: usize = 10_000;

/// Open sessions by their ids.
pub(crate) struct OpenSessions {
    session_ids: SessionIds,
    /// By their ids as stored in the file.
    sessions: HashMap<Box<str>, OpenSession>,
}

/// An open session.
#[derive(Debug)]
pub(crate) struct OpenSession {
    proxy: Box<str>,
    /// The negotiated revision.
    pub(crate) protocol_version: Option<Box<str>>,
    pub(crate) client_name: Option<Box<str>>,
    pub(crate) client_version: Option<Box<str>>,
    is_over: AtomicBool,
}

impl OpenSessions {
    pub(super) fn read(conn: &Connection, session_ids: &SessionIds) -> Result<Self> {
        let columns = "session_id, proxy, protocol_version, source = 'header', client_name, \
            client_version";
        let ever = i64::MIN..i64::MAX;
        let newest = newest_open(conn, columns, ever, None, MOST, |row| {
            let session = OpenSession {
                proxy: row.get(1)?,
                protocol_version: row.get(2)?,
                client_name: row.get(4)?,
                client_version: row.get(5)?,
                is_over: AtomicBool::new(false),
            };
            // A client cannot name a derived session, and a session of the 2024-11-05 transport
            // ended with its GET stream. They count towards `MOST`, so that the time is
            // bounded, too.
            let is_named: bool = row.get(3)?;
            Ok(is_named.then_some((row.get(0)?, session)))
        })?;
        Ok(Self {
            session_ids: session_ids.clone(),
            sessions: newest.into_iter().flatten().collect(),
        })
    }

    /// Returns the session with this id, in the client's form, if it began at that
    /// server and has not ended since.
    pub(crate) fn find(&self, id: &str, proxy: &str) -> Option<&OpenSession> {
        // This avoids hashing an id for nothing.
        if self.sessions.is_empty() {
            return None;
        }
        let session = self.sessions.get(&*self.session_ids.stored(id))?;
        let is_open = *session.proxy == *proxy && !session.is_over.load(Ordering::Relaxed);
        is_open.then_some(session)
    }
}

impl OpenSession {
    /// Ends the session, so that it is not found any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for OpenSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSessions")
            .field("sessions", &self.sessions.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    fn file(sessions: i64) -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        conn.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
             INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, protocol_version)
             SELECT 's-' || n, 'default', 0, n, '2025-11-25' FROM n",
            [sessions],
        )
        .unwrap();
        conn
    }

    fn read(conn: &Connection) -> OpenSessions {
        OpenSessions::read(conn, &SessionIds::Plain).unwrap()
    }

    #[test]
    fn newest_of_many_open_sessions_are_read() {
        let found = read(&file(MOST as i64 + 50));
        assert_eq!(found.sessions.len(), MOST);
        assert!(found.find("s-50", "default").is_none());
        let oldest = found.find("s-51", "default").unwrap();
        assert_eq!(oldest.protocol_version.as_deref(), Some("2025-11-25"));
    }

    #[test]
    fn session_that_no_header_can_name_is_not_read() {
        let conn = file(5);
        conn.execute_batch(
            "UPDATE sessions SET ended_at = 9 WHERE session_id = 's-1';
             UPDATE sessions SET source = 'derived' WHERE session_id = 's-2';
             UPDATE sessions SET source = 'query' WHERE session_id = 's-3';",
        )
        .unwrap();
        let found = read(&conn);
        let open = |id: i64| found.find(&format!("s-{id}"), "default").is_some();
        let open: Vec<i64> = (1..=5).filter(|id| open(*id)).collect();
        assert_eq!(open, [4, 5]);
        assert!(found.find("s-4", "elsewhere").is_none());
        found.find("s-4", "default").unwrap().end();
        assert!(found.find("s-4", "default").is_none());
    }
}
