//! The connections that queries use.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::error::{QueryError, QueryErrorKind};
use super::link::Link;
use crate::db::keyed_hash::{KeyedHash, fingerprints};
use crate::db::read_only;
use crate::db::session_ids::{SessionIdForm, SessionIds};
use crate::db::{Files, brief, inspect};
use crate::error::OpenError;

/// The number of connections that are kept for later queries.
const IDLE: usize = 4;

/// Reads a file, and never creates, writes or migrates one.
///
/// A file may be read while it is written, by this process or another, and after its
/// writer was killed. Each answer is of one moment. Reading a file without a writer
/// leaves no trace. Beside a writer, SQLite keeps its `-shm` file.
///
/// A symbolic link at the path is followed once, by [`open`](Self::open). If the link
/// points to another file later, the reader stays with the file that it opened.
///
/// Files of version 4 are read as well. What they do not have is `None`, also for
/// [`sql`](Self::sql). Some questions take longer there for want of an index.
///
/// # Threads and async servers
///
/// A reader is cheap to clone, and all clones share its connections: threads that ask
/// at the same time use one each, and up to four are kept, each with a cache of at most
/// 16 MiB. **Every method blocks its thread** while SQLite reads. An async server asks
/// within `spawn_blocking`:
///
/// ```
/// use std::time::Duration;
///
/// use axum::extract::State;
/// use axum::http::StatusCode;
/// use axum::routing::get;
/// use axum::{Json, Router};
/// use tower_mcp_store::query::{Reader, Request, RequestFilter};
///
/// async fn slowest(State(reader): State<Reader>) -> Result<Json<Vec<Request>>, StatusCode> {
///     let filter = RequestFilter::new().tool("search");
///     let ask = move || reader.slow(&filter, 20);
///     match tokio::task::spawn_blocking(ask).await {
///         Ok(Ok(requests)) => Ok(Json(requests)),
///         _ => Err(StatusCode::INTERNAL_SERVER_ERROR),
///     }
/// }
///
/// # fn app() -> Result<(), Box<dyn std::error::Error>> {
/// let reader = Reader::open("mcp.db")?;
/// let app: Router = Router::new().route("/slowest", get(slowest)).with_state(reader);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
    /// The key that the caller set.
    key: Option<KeyedHash>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// The path with links resolved, as the writer names it.
    real: PathBuf,
    /// The oldest version that is read.
    oldest: i64,
    links: Mutex<Links>,
}

#[derive(Debug)]
struct Links {
    idle: Vec<Link>,
    /// The file of the link that was opened last.
    files: Files,
    version: i64,
    /// How many other files have stood at the path since the first.
    replaced: u64,
}

