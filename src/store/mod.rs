//! The store: a handle, a bounded queue and the one thread that writes.
//!
//! ```text
//! Store::record ──> queue (bounded, one short lock) ──> writer thread ──> db
//! Store::submit ──> commands (bounded, go first) ─────────────^
//!        flush, shutdown wait for the writer  ^                 │
//!                                             └── counters <────┘
//! ```
//!
//! The writer thread sleeps while there is nothing to write. An event wakes it. It
//! lets the flush interval pass and commits all events that arrived, in batches. A
//! row that SQLite refuses is counted as failed. After any other error, the writer
//! thread keeps the batch and retries until it is written or the time of a shutdown
//! is up.

mod builder;
mod command_queue;
mod deadline;
mod entry;
mod error;
mod housekeeping;
mod log_throttle;
mod page_assembler;
mod queue;
mod readers;
mod retention;
mod state;
mod writer;

pub use crate::db::Stats;
pub use builder::StoreBuilder;
pub use error::{FlushError, ShutdownError};
pub use retention::Retention;
pub use state::StoreState;

pub(crate) use crate::db::CaptureCounters;
pub(crate) use crate::db::keyed_hash::KeyedHash;
pub(crate) use command_queue::SubmitError;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::deadline::Deadline;
use self::entry::Entry;
use self::queue::Queue;
use self::readers::Readers;
use crate::db::{OpenSession, OpenSessions};
use crate::error::OpenError;
use crate::event::StoreEvent;

/// How long the writer thread may take to close the file once its time is up.
const GRACE: Duration = Duration::from_secs(1);

/// How long the writer thread may keep writing after the last handle is dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(1);

/// A store of MCP traffic in one SQLite file. It is a cheap handle to the thread that
/// writes the file; clones are handles to the same thread.
///
/// # Blocking
///
/// | call | blocks the thread |
/// |---|---|
/// | [`record`](Self::record), [`stats`](Self::stats), [`state`](Self::state) | never on I/O |
/// | [`open`](Self::open) | until the file is open; some seconds if it is locked, longer if an older file is migrated |
/// | [`StoreBuilder::open_in_background`] | no |
/// | [`flush`](Self::flush) | up to its `timeout` |
/// | [`shutdown`](Self::shutdown) | up to its `timeout` and one second |
/// | drop of the last clone | up to two seconds |
///
/// Async servers call those that block in `tokio::task::spawn_blocking`, or before
/// they serve and after they have stopped.
///
/// The drop of the last clone writes the queued events and closes the file. Call
/// [`shutdown`](Self::shutdown) to learn the result.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

/// The state that all clones share. It is dropped with the last clone.
struct Handle {
    shared: Arc<Shared>,
}

/// The state that the handles and the writer thread share.
struct Shared {
    path: PathBuf,
    queue: Queue,
    readers: Readers,
    counters: Arc<CaptureCounters>,
    /// The key of all keyed hashes, if it was set.
    shared_key: Option<KeyedHash>,
    layers: Mutex<Vec<Weak<dyn OpenCalls>>>,
    /// Set before [`Store::shutdown`] asks the layers to settle.
    shut_down: AtomicBool,
    /// Set by the writer once the file is open.
    open_sessions: OnceLock<OpenSessions>,
}

/// A layer that records through a store and has calls open.
pub(crate) trait OpenCalls: Send + Sync {
    /// Records the rows of all open calls now, because the store shuts down.
    fn settle(&self);

    /// Records the rows of the calls whose grace time is over. Returns when the next
    /// grace time ends.
    fn settle_overdue(&self, now: Instant) -> Option<Instant>;
}

impl Shared {
    fn layers(&self) -> Vec<Arc<dyn OpenCalls>> {
        let layers = self.layers.lock().unwrap_or_else(PoisonError::into_inner);
        layers.iter().filter_map(Weak::upgrade).collect()
    }

    fn settle_overdue(&self) {
        let now = Instant::now();
        let next = self
            .layers()
            .iter()
            .filter_map(|layer| layer.settle_overdue(now))
            .min();
        if let Some(next) = next {
            self.queue.wake_at(Deadline::at(next));
        }
    }
}

