//! Makes a file ready to be written to: migrates its tables in one transaction, and
//! switches it to WAL.

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::busy::{OPEN_PATIENCE, is_busy, retry_while_busy};
use super::connect::{bound, switch_to_wal};
use super::files::Files;
use super::{LINEAGE, SCHEMA_VERSION, brief, inherited, inspect, meta, migrate, steps};
use crate::clock;
use crate::error::{OpenError, OpenErrorKind};

/// Sets the file up, and then the connection. Returns whether the file has a WAL.
pub(super) fn make_ready(
    conn: &Connection,
    path: &Path,
    real: &Path,
    files: Files,
) -> Result<bool, OpenError> {
    let set_up = || set_up(conn, path, real, files);
    retry_while_busy(OPEN_PATIENCE, is_locked, set_up)?;
    let settings = || switch_to_wal(conn).and_then(|is_wal| bound(conn).map(|()| is_wal));
    retry_while_busy(OPEN_PATIENCE, is_busy, settings)
        .map_err(|error| inspect::sqlite(path, "it cannot be opened for writing", error))
}

fn is_locked(error: &OpenError) -> bool {
    error.kind() == OpenErrorKind::Locked
}

/// Inspects and migrates the file. `files` are those at the names before the connection
/// was opened.
fn set_up(conn: &Connection, path: &Path, real: &Path, files: Files) -> Result<(), OpenError> {
    let failed = |error| inspect::sqlite(path, "it cannot be written", error);

    let pages: i64 = conn
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .map_err(failed)?;
    if pages == 0 {
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")
            .map_err(failed)?;
    }

    // The migration runs in the current journal mode. The switch to WAL cannot be part
    // of a transaction, so it follows.
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate).map_err(failed)?;
    if !Files::at(real).is_ok_and(|now| files.are_in(now) && now.are_whole()) {
        return Err(replaced(path));
    }
    let found = inspect::version(&tx, path)?;
    migrate::migrate(&tx, found, SCHEMA_VERSION).map_err(|error| {
        if found == 0 {
            return failed(error);
        }
        let detail = format!(
            "its tables could not be brought from version {found} to {SCHEMA_VERSION}; \
             the file is as it was"
        );
        OpenError::new(OpenErrorKind::MigrationFailed, path, detail).with_source(brief(error))
    })?;
    let inherit = || match found {
        1..=inspect::LAST_SHARED_VERSION => inherited::inherit(&tx),
        _ => Ok(()),
    };
    write_meta(&tx)
        .and_then(|()| inherit())
        .and_then(|()| tx.commit())
        .map_err(failed)
}

fn write_meta(conn: &Connection) -> rusqlite::Result<()> {
    for (key, value) in [
        ("created_at", clock::unix_ms().to_string()),
        ("store_id", Uuid::now_v7().to_string()),
    ] {
        meta::set_once(conn, key, &value)?;
    }
    for (key, value) in [
        ("schema_version", SCHEMA_VERSION.to_string().as_str()),
        ("writer_version", env!("CARGO_PKG_VERSION")),
        ("lineage", LINEAGE),
        (steps::FINGERPRINT, steps::fingerprint()),
    ] {
        meta::set(conn, key, value)?;
    }
    Ok(())
}

/// Returns the error for names that lead to other files than before. Opening the file
/// again may succeed.
pub(super) fn replaced(path: &Path) -> OpenError {
    let detail = "it was moved, removed or replaced while it was being opened; try again";
    OpenError::new(OpenErrorKind::Displaced, path, detail)
}
