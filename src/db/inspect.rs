//! Inspects a file without changing it.

use std::path::Path;

use rusqlite::ffi::SQLITE_READONLY_ROLLBACK;
use rusqlite::{Connection, ErrorCode, OptionalExtension};

use super::sidecar::sidecar;
use super::{LINEAGE, SCHEMA_VERSION, brief, names, steps};
use crate::error::{OpenError, OpenErrorKind};

/// The newest version that has the same meaning in the earlier lineage.
pub(crate) const LAST_SHARED_VERSION: i64 = 4;

/// Returns the version of the tables in `conn`; 0 if there are none. Fails if they
/// are not tables of this crate.
pub(crate) fn version(conn: &Connection, path: &Path) -> Result<i64, OpenError> {
    let version = declared_version(conn, path)?;
    let unreadable = |error| sqlite(path, "its tables cannot be read", error);
    match missing(conn, version) {
        Ok(None) => match names::in_the_way(conn, version, SCHEMA_VERSION).map_err(unreadable)? {
            None => Ok(version),
            Some(found) => Err(OpenError::new(
                OpenErrorKind::MigrationFailed,
                path,
                format!(
                    "its tables are of version {version}, and version {SCHEMA_VERSION} does not \
                     go with what was added: {found}; the file is as it was"
                ),
            )),
        },
        Ok(Some(missing)) => Err(OpenError::new(
            OpenErrorKind::IncompatibleTables,
            path,
            format!(
                "it says that its tables are of version {version}, but {missing} is missing; \
                 restore it from a copy, or give another path"
            ),
        )),
        Err(error) => Err(unreadable(error)),
    }
}

/// Returns the version that `meta` names, without checking the columns; 0 if there
/// are no tables. Fails if they are not tables of this crate.
pub(crate) fn declared_version(conn: &Connection, path: &Path) -> Result<i64, OpenError> {
    let refuse = |kind, detail: String| Err(OpenError::new(kind, path, detail));
    let meta = |key: &str| -> Option<String> {
        conn.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .optional()
        .ok()
        .flatten()
    };
    let Some(version) = meta("schema_version")
        .and_then(|text| text.parse::<i64>().ok())
        .filter(|version| *version > 0)
    else {
        let tables = tables(conn).map_err(|error| sqlite(path, "it cannot be read", error))?;
        if tables.is_empty() {
            return Ok(0);
        }
        let tables = match tables.len() {
            1 => "one table".to_owned(),
            count => format!("{count} tables"),
        };
        return refuse(
            OpenErrorKind::NotAStore,
            format!(
                "it is a database with {tables} but without a readable schema_version in a \
                 table `meta`, so it belongs to something else; give another path"
            ),
        );
    };
    if version > LAST_SHARED_VERSION {
        let lineage = meta("lineage");
        if lineage.as_deref() != Some(LINEAGE) {
            return refuse(
                OpenErrorKind::ForeignLineage,
                format!(
                    "its tables are of version {version} of {}, expected `{LINEAGE}`; \
                     another program has changed it in its own way, so give another path",
                    lineage.map_or("an unnamed lineage".into(), |name| format!("`{name}`"))
                ),
            );
        }
    }
    if version > SCHEMA_VERSION {
        return refuse(
            OpenErrorKind::NewerVersion,
            format!(
                "its tables are of version {version}, this release knows versions up to \
                 {SCHEMA_VERSION}; use the newer release that wrote it, or give another path"
            ),
        );
    }
    if version == SCHEMA_VERSION {
        let found = meta(steps::FINGERPRINT);
        if found.as_deref() != Some(steps::fingerprint()) {
            return refuse(
                OpenErrorKind::IncompatibleTables,
                format!(
                    "its tables have the form that version {version} had in an unreleased build; \
                     read it with that build, and give another path to record to"
                ),
            );
        }
    }
    Ok(version)
}

fn tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    conn.prepare(
        "SELECT name FROM main.sqlite_schema
         WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?
    .query_map([], |row| row.get(0))?
    .collect()
}

