//! Creates a database where there is none.
//!
//! A database is created under a draft name and renamed when it is complete. Under
//! its final name it would be created in a rollback journal, which SQLite binds to
//! the file by name. If the file were moved at that moment, the next connection to
//! the next file of this name would apply the journal to the wrong file and roll
//! that file back.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::connect::{connect, keep_wal_on_close};
use super::file_mode::FileMode;
use super::files::Files;
use super::set_up::make_ready;
use super::sidecar::sidecar;
use super::{inspect, side_files, special_path};
use crate::error::{OpenError, OpenErrorKind};

/// The part of a draft's name after that of its database; 32 hex digits follow.
const DRAFT: &str = ".new-";
/// The database file and the side files that SQLite may make for it.
const SUFFIXES: [&str; 4] = ["", "-journal", "-wal", "-shm"];
/// The age from which on a draft counts as abandoned. Creating a database takes
/// milliseconds.
const STALE: Duration = Duration::from_secs(3600);

/// Creates the missing parts of `path`, and the file with this mode. Returns the name,
/// with links resolved, that SQLite and the side files use.
pub(super) fn create(path: &Path, mode: FileMode) -> Result<PathBuf, OpenError> {
    let failed = |error| unwritable(path, error);
    special_path::refuse(path)?;
    let absolute = std::path::absolute(path).map_err(failed)?;
    if let Some(parent) = absolute.parent().filter(|parent| !parent.exists()) {
        fs::create_dir_all(parent).map_err(failed)?;
        // Logged, because the path may be mistyped.
        tracing::info!(directory = %parent.display(), "created the directory of the store");
    }
    remove_stale_drafts(&absolute, SystemTime::now());
    if !exists(&absolute).map_err(failed)? {
        let draft = Draft::at(&absolute, mode).map_err(failed)?;
        draft.build(path)?;
        draft.publish(&absolute, mode).map_err(failed)?;
    }
    let real = fs::canonicalize(&absolute).map_err(failed)?;
    if !real.is_file() {
        let found = if real.is_dir() {
            "a directory"
        } else {
            "no regular file"
        };
        let detail = format!("it is {found}; give the path of a file");
        return Err(OpenError::new(OpenErrorKind::NotAFile, path, detail));
    }
    Ok(real)
}

pub(super) fn unwritable(path: &Path, error: io::Error) -> OpenError {
    let detail = "the file cannot be created or reached; check its directory";
    OpenError::new(OpenErrorKind::Unwritable, path, detail).with_source(error)
}

/// Returns whether anything has that name, even a dangling link.
fn exists(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn create_empty(path: &Path, mode: FileMode) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    mode.apply(&mut options);
    options.open(path).map(drop)
}

/// A database that does not have its final name yet. Its file is removed on drop.
struct Draft(PathBuf);

impl Draft {
    fn at(path: &Path, mode: FileMode) -> io::Result<Self> {
        let draft = sidecar(path, &format!("{DRAFT}{}", Uuid::new_v4().simple()));
        create_empty(&draft, mode)?;
        Ok(Self(draft))
    }

    fn build(&self, path: &Path) -> Result<(), OpenError> {
        let failed = |error| inspect::sqlite(path, "it cannot be created", error);
        let files = Files::at(&self.0).map_err(|error| unwritable(path, error))?;
        let conn = connect(&self.0).map_err(failed)?;
        make_ready(&conn, path, &self.0, files)?;
        keep_wal_on_close(&conn, false).map_err(failed)?;
        conn.close().map_err(|(_, error)| failed(error))
    }

    /// Gives it its final name, unless another file has that name by now.
    fn publish(&self, path: &Path, mode: FileMode) -> io::Result<()> {
        let directory = fs::canonicalize(path.parent().unwrap_or(path))?;
        let real = directory.join(path.file_name().unwrap_or_default());
        // A WAL at that name belongs to another file.
        let _guard = side_files::set_foreign_aside(&real)?;
        match fs::hard_link(&self.0, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Not every file system has hard links.
            Err(_) => match create_empty(path, mode) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            },
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for suffix in SUFFIXES {
            // A file that does not exist need not be removed.
            let _ = fs::remove_file(sidecar(&self.0, suffix));
        }
    }
}

/// Removes drafts of `path` that a killed process left, or whose directory was
/// renamed in the meantime. A draft that cannot be removed stays: it only takes
/// space.
fn remove_stale_drafts(path: &Path, now: SystemTime) {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_stale = || {
            let made = entry
                .metadata()
                .and_then(|file| file.created().or(file.modified()));
            made.is_ok_and(|made| now.duration_since(made).is_ok_and(|age| age > STALE))
        };
        if is_draft(name, &entry.file_name()) && is_stale() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns whether `name` is a draft of `database`, or a side file of one.
fn is_draft(database: &OsStr, name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    let Some(rest) = bytes
        .strip_prefix(database.as_encoded_bytes())
        .and_then(|rest| rest.strip_prefix(DRAFT.as_bytes()))
    else {
        return false;
    };
    rest.split_at_checked(32).is_some_and(|(id, suffix)| {
        id.iter().all(u8::is_ascii_hexdigit)
            && SUFFIXES.iter().any(|side| side.as_bytes() == suffix)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::OsString;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn old_drafts_are_removed_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let draft = |suffix: &str| format!("mcp.db.new-{ID}{suffix}");
        let left = SUFFIXES.map(draft);
        let kept = [
            "mcp.db".to_owned(),
            "mcp.db-wal".to_owned(),
            "mcp.db.new-copy".to_owned(),
            draft(".bak"),
            format!("other.db.new-{ID}"),
        ];
        for name in left.iter().chain(&kept) {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let path = folder.path().join("mcp.db");
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name())
                .collect::<BTreeSet<_>>()
        };
        let all = names();

        // Another process may be creating one now.
        remove_stale_drafts(&path, SystemTime::now());
        assert_eq!(names(), all);

        remove_stale_drafts(&path, SystemTime::now() + 2 * STALE);
        assert_eq!(names(), kept.iter().map(OsString::from).collect());
    }
}
