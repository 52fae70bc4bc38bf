use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{io, thread};

use super::housekeeping::Housekeeping;
use super::queue::{Limits, Queue};
use super::readers::Readers;
use super::writer::{Hook, Report, Writer};
use super::{Handle, Retention, Shared, Store, StoreState};
use crate::db::keyed_hash::KeyedHash;
use crate::db::{FileMode, SessionIdForm, WriterIdentity, refuse_special_path};
use crate::error::{OpenError, OpenErrorKind};
use crate::event::RequestEvent;

const THREAD_NAME: &str = "mcp-store-writer";

/// Settings of a [`Store`], from [`Store::builder`].
///
/// ```
/// use std::time::Duration;
/// use tower_mcp_store::Store;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("mcp.db");
///
/// let store = Store::builder(path)
///     .flush_interval(Duration::from_millis(200))
///     .on_recorded(|request| println!("{} {} us", request.method, request.latency_us))
///     .open()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is opened before `open` or `open_in_background`"]
pub struct StoreBuilder {
    path: PathBuf,
    flush_interval: Duration,
    limits: Limits,
    retention: Option<Retention>,
    session_ids: SessionIdForm,
    instance: Option<String>,
    shared_key: Option<KeyedHash>,
    file_mode: FileMode,
    hook: Option<Hook>,
}