/// Returns the first table, column or unique key of `version` that `conn` lacks.
/// Without its keys a table does not accept an `ON CONFLICT`.
///
/// The expected columns and keys come from the migrations.
fn missing(conn: &Connection, version: i64) -> rusqlite::Result<Option<String>> {
    let model = Connection::open_in_memory()?;
    steps::create(&model, version)?;
    for table in tables(&model)? {
        let found = columns(conn, &table)?;
        if found.is_empty() {
            return Ok(Some(format!("table `{table}`")));
        }
        for column in columns(&model, &table)? {
            if !found.iter().any(|name| name.eq_ignore_ascii_case(&column)) {
                return Ok(Some(format!("column `{column}` of table `{table}`")));
            }
        }
        let found = unique_keys(conn, &table)?;
        for key in unique_keys(&model, &table)? {
            if !found.contains(&key) {
                return Ok(Some(format!("unique key `{key}` of table `{table}`")));
            }
        }
    }
    Ok(None)
}

/// Returns the columns of each unique key of a table, in alphabetical order.
fn unique_keys(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare(
        "SELECT (SELECT group_concat(part, ', ') FROM (
             SELECT coalesce(lower(name), '(expression)')
                 || iif(coll = 'BINARY', '', ' COLLATE ' || coll) AS part
             FROM pragma_index_xinfo(list.name) WHERE \"key\" ORDER BY part))
         FROM pragma_index_list(?1) AS list WHERE list.\"unique\" AND NOT list.partial",
    )?
    .query_map([table], |row| row.get(0))?
    .collect()
}

fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare("SELECT name FROM pragma_table_info(?1)")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

/// Returns the error for a file without tables, which only recording creates.
pub(crate) fn empty(path: &Path) -> OpenError {
    let detail = "it is empty: nothing has opened it for recording yet";
    OpenError::new(OpenErrorKind::NotAStore, path, detail)
}

/// Returns the error for a missing `-wal` file, whose rows would be missing from
/// every answer.
pub(crate) fn wal_missing(path: &Path, real: &Path) -> OpenError {
    let name = |suffix| {
        let side_file = sidecar(real, suffix);
        let name = side_file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let detail = format!(
        "`{}` was removed while a program had the file open, and the newest rows are in it \
         alone; stop that program in order, which writes them into the file, or remove `{}` \
         where no program has the file open any more",
        name("-wal"),
        name("-shm"),
    );
    OpenError::new(OpenErrorKind::WalMissing, path, detail)
}

/// Returns advice about a hot journal, if that is the error.
pub(crate) fn hot_journal(error: &rusqlite::Error) -> Option<&'static str> {
    let code = error.sqlite_error().map(|error| error.extended_code);
    (code == Some(SQLITE_READONLY_ROLLBACK)).then_some(
        "a program was killed while it wrote to it, and left a journal that has to be rolled \
         back first; open it once with a program that may write to it, such as \
         `sqlite3 FILE .tables`, and keep the file that ends in `-journal` beside it until then",
    )
}

/// Converts an error of SQLite to an error of opening.
pub(crate) fn sqlite(path: &Path, what: &str, error: rusqlite::Error) -> OpenError {
    use OpenErrorKind::*;
    if let Some(detail) = hot_journal(&error) {
        return OpenError::new(HotJournal, path, detail).with_source(brief(error));
    }
    let (kind, detail) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Locked,
            "another program holds a lock on it; let that end and try again".to_owned(),
        ),
        Some(ErrorCode::NotADatabase) => (
            NotADatabase,
            "it is not an SQLite database; give another path".to_owned(),
        ),
        Some(ErrorCode::DatabaseCorrupt) => (
            Corrupt,
            "the database is damaged; restore it from a copy, or give another path".to_owned(),
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => (
            Unwritable,
            format!("{what}; check the permissions of the file and its directory"),
        ),
        _ => (Other, what.to_owned()),
    };
    OpenError::new(kind, path, detail).with_source(brief(error))
}

/// Returns whether the file itself is the cause, so that opening it in another way
/// does not help.
pub(crate) fn is_refusal(error: &OpenError) -> bool {
    use OpenErrorKind::*;
    matches!(
        error.kind(),
        NotADatabase
            | Corrupt
            | NotAStore
            | ForeignLineage
            | NewerVersion
            | IncompatibleTables
            | MigrationFailed
    )
}