impl Store {
    /// Opens the file at `path` with the default settings, or creates it. Blocks the
    /// thread until the file is open.
    ///
    /// # Errors
    ///
    /// As [`StoreBuilder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path.as_ref()).open()
    }

    /// Returns the settings for a store in the file at `path`.
    pub fn builder(path: impl Into<PathBuf>) -> StoreBuilder {
        StoreBuilder::new(path.into())
    }

    /// Queues an event for the writer thread. It never blocks on I/O and never fails:
    /// if the queue is full, or the store is shut down, the event is dropped and
    /// counted.
    pub fn record(&self, event: StoreEvent) {
        self.shared().queue.push(event);
    }

    /// Queues an event or a page of a listing. Returns whether it was accepted.
    pub(crate) fn try_record(&self, entry: impl Into<Entry>) -> bool {
        self.shared().queue.push(entry)
    }

    /// Waits until every event that was recorded before this call is committed, or
    /// counted as failed or dropped. Blocks the thread, up to `timeout`.
    ///
    /// # Errors
    ///
    /// If that takes longer than `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.shared().queue.flush(timeout)
    }

    /// Records the open exchanges, writes the queued events, closes the file and
    /// returns the statistics. Later events are dropped and counted.
    ///
    /// Blocks the thread. The writer thread stops writing after `timeout`, and the call
    /// returns at most one second later. If it is called several times, the earliest
    /// end counts, and all calls return the same result.
    ///
    /// # Errors
    ///
    /// If events were given up because they could not be written in time. The error
    /// holds the statistics, too.
    pub fn shutdown(&self, timeout: Duration) -> Result<Stats, ShutdownError> {
        self.shared().shut_down.store(true, Ordering::Relaxed);
        for layer in self.shared().layers() {
            layer.settle();
        }
        let fill = |stats: &mut Stats| stats.take_over(&self.shared().counters);
        match self.handle.stop(timeout) {
            Ok(mut stats) => {
                fill(&mut stats);
                Ok(stats)
            }
            Err(mut error) => {
                fill(&mut error.stats);
                Err(error)
            }
        }
    }

    /// Returns the counters of everything recorded so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared().queue.stats();
        stats.take_over(&self.shared().counters);
        stats
    }

    /// Returns what the writer thread can do now.
    pub fn state(&self) -> StoreState {
        self.shared().queue.condition()
    }

    /// Returns the absolute path of the file.
    pub fn path(&self) -> &Path {
        &self.shared().path
    }

    /// Returns the counters of the layers, which [`stats`](Self::stats) shows.
    pub(crate) fn counters(&self) -> &Arc<CaptureCounters> {
        &self.shared().counters
    }

    /// Returns the key of all keyed hashes, if it was set.
    pub(crate) fn shared_key(&self) -> Option<&KeyedHash> {
        self.shared().shared_key.as_ref()
    }

    /// Returns the session with this id, if it began at that server and was open when
    /// the file was opened. Never waits: before the file is open, it returns `None`.
    pub(crate) fn open_session(&self, id: &str, proxy: &str) -> Option<&OpenSession> {
        self.shared().open_sessions.get()?.find(id, proxy)
    }

    /// Makes the writer thread call [`OpenCalls::settle_overdue`] at this moment.
    pub(crate) fn wake_at(&self, moment: Instant) {
        self.shared().queue.wake_at(Deadline::at(moment));
    }

    /// Registers `layer`, so that [`shutdown`](Self::shutdown) records its open
    /// exchanges. Returns `false` if the shutdown has begun and may not see this layer.
    pub(crate) fn register(&self, layer: Weak<dyn OpenCalls>) -> bool {
        let layers = self.shared().layers.lock();
        let mut layers = layers.unwrap_or_else(PoisonError::into_inner);
        layers.retain(|layer| layer.strong_count() > 0);
        layers.push(layer);
        // This is read under the lock: a shutdown that did not see this layer has set it
        // before.
        !self.shared().shut_down.load(Ordering::Relaxed)
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path())
            .field("state", &self.state())
            .field("stats", &self.stats())
            .finish()
    }
}

impl Handle {
    fn stop(&self, timeout: Duration) -> Result<Stats, ShutdownError> {
        let queue = &self.shared.queue;
        queue.close(Deadline::after(timeout));
        queue.await_end(Deadline::after(timeout.saturating_add(GRACE)))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The writer thread would wait for itself. It writes the queued events in any case.
        if std::thread::panicking() || self.shared.queue.is_writer() {
            self.shared.queue.close(Deadline::after(DROP_TIMEOUT));
        } else if let Err(error) = self.stop(DROP_TIMEOUT) {
            tracing::warn!("the store was dropped, but not everything was written: {error}");
        }
    }
}

#[cfg(test)]
mod tests;