impl StoreBuilder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            flush_interval: Duration::from_millis(40),
            limits: Limits {
                events: 262_144,
                bytes: 88 << 20,
            },
            retention: None,
            session_ids: SessionIdForm::Plain,
            instance: None,
            shared_key: None,
            file_mode: FileMode::Owner,
            hook: None,
        }
    }

    /// Sets how long the writer waits for more events before it commits; 40 ms by default.
    /// If the process is killed, the events of this time are lost.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Sets how many events the queue holds at most; 262,144 by default. Beyond this the
    /// queue still takes up to 4,096 sessions and listings.
    pub fn queue_events(mut self, events: usize) -> Self {
        self.limits.events = events;
        self
    }

    /// Sets how many bytes of memory the queued events take at most; 88 MiB by default.
    /// Beyond this the queue still takes up to 8 MiB of sessions and listings.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Sets how long the file keeps rows, and how large it gets; [`Retention::default`] by
    /// default.
    ///
    /// Without this call, the writer does not remove rows that an older schema version wrote,
    /// and does not count their size.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }

    /// Stores a keyed hash of each session id in place of the id. The id is a
    /// credential: a client that knows it can send requests in an open session. Off by
    /// default.
    ///
    /// The hash is `hashed:` and 32 hexadecimal digits. One id has one hash in a file, so
    /// queries by session work as before, but another hash in another file. The file holds
    /// the key of the hash, unless you [set](Self::shared_key) one. A reader of that key can
    /// test guesses, so the hash hides only ids that cannot be guessed, such as the random
    /// ids of servers. The store does not change ids that are already in the file, and does
    /// not hash those that this crate derives (`derived:`).
    pub fn hash_session_ids(mut self, hash: bool) -> Self {
        self.session_ids = if hash {
            SessionIdForm::Hashed
        } else {
            SessionIdForm::Plain
        };
        self
    }

    /// Sets the name of the place where the store runs, such as a replica or a pod; the
    /// host's name by default. The file holds it in `writers`, so that you can distinguish
    /// the files of several replicas. The store keeps the first 256 characters.
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// Sets the key of all keyed hashes: those of session ids, of callers and of states.
    /// By default it is random and in the file.
    ///
    /// If you read the files of several servers together, set the same key for all of them: a
    /// caller then has the same hash in all files. The key must be 32 random bytes, not a
    /// passphrase. The file never holds a key that you set, only its fingerprint. If earlier
    /// rows of the file have another key, the store logs one warning and records. To look
    /// up a hashed session id, give the key to
    /// [`Reader::with_shared_key`](crate::query::Reader::with_shared_key).
    pub fn shared_key(mut self, key: [u8; 32]) -> Self {
        self.shared_key = Some(KeyedHash::new(&key));
        self
    }

    /// Lets the group of a new file read it (mode 0640); off by default (mode 0600). The umask
    /// applies. A file that exists keeps its mode. No effect outside of Unix.
    ///
    /// Readers of a file that a store has open read its `-wal` and `-shm` files, too. These and
    /// the lock files have the mode of the file.
    pub fn group_readable(mut self, readable: bool) -> Self {
        self.file_mode = if readable {
            FileMode::Group
        } else {
            FileMode::Owner
        };
        self
    }

    /// Calls `hook` with every request whose row is committed.
    ///
    /// The writer thread calls it and writes nothing until it returns. A flush waits for it,
    /// too. If it panics, the writer does not call it again. A hook that holds a clone of the
    /// [`Store`] keeps the store open until [`shutdown`](Store::shutdown).
    pub fn on_recorded(mut self, hook: impl FnMut(&RequestEvent) + Send + 'static) -> Self {
        self.hook = Some(Box::new(hook));
        self
    }

    /// Opens the file. Creates it and its directories if they are missing, and migrates
    /// a file of an older version.
    ///
    /// Blocks the thread until the file is open. That takes some seconds if another
    /// program holds a lock, and longer for the migration of a large file.
    ///
    /// # Errors
    ///
    /// If the store cannot open the file, refuses it, or finds it locked. The store does not
    /// change a file that it refuses.
    pub fn open(self) -> Result<Store, OpenError> {
        let path = self.path.clone();
        let no_thread = |error: io::Error| {
            let detail = "the writer's thread cannot be started";
            OpenError::new(OpenErrorKind::Other, &path, detail).with_source(error)
        };
        let (report, result) = mpsc::channel();
        let (store, started) = self.start(Some(report));
        started.map_err(no_thread)?;
        match result.recv() {
            Ok(opened) => opened.map(|()| store),
            Err(_) => Err(no_thread(io::Error::other("it ended at once"))),
        }
    }

    /// Returns a store at once and opens the file in the background. It does not block
    /// and cannot fail.
    ///
    /// If the file cannot be opened, the writer logs one `tracing` error and
    /// [`Store::state`] says so. The writer retries, at first after 50 ms, later every
    /// five seconds. Meanwhile events wait in the queue. When it is full, the store drops
    /// events and counts them.
    pub fn open_in_background(self) -> Store {
        let path = self.path.clone();
        let (store, started) = self.start(None);
        if let Err(error) = started {
            let reason = format!("the thread of the writer cannot be started: {error}");
            tracing::error!("cannot open the store {}: {reason}", path.display());
            let queue = &store.handle.shared.queue;
            queue.give_up();
            queue.end();
            queue.set_condition(StoreState::Failing { reason });
        }
        store
    }

    fn start(self, report: Report) -> (Store, io::Result<()>) {
        let shared = Arc::new(Shared {
            path: absolute(self.path),
            queue: Queue::new(self.limits),
            readers: Readers::default(),
            counters: Arc::default(),
            shared_key: self.shared_key.clone(),
            shut_down: AtomicBool::new(false),
            layers: Mutex::new(Vec::new()),
            open_sessions: OnceLock::new(),
        });
        let identity = WriterIdentity {
            file_mode: self.file_mode,
            ..WriterIdentity::new(self.instance.as_deref(), self.session_ids, self.shared_key)
        };
        let housekeeping = Housekeeping::new(self.retention);
        let writer = Writer::new(
            Arc::clone(&shared),
            self.flush_interval,
            identity,
            housekeeping,
            self.hook,
        );
        let started = thread::Builder::new()
            .name(THREAD_NAME.to_owned())
            .spawn(move || writer.run(report))
            .map(drop);
        let handle = Arc::new(Handle { shared });
        (Store { handle }, started)
    }
}

impl fmt::Debug for StoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreBuilder")
            .field("path", &self.path)
            .field("flush_interval", &self.flush_interval)
            .field("limits", &self.limits)
            .field("retention", &self.retention)
            .field("session_ids", &self.session_ids)
            .field("instance", &self.instance)
            .field("shared_key", &self.shared_key)
            .field("file_mode", &self.file_mode)
            .finish_non_exhaustive()
    }
}

/// Returns the absolute path, so that it names the same file after a change of the working
/// directory. Returns a path that [`refuse_special_path`] refuses unchanged.
fn absolute(path: PathBuf) -> PathBuf {
    match refuse_special_path(&path) {
        Ok(()) => std::path::absolute(&path).unwrap_or(path),
        Err(_) => path,
    }
}
