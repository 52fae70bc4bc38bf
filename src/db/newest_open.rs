//! The newest open sessions.
//!
//! Their index, `idx_sessions_active`, is by client, so the sessions of one client
//! are found by time. For all clients, the newest sessions of each one are merged.

use std::ops::Range;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::row::Lenient;

const OF_CLIENT: &str = "WHERE ended_at IS NULL AND client_name IS ?1
     AND last_seen_at >= ?2 AND last_seen_at < ?3 AND (?4 IS NULL OR +proxy = ?4)
     ORDER BY last_seen_at DESC, session_id DESC LIMIT ?5";
const FIRST_CLIENT: &str = "SELECT client_name FROM sessions
     WHERE ended_at IS NULL AND client_name IS NOT NULL ORDER BY client_name LIMIT 1";
const NEXT_CLIENT: &str = "SELECT client_name FROM sessions
     WHERE ended_at IS NULL AND client_name > ?1 ORDER BY client_name LIMIT 1";

/// Returns the newest `limit` open sessions that were last seen in a span of time,
/// newest first, of one server or of all. Those last seen at the same time are in the reverse
/// order of their ids.
///
/// `read` converts a row with these columns. A file before version 5 lacks the
/// index.
pub(crate) fn newest_open<T>(
    conn: &Connection,
    columns: &str,
    seen: Range<i64>,
    proxy: Option<&str>,
    limit: usize,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let sql = format!(
        "SELECT {columns}, last_seen_at AS newest, session_id AS newest_id
         FROM sessions {OF_CLIENT}"
    );
    let mut of_client = conn.prepare_cached(&sql)?;
    let mut first_client = conn.prepare_cached(FIRST_CLIENT)?;
    let mut next_client = conn.prepare_cached(NEXT_CLIENT)?;
    let count = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut since = seen.start;
    let mut found: Vec<((i64, String), T)> = Vec::new();
    let mut client = Some(Value::Null);
    while let Some(name) = client {
        let of = params![name, since, seen.end, proxy, count];
        for session in of_client.query_map(of, |row| Ok((place(row)?, read(row)?)))? {
            found.push(session?);
        }
        found.sort_by(|(one, _), (other, _)| other.cmp(one));
        found.truncate(limit);
        // All further sessions of this client are older.
        if let Some(((oldest, _), _)) = found.last().filter(|_| found.len() == limit) {
            since = since.max(*oldest);
        }
        client = match name {
            Value::Null => first_client.query_row([], |row| row.get(0)),
            name => next_client.query_row([name], |row| row.get(0)),
        }
        .optional()?;
    }
    Ok(found.into_iter().map(|(_, session)| session).collect())
}

/// Returns when a session was last seen, and its id.
fn place(row: &Row<'_>) -> Result<(i64, String)> {
    Ok((row.get("newest")?, Lenient::read(row.get_ref("newest_id")?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    fn file() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        conn
    }

    #[test]
    fn newest_of_all_clients_are_returned_and_ended_ones_are_not() {
        let conn = file();
        conn.execute_batch(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 60)
             INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, ended_at, client_name)
             SELECT n, iif(n % 5, 'a', 'b'), 0, n, iif(n % 7, NULL, 1),
                 CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN 'one' ELSE '' END
             FROM n",
        )
        .unwrap();
        for proxy in [None, Some("a"), Some("b")] {
            for (since, until, limit) in [(0, 99, 5), (0, 99, 99), (20, 40, 7), (0, 99, 0)] {
                let found = newest_open(&conn, "proxy", since..until, proxy, limit, |row| {
                    row.get::<_, i64>("newest")
                });
                let is_of = |n: &i64| {
                    proxy.is_none_or(|proxy| (n % 5 == 0) == (proxy == "b")) && n % 7 != 0
                };
                let open = (since.max(1)..until.min(61)).rev().filter(is_of);
                let expected: Vec<i64> = open.take(limit).collect();
                assert_eq!(
                    found.unwrap(),
                    expected,
                    "{proxy:?} {since} {until} {limit}"
                );
            }
        }
    }

    #[test]
    fn statements_seek_in_the_index() {
        let conn = file();
        let of_client = format!("SELECT session_id FROM sessions {OF_CLIENT}");
        for sql in [&of_client, FIRST_CLIENT, NEXT_CLIENT] {
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let values = vec![Value::Null; plan.parameter_count()];
            let plan = plan
                .query_map(rusqlite::params_from_iter(values), |row| {
                    row.get::<_, String>("detail")
                })
                .unwrap();
            let plan = plan.collect::<Result<Vec<_>>>().unwrap().join("; ");
            assert!(plan.contains("SEARCH sessions USING"), "{plan}");
            assert!(plan.contains("idx_sessions_active"), "{plan}");
            // It may sort sessions that were last seen at the same time.
            assert!(!plan.contains("TEMP B-TREE FOR ORDER BY"), "{plan}");
        }
    }
}
