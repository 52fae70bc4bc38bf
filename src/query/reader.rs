//! The connection that everything here asks through.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::older;
use crate::db::read_only::{self, Access};
use crate::db::session_ids::SessionIds;
use crate::db::{Files, Registration, brief, inspect};
use crate::error::{OpenError, OpenErrorKind, QueryError};

/// How many pages of the file a connection holds, in KiB.
const CACHE_KIB: i64 = 16 << 10;

/// A file that is read, and never created, written to or migrated.
///
/// It may be read while it is written, by this process or another, and after
/// its writer was killed. Each answer is of one moment. A file that nobody
/// writes to is read without leaving a trace; beside a writer, SQLite keeps its
/// `-shm` file.
///
/// Files of version 4 are read as well. What they do not have is `None`, also for
/// [`sql`](Self::sql). Some questions take longer there for want of an index.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// With links resolved, as the writer names it.
    real: PathBuf,
    /// The oldest version that is read.
    oldest: i64,
    link: RefCell<Link>,
}

#[derive(Debug)]
struct Link {
    conn: Connection,
    _registration: Option<Registration>,
    version: i64,
    access: Access,
    /// What the file looked like when it was opened.
    stamp: Stamp,
    /// How many other files have stood at the path since the first.
    replaced: u64,
}

/// By what a file shows that it was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: SystemTime,
    files: Files,
}

/// How often to connect again because the file is replaced meanwhile.
const ATTEMPTS: usize = 5;

impl Reader {
    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// There is no file, or it is none of a version from 4 on that this release knows.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::of_version(path.as_ref(), inspect::LAST_SHARED_VERSION)
    }

    /// As [`open`](Self::open), for questions that versions from `oldest` on answer.
    pub(crate) fn of_version(path: &Path, oldest: i64) -> Result<Self, OpenError> {
        let real = read_only::locate(path)?;
        let link = Link::new(path, &real, oldest)?;
        Ok(Self {
            path: path.to_owned(),
            real,
            oldest,
            link: RefCell::new(link),
        })
    }

    /// The path as it was given to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn real(&self) -> &Path {
        &self.real
    }

    /// The version of the file's tables: 4, or [`SCHEMA_VERSION`](crate::SCHEMA_VERSION).
    pub fn version(&self) -> i64 {
        self.link.borrow().version
    }

    /// Asks one question, whose statements all see the same moment.
    pub(crate) fn read<T>(
        &self,
        ask: impl Fn(&Source<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, QueryError> {
        loop {
            {
                let link = self.link.borrow();
                let source = Source {
                    conn: &link.conn,
                    version: link.version,
                    replaced: link.replaced,
                };
                let answer = link
                    .conn
                    .unchecked_transaction()
                    .and_then(|_moment| ask(&source));
                // Otherwise a writer has changed what was being read, before
                // or meanwhile, and the answer is worth nothing.
                if link.is_current(&self.real) {
                    return answer.map_err(|error| self.failed(error));
                }
            }
            self.relink()?;
        }
    }

    /// Asks a statement of somebody else's once; tells whether the answer can be relied on,
    /// as no writer came meanwhile.
    pub(super) fn read_once<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<(T, bool), QueryError> {
        if !self.link.borrow().is_current(&self.real) {
            self.relink()?;
        }
        let link = self.link.borrow();
        let answer = ask(&link.conn);
        // A BEGIN or SAVEPOINT only reads, but what it began would hold this
        // moment for all questions to come, and its place in the WAL.
        let ended = match link.conn.is_autocommit() {
            true => Ok(()),
            false => link.conn.execute_batch("ROLLBACK"),
        };
        let answer = answer
            .and_then(|answer| ended.map(|()| answer))
            .map_err(|error| {
                QueryError::new("the statement cannot be answered").with_source(brief(error))
            })?;
        Ok((answer, link.is_current(&self.real)))
    }

    /// Makes a connection that is right to use now.
    fn relink(&self) -> Result<(), QueryError> {
        let mut link = Link::new(&self.path, &self.real, self.oldest)?;
        match self.link.try_borrow_mut() {
            Ok(mut current) => {
                let is_other = link.stamp.files.main != current.stamp.files.main;
                link.replaced = current.replaced + u64::from(is_other);
                *current = link;
                Ok(())
            }
            // Asked out of what handles the rows of another question.
            Err(_) => Err(QueryError::new(
                "a writer came while another question was being answered; ask again",
            )),
        }
    }

    /// How many other files have stood at the path since the first that was asked.
    pub(super) fn replaced(&self) -> u64 {
        self.link.borrow().replaced
    }

    /// How many steps SQLite's machine makes for what `ask` asks.
    #[cfg(test)]
    pub(super) fn steps(&self, ask: impl FnOnce(&Self)) -> usize {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicUsize, Ordering};

        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        let handler = move || {
            count.fetch_add(1, Ordering::Relaxed);
            false
        };
        let set = self
            .link
            .borrow_mut()
            .conn
            .progress_handler(1, Some(handler));
        set.expect("a handler");
        ask(self);
        steps.load(Ordering::Relaxed)
    }

    fn failed(&self, error: rusqlite::Error) -> QueryError {
        let reason = inspect::hot_journal(&error).map_or(String::new(), |why| format!(": {why}"));
        QueryError::new(format!(
            "cannot read the store {}{reason}",
            self.path.display()
        ))
        .with_source(brief(error))
    }
}

/// One moment of a file, of a known version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) conn: &'a Connection,
    version: i64,
    /// As [`Reader::replaced`].
    pub(super) replaced: u64,
}

impl Source<'_> {
    /// How the whole id of a session stands in the file where ids are hashed.
    pub(super) fn hashed<'i>(&self, id: &'i str) -> rusqlite::Result<Cow<'i, str>> {
        let ids = SessionIds::recorded(self.conn)?;
        Ok(ids.map_or(Cow::Borrowed(id), |ids| ids.stored(id)))
    }

    pub(crate) fn version(&self) -> i64 {
        self.version
    }

    /// Whether the file has the indexes of the current version. Version 4 has none of
    /// methods, error codes and classes of latency, and its open sessions are by server.
    pub(super) fn has_all_indexes(&self) -> bool {
        self.version > inspect::LAST_SHARED_VERSION
    }
}

impl Link {
    /// Connects until the names lead to the same files before and after.
    fn new(path: &Path, real: &Path, oldest: i64) -> Result<Self, OpenError> {
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
        // Else SQLite plans a statement anew for each value that it is asked
        // with, even for a LIMIT.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(unreadable)?;
        // What its tables lack, the questions will tell: to look at each column
        // of them would take longer than most answers.
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

    /// Whether nothing has happened that this connection would not notice.
    fn is_current(&self, real: &Path) -> bool {
        let now = Stamp::of(real);
        match self.access {
            Access::AtRest => {
                read_only::is_alone(real)
                    && !read_only::has_lost_wal(real)
                    && now.is_ok_and(|now| now == self.stamp)
            }
            // SQLite's locking tells of every change, but not that other files
            // have taken the place of these. Until they have, this is the newest.
            // Without both of its side files a file is no longer written to by
            // those who share them with this connection.
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
