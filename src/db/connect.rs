//! Connections that write, and their settings.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::{Synchronous, checkpoint};

/// How long SQLite itself waits, in milliseconds. [`retry_while_busy`](super::busy::retry_while_busy) does the
/// rest.
const BUSY_TIMEOUT_MS: i64 = 1;

/// The capacity of the statement cache: more than the writer has, so that each is
/// prepared once.
const STATEMENTS: usize = 64;

/// The page cache of the connection, in KiB: the ends of all indexes, where rows
/// are added, and more.
const CACHE_KIB: i64 = 16 << 10;

/// The size in bytes to which the WAL is cut after a reader had prevented
/// checkpoints.
const WAL_LIMIT: i64 = 32 << 20;

/// Opens the file for writing. The settings that need a file that is
/// [migrated](super::set_up) follow in [`switch_to_wal`] and [`bound`].
pub(super) fn connect(real: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        real,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise SQLite prepares a statement again whenever a bound value is compared
    // with a column without an index.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A file that step 3 refuses keeps its WAL.
    keep_wal_on_close(&conn, true)?;
    // Files of the ancestor of this crate have `CHECK (status IN (...))`. For such a list
    // SQLite would build a temporary tree with every row, which is a third of the cost of
    // the row. The type of the status guarantees the same. And a user's constraint must
    // not be able to block the migration or the writer.
    conn.pragma_update(None, "ignore_check_constraints", true)?;
    // Nor must a user's foreign key.
    conn.pragma_update(None, "foreign_keys", false)?;
    Ok(conn)
}

/// Sets whether the WAL stays when the last connection is closed, or is checkpointed
/// and removed.
pub(super) fn keep_wal_on_close(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
        .map(drop)
}

/// Switches to WAL. Returns whether that worked.
pub(super) fn switch_to_wal(conn: &Connection) -> rusqlite::Result<bool> {
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    let is_wal = mode.eq_ignore_ascii_case("wal");
    if is_wal {
        // In other journal modes a power loss could then damage the file.
        conn.pragma_update(None, "synchronous", Synchronous::Normal.as_str())?;
    }
    Ok(is_wal)
}

/// Sets limits. SQLite reads the file for this first, and may find the lock of
/// another opening.
pub(super) fn bound(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", checkpoint::STEP)?;
    conn.pragma_update(None, "journal_size_limit", WAL_LIMIT)
}
