//! Connections that change nothing.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rusqlite::{Connection, OpenFlags};

use super::side_files;
use super::sidecar::sidecar;
use super::special_path;
use crate::error::{OpenError, OpenErrorKind};

/// How a read-only connection coexists with writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// For a file that no program writes. It takes no lock and makes no file. It is
    /// right only while [`at_rest`] holds and the file does not change.
    AtRest,
    /// For a file with a living writer, or one whose writer was killed. Creates the
    /// `-shm` file if it is missing, because readers and writers coordinate there.
    Shared,
    /// Like `Shared`, but does not write to the `-shm` file.
    SharedUntouched,
}

/// Opens `real` for reading.
pub(crate) fn open(real: &Path, access: Access) -> rusqlite::Result<Connection> {
    let access = match access {
        Access::AtRest => "&immutable=1",
        Access::Shared => "",
        Access::SharedUntouched => "&readonly_shm=1",
    };
    Connection::open_with_flags(
        format!("{}?mode=ro{access}", uri(real)),
        OpenFlags::SQLITE_OPEN_READ_ONLY
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

/// Returns the file that `path` leads to.
pub(crate) fn locate(path: &Path) -> Result<PathBuf, OpenError> {
    special_path::refuse(path)?;
    let real = fs::canonicalize(path).map_err(|error| {
        let (kind, detail) = match error.kind() {
            io::ErrorKind::NotFound => (OpenErrorKind::NotFound, "there is no such file"),
            _ => (OpenErrorKind::Other, "it cannot be reached"),
        };
        OpenError::new(kind, path, detail).with_source(error)
    })?;
    if real.is_file() {
        return Ok(real);
    }
    let detail = "it is no regular file; give the path of a file";
    Err(OpenError::new(OpenErrorKind::NotAFile, path, detail))
}

/// Returns whether no program has the database open for writing, or was killed while
/// it wrote: there is neither a WAL nor a journal.
pub(crate) fn at_rest(real: &Path) -> bool {
    ["-wal", "-journal"]
        .iter()
        .all(|suffix| !sidecar(real, suffix).exists())
}

/// Returns whether the WAL was removed while a program had the database open.
///
/// SQLite creates the `-wal` file before the `-shm` file and removes it after. This
/// checks twice, so that an opening or a closing at this moment does not count.
pub(crate) fn has_lost_wal(real: &Path) -> bool {
    let has = |suffix| sidecar(real, suffix).exists();
    !has("-wal") && has("-shm") && !has("-wal") && has("-shm") && !side_files::are_foreign(real)
}

/// Returns whether the side files do not belong to the file. Then no program has it
/// open for writing, even if the side files of an earlier file are still there.
pub(crate) fn is_alone(real: &Path) -> bool {
    at_rest(real) || side_files::are_foreign(real)
}

/// Returns `path` as a URI in which all characters of the file name are literal.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'_' | b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}