impl Reader {
    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// There is no file, or it is not a file of version 4 or 5.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::of_version(path.as_ref(), inspect::LAST_SHARED_VERSION)
    }

    /// Like [`open`](Self::open), but accepts versions from `oldest` on.
    pub(crate) fn of_version(path: &Path, oldest: i64) -> Result<Self, OpenError> {
        let real = read_only::locate(path)?;
        let link = Link::new(path, &real, oldest)?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            real,
            oldest,
            links: Mutex::new(Links {
                files: link.files(),
                version: link.version,
                replaced: 0,
                idle: vec![link],
            }),
        });
        Ok(Self { shared, key: None })
    }

    /// Sets the key of [`StoreBuilder::shared_key`](crate::StoreBuilder::shared_key), which
    /// is not in the file. It is needed to look up hashed session ids.
    pub fn with_shared_key(mut self, key: [u8; 32]) -> Self {
        self.key = Some(KeyedHash::new(&key));
        self
    }

    /// Returns the path as it was given to [`open`](Self::open).
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    pub(super) fn real(&self) -> &Path {
        &self.shared.real
    }

    /// Returns the version of the file's tables: 4, or
    /// [`SCHEMA_VERSION`](crate::SCHEMA_VERSION).
    pub fn version(&self) -> i64 {
        self.links().version
    }

    /// Runs one query, whose statements all see the same moment.
    pub(crate) fn read<T>(
        &self,
        ask: impl Fn(&Source<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, QueryError> {
        let mut link = self.take()?;
        loop {
            let source = Source {
                conn: &link.conn,
                version: link.version,
                replaced: link.replaced,
                key: self.key.as_ref(),
            };
            let answer = link
                .conn
                .unchecked_transaction()
                .and_then(|_moment| ask(&source));
            // Otherwise a writer has changed the file before the query or during it, and the answer
            // is invalid.
            if link.is_current(self.real()) {
                self.put_back(link);
                return answer.map_err(|error| self.failed(error));
            }
            link = self.renew(link)?;
        }
    }

    /// Runs a statement of the caller once. The second value is whether its answer is of one
    /// moment: no writer opened a file that no program had open.
    pub(super) fn read_once<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<(T, bool), QueryError> {
        let mut link = self.take()?;
        if !link.is_current(self.real()) {
            link = self.renew(link)?;
        }
        let answer = ask(&link.conn);
        // A BEGIN or SAVEPOINT only reads, but the transaction would keep this moment, and its
        // place in the WAL, for all later queries.
        let ended = match link.conn.is_autocommit() {
            true => Ok(()),
            false => link.conn.execute_batch("ROLLBACK"),
        };
        let is_current = link.is_current(self.real());
        if ended.is_ok() {
            self.put_back(link);
        }
        let answer = answer.and_then(|answer| ended.map(|()| answer));
        let answer = answer.map_err(refused)?;
        Ok((answer, is_current))
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.shared
            .links
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the connection that was used last, or a new one if all are in use.
    fn take(&self) -> Result<Link, QueryError> {
        let mut links = self.links();
        match links.idle.pop() {
            Some(link) => Ok(link),
            None => self.connect(&mut links),
        }
    }

    fn put_back(&self, link: Link) {
        let mut links = self.links();
        if links.idle.len() < IDLE && link.replaced == links.replaced {
            links.idle.push(link);
        }
    }

    /// Returns a connection to the file that is at the path now. It drops the other
    /// connections only afterwards: while the old file is open, a new one cannot take its
    /// inode.
    fn renew(&self, stale: Link) -> Result<Link, QueryError> {
        let mut links = self.links();
        let renewed = self.connect(&mut links);
        match &renewed {
            Ok(_) => links.idle.clear(),
            Err(_) => links.idle.push(stale),
        }
        renewed
    }

    /// Opens under the lock, so that two threads find one replacement of the file.
    fn connect(&self, links: &mut Links) -> Result<Link, QueryError> {
        let mut link = Link::new(&self.shared.path, &self.shared.real, self.shared.oldest)?;
        if link.files().main != links.files.main {
            links.replaced += 1;
        }
        (links.files, links.version) = (link.files(), link.version);
        link.replaced = links.replaced;
        Ok(link)
    }

    /// Returns how many other files have stood at the path since the first.
    pub(super) fn replaced(&self) -> u64 {
        self.links().replaced
    }

    /// Counts the steps of SQLite's machine for the queries of `ask`.
    #[cfg(test)]
    pub(super) fn steps(&self, ask: impl FnOnce(&Self)) -> usize {
        use std::sync::atomic::{AtomicUsize, Ordering};

        let steps = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&steps);
        let handler = move || {
            count.fetch_add(1, Ordering::Relaxed);
            false
        };
        let mut link = self.take().expect("a connection");
        let set = link.conn.progress_handler(1, Some(handler));
        set.expect("a handler");
        self.put_back(link);
        ask(self);
        steps.load(Ordering::Relaxed)
    }

    fn failed(&self, error: rusqlite::Error) -> QueryError {
        let reason = inspect::hot_journal(&error).map_or(String::new(), |why| format!(": {why}"));
        let detail = format!("cannot read the store {}{reason}", self.path().display());
        QueryError::new(QueryErrorKind::Unreadable, detail).with_source(brief(error))
    }
}

/// Returns the error of the caller's statement, in the words of SQLite.
fn refused(error: rusqlite::Error) -> QueryError {
    let position = match &error {
        rusqlite::Error::SqlInputError { offset, .. } => usize::try_from(*offset).ok(),
        _ => None,
    };
    let detail = brief(error).to_string();
    QueryError::new(QueryErrorKind::Statement, detail).with_position(position)
}

/// One moment of a file, of a known version.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) conn: &'a Connection,
    version: i64,
    /// Which of the files at the path this is, as [`Reader::replaced`] counts them.
    pub(super) replaced: u64,
    /// The key that the caller set on the reader.
    key: Option<&'a KeyedHash>,
}

impl Source<'_> {
    /// Returns the known keys: the one that the caller set, and the one in the file.
    fn keys(&self) -> rusqlite::Result<impl Iterator<Item = KeyedHash>> {
        let given = self.key.cloned();
        Ok(given.into_iter().chain(KeyedHash::recorded(self.conn)?))
    }

    /// Returns the hashes that the file may hold in place of a session's id.
    pub(super) fn hashed(&self, id: &str) -> rusqlite::Result<Vec<String>> {
        let hashed = |key| {
            SessionIds::new(SessionIdForm::Hashed, &key)
                .stored(id)
                .into_owned()
        };
        Ok(self.keys()?.map(hashed).collect())
    }

    /// Returns whether the file holds session ids that may be hashed with an unknown key.
    pub(super) fn lacks_key(&self) -> rusqlite::Result<bool> {
        let known: Vec<_> = self.keys()?.map(|key| key.fingerprint()).collect();
        let all = fingerprints(self.conn)?;
        if all.iter().all(|fingerprint| known.contains(fingerprint)) {
            return Ok(false);
        }
        let sql = "SELECT EXISTS (SELECT 1 FROM sessions
            WHERE session_id >= 'hashed:' AND session_id < 'hashed;')";
        self.conn.query_row(sql, [], |row| row.get(0))
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
