//! The runs of writers: the rows of `writers`.
//!
//! A run holds its accounts as of its last commit, so that a reader of the file
//! needs no process to ask; what it wrote to a file that was removed or moved
//! away is among them. It has no end while its writer lives; one that has
//! neither an end nor a living writer was killed.

use rusqlite::{Connection, Result, params};

use super::group::count;
use crate::clock;

/// What became of everything that one writer was given. What is none of
/// written, failed and dropped was queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accounts {
    /// No event given before this moment is queued; unix milliseconds.
    pub(crate) as_of: i64,
    pub(crate) submitted: u64,
    pub(crate) written: u64,
    pub(crate) failed: u64,
    pub(crate) dropped: u64,
    pub(crate) truncated: u64,
    pub(crate) unidentified: u64,
    pub(crate) mismatched: u64,
    pub(crate) in_flight: u64,
}

/// Enters a run, or takes one up again whose writer opens its file once more.
/// While it had let go of the file, another writer may have taken it for killed.
pub(super) fn begin(conn: &Connection, id: &str) -> Result<()> {
    conn.execute(
        "DELETE FROM losses WHERE reason = 'unclean_shutdown' AND from_ts =
            (SELECT seen_at FROM writers WHERE id = ?1 AND ended_at IS NOT NULL)",
        [id],
    )?;
    conn.execute(
        "INSERT INTO writers (id, started_at, seen_at) VALUES (?1, ?2, ?2)
         ON CONFLICT (id) DO UPDATE SET ended_at = NULL",
        params![id, clock::unix_ms()],
    )
    .map(drop)
}

/// Brings the accounts of a run that goes on to what they are with this commit.
pub(super) fn go_on(conn: &Connection, id: &str, accounts: &Accounts) -> Result<()> {
    write(conn, id, accounts, false)
}

/// The same for a run that ends in order.
pub(super) fn end(conn: &Connection, id: &str, accounts: &Accounts) -> Result<()> {
    write(conn, id, accounts, true)
}

fn write(conn: &Connection, id: &str, accounts: &Accounts, ends: bool) -> Result<()> {
    conn.prepare_cached(
        "UPDATE writers SET seen_at = ?2, ended_at = iif(?3, ?2, NULL),
             submitted = ?4, written = ?5, failed = ?6, dropped = ?7,
             truncated = ?8, unidentified = ?9, mismatched = ?10, in_flight = ?11
         WHERE id = ?1",
    )?
    .execute(params![
        id,
        accounts.as_of,
        ends,
        count(accounts.submitted),
        count(accounts.written),
        count(accounts.failed),
        count(accounts.dropped),
        count(accounts.truncated),
        count(accounts.unidentified),
        count(accounts.mismatched),
        count(accounts.in_flight),
    ])
    .map(drop)
}

/// Ends every run but `own`, whose writers were killed, at their last accounts, and tells of it in
/// `losses`: what it had not committed is missing, how much nobody knows.
pub(super) fn end_killed(conn: &Connection, own: &str) -> Result<()> {
    // The clock may have been set back since.
    conn.execute(
        "INSERT INTO losses (from_ts, to_ts, dropped, reason)
         SELECT seen_at, max(seen_at, ?2), NULL, 'unclean_shutdown' FROM writers
         WHERE ended_at IS NULL AND id <> ?1",
        params![own, clock::unix_ms()],
    )?;
    conn.execute(
        "UPDATE writers SET ended_at = seen_at WHERE ended_at IS NULL AND id <> ?1",
        [own],
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    #[test]
    fn a_run_that_was_taken_for_killed_is_not_told_as_such_once_it_goes_on() {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        for run in ["alive", "killed"] {
            begin(&conn, run).unwrap();
        }
        let seen = "UPDATE writers SET seen_at = ?2 WHERE id = ?1";
        conn.execute(seen, ("alive", 1)).unwrap();
        conn.execute(seen, ("killed", 2)).unwrap();
        end_killed(&conn, "another").unwrap();
        let losses = || {
            let mut losses = conn
                .prepare("SELECT from_ts FROM losses ORDER BY 1")
                .unwrap();
            let losses = losses.query_map([], |row| row.get(0)).unwrap();
            losses.collect::<Result<Vec<i64>>>().unwrap()
        };
        assert_eq!(losses(), [1, 2]);
        begin(&conn, "alive").unwrap();
        assert_eq!(losses(), [2]);
        let alive = "SELECT id FROM writers WHERE ended_at IS NULL";
        let alive: String = conn.query_row(alive, [], |row| row.get(0)).unwrap();
        assert_eq!(alive, "alive");
    }
}
