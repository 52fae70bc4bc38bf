//! One connection to the file of a reader.

use std::path::Path;
use std::time::SystemTime;
use std::{fs, io};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::older;
use crate::db::read_only::{self, Access};
use crate::db::{Files, Registration, inspect};
use crate::error::{OpenError, OpenErrorKind};

/// The cache of a connection, in KiB.
const CACHE_KIB: i64 = 16 << 10;

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) conn: Connection,
    _registration: Option<Registration>,
    pub(super) version: i64,
    access: Access,
    /// What the file looked like when it was opened.
    stamp: Stamp,
    /// How many other files had stood at the path when it was opened.
    pub(super) replaced: u64,
}

/// What shows that a file was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: SystemTime,
    files: Files,
}

/// How often to connect again if the file is replaced during opening.
const ATTEMPTS: usize = 5;

impl Link {
    /// Returns the files that are open.
    pub(super) fn files(&self) -> Files {
        self.stamp.files
    }

    /// Connects. It tries again if the file is replaced meanwhile.
    pub(super) fn new(path: &Path, real: &Path, oldest: i64) -> Result<Self, OpenError> {
        for _ in 0..ATTEMPTS {
            if let Some(link) = Self::attempt(path, real, oldest)? {
                return Ok(link);
            }
        }
        let detail = "it was moved, removed or replaced while it was being opened; try again";
        Err(OpenError::new(OpenErrorKind::Displaced, path, detail))
    }

    fn attempt(path: &Path, real: &Path, oldest: i64) -> Result<Option<Self>, OpenError> {
        let unreadable = |error| inspect::sqlite(path, "it cannot be read", error);
        let unreachable = |error| {
            OpenError::new(OpenErrorKind::Other, path, "it cannot be reached").with_source(error)
        };
        let stamp = Stamp::of(real).map_err(unreachable)?;
        if read_only::has_lost_wal(real) {
            return Err(inspect::wal_missing(path, real));
        }
        let access = match read_only::is_alone(real) {
            true => Access::AtRest,
            false => Access::Shared,
        };
        if access == Access::Shared && stamp.files.open_otherwise() {
            let detail = "it was moved and came back, and this process has it open from before; \
                          use the other stores and readers of it once, or drop them";
            return Err(OpenError::new(OpenErrorKind::Other, path, detail));
        }
        let conn = read_only::open(real, access).map_err(unreadable)?;
        conn.pragma_update(None, "cache_size", -CACHE_KIB)
            .map_err(unreadable)?;
        // Without this, SQLite plans a statement again for each value that is bound, even
        // for a LIMIT.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(unreadable)?;
        // The columns are not checked: that would take longer than most answers. A question
        // fails if one is missing.
        let version = inspect::declared_version(&conn, path)?;
        if version == 0 {
            return Err(inspect::empty(path));
        }
        if version < oldest {
            let detail = format!(
                "its tables are of version {version}; open it for recording once, \
                 which brings them up to date"
            );
            return Err(OpenError::new(OpenErrorKind::OlderVersion, path, detail));
        }
        if version == inspect::LAST_SHARED_VERSION {
            older::add_views(&conn, version).map_err(unreadable)?;
        }
        // By now SQLite has opened the side files.
        let files = Files::at(real).map_err(unreachable)?;
        if !stamp.files.are_in(files) {
            return Ok(None);
        }
        let registration = match access {
            Access::AtRest => None,
            Access::Shared | Access::SharedUntouched => Registration::of(files),
        };
        Ok(Some(Self {
            conn,
            _registration: registration,
            version,
            access,
            stamp: Stamp { files, ..stamp },
            replaced: 0,
        }))
    }

    /// Returns whether this connection sees everything that happened to the file.
    pub(super) fn is_current(&self, real: &Path) -> bool {
        let now = Stamp::of(real);
        match self.access {
            Access::AtRest => {
                read_only::is_alone(real)
                    && !read_only::has_lost_wal(real)
                    && now.is_ok_and(|now| now == self.stamp)
            }
            // SQLite's locking shows every change, but not that other files have taken
            // the place of these. A file that has lost both side files is no longer
            // written by the programs that shared them with this connection.
            Access::Shared | Access::SharedUntouched => now.map_or(true, |now| {
                let is_left = now.files.wal.is_none() && now.files.shm.is_none();
                now.length == 0 || !is_left && now.files.are_in(self.stamp.files)
            }),
        }
    }
}

impl Stamp {
    fn of(real: &Path) -> io::Result<Self> {
        let file = fs::metadata(real)?;
        Ok(Self {
            length: file.len(),
            modified: file.modified()?,
            files: Files::at(real)?,
        })
    }
}
