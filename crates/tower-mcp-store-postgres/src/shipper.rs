//! Ships a file: reads batches from its outbox, writes each to the database in one
//! transaction, and confirms it after the commit.
//!
//! If the process is killed between the commit and the confirmation, the next shipper writes the
//! last batch again. This changes nothing, because the rows have the same keys.

mod array;
mod link;
mod refused;
mod statement;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tower_mcp_store::Store;

use crate::backoff::Backoff;
use crate::connection::runtime;
use crate::error::{PostgresError, PostgresErrorKind};
use crate::target::Target;
use link::Link;

/// How many requests a batch has at most.
const BATCH_ROWS: usize = 4_000;

/// How long a shipper that has nothing to ship waits before it looks again.
const POLL: Duration = Duration::from_millis(500);

/// How often a shipper that has nothing to ship updates its row in `sources`.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Where to ship a file to, and how.
#[derive(Debug, Clone)]
pub struct ShipConfig {
    target: Target,
    batch_rows: usize,
    poll: Duration,
}

impl ShipConfig {
    /// Ships to this database.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            batch_rows: BATCH_ROWS,
            poll: POLL,
        }
    }

    /// Sets the most requests in a batch. The default is 4,000. A whole batch is in memory, and
    /// is written in one transaction.
    #[must_use]
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows.max(1);
        self
    }

    /// Sets how long the shipper waits before it looks for new rows again. The default is half
    /// a second.
    #[must_use]
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }
}

/// Counters of a shipper since its start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShipStats {
    /// Requests that were sent in committed transactions. A request that was sent twice counts
    /// twice.
    pub attempted: u64,
    /// Requests among them that the database did not have yet.
    pub inserted: u64,
    /// Rows that the database refused.
    pub refused: u64,
    /// Transactions that were committed and confirmed.
    pub batches: u64,
    /// How often the shipper failed and tried again.
    pub failures: u64,
    /// Whether the last batch contained all remaining rows.
    pub is_caught_up: bool,
    /// Why the shipper waits; `None` while it ships.
    pub failing: Option<String>,
}

/// A shipper on a thread of its own. Dropping it stops it.
#[derive(Debug)]
pub struct Shipper {
    stop: watch::Sender<Option<Instant>>,
    stats: Arc<Mutex<ShipStats>>,
    thread: Option<JoinHandle<Result<(), PostgresError>>>,
}

/// Ships the file of a store on a thread of its own, until [`Shipper::stop`].
///
/// If the database is unreachable, the shipper tries again after half a second to a minute.
///
/// # Errors
///
/// If the thread cannot be started.
pub fn ship(store: &Store, config: ShipConfig) -> Result<Shipper, PostgresError> {
    let path = store.path().to_owned();
    let (stop, stopped) = watch::channel(None);
    let stats = Arc::default();
    let shared = Arc::clone(&stats);
    let thread = std::thread::Builder::new()
        .name("mcp-store-shipper".to_owned())
        .spawn(move || {
            let done = Worker::new(&path, config, stopped, shared).run_on_thread();
            if let Err(error) = &done {
                tracing::error!("the shipper of {} has ended: {error}", path.display());
            }
            done
        })
        .map_err(|error| {
            let detail = "the thread of the shipper cannot be started";
            PostgresError::new(PostgresErrorKind::File, detail).with_source(error)
        })?;
    let thread = Some(thread);
    Ok(Shipper {
        stop,
        stats,
        thread,
    })
}

impl Shipper {
    /// Returns what the shipper has done so far.
    pub fn stats(&self) -> ShipStats {
        lock(&self.stats).clone()
    }

    /// Ships the remaining rows for at most this long, and ends the thread. Blocks until it has
    /// ended.
    ///
    /// # Errors
    ///
    /// If the shipper had already ended because of an error, this is the error.
    pub fn stop(mut self, patience: Duration) -> Result<ShipStats, PostgresError> {
        self.stop.send_replace(Some(Instant::now() + patience));
        let ended = self.thread.take().map(JoinHandle::join);
        let stats = self.stats();
        match ended {
            Some(Ok(ended)) => ended.map(|()| stats),
            _ => Ok(stats),
        }
    }
}

impl Drop for Shipper {
    /// Ends the thread at once. The next shipper ships an incomplete batch again.
    fn drop(&mut self) {
        self.stop.send_replace(Some(Instant::now()));
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported by its hook.
            let _ = thread.join();
        }
    }
}

/// Ships the file at `path` on this thread, until nothing is left.
///
/// # Errors
///
/// The first error ends it. Batches that were confirmed before stay confirmed.
pub fn ship_once(path: impl AsRef<Path>, config: ShipConfig) -> Result<ShipStats, PostgresError> {
    let (_stop, stopped) = watch::channel(None);
    let stats = Arc::default();
    let worker = Worker::new(path.as_ref(), config, stopped, Arc::clone(&stats));
    runtime()?.block_on(async {
        let mut link = worker.link().await?;
        while !worker.step(&mut link).await? {}
        Ok::<_, PostgresError>(())
    })?;
    let done = lock(&stats).clone();
    Ok(done)
}

/// Ships the file at `path` on this thread, until `stop` is ready. Then it ships the remaining
/// rows, for at most five seconds.
///
/// # Errors
///
/// If another attempt cannot succeed, for example because the file was restored from a copy.
/// Other errors are logged, and the shipper tries again.
pub fn ship_until(
    path: impl AsRef<Path>,
    config: ShipConfig,
    stop: impl Future<Output = ()>,
) -> Result<ShipStats, PostgresError> {
    const REST: Duration = Duration::from_secs(5);
    let (sender, stopped) = watch::channel(None);
    let stats = Arc::default();
    let worker = Worker::new(path.as_ref(), config, stopped, Arc::clone(&stats));
    runtime()?.block_on(async {
        let stopping = async {
            stop.await;
            sender.send_replace(Some(Instant::now() + REST));
            std::future::pending().await
        };
        tokio::select! {
            done = worker.run() => done,
            () = stopping => Ok(()),
        }
    })?;
    let done = lock(&stats).clone();
    Ok(done)
}

fn lock(stats: &Mutex<ShipStats>) -> MutexGuard<'_, ShipStats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ships one file.
#[derive(Debug)]
struct Worker {
    path: PathBuf,
    config: ShipConfig,
    /// When to end at the latest; `None` until the shipper is stopped.
    stopped: watch::Receiver<Option<Instant>>,
    stats: Arc<Mutex<ShipStats>>,
}

impl Worker {
    fn new(
        path: &Path,
        config: ShipConfig,
        stopped: watch::Receiver<Option<Instant>>,
        stats: Arc<Mutex<ShipStats>>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            config,
            stopped,
            stats,
        }
    }

    fn run_on_thread(&self) -> Result<(), PostgresError> {
        runtime()?.block_on(self.run())
    }

    /// Ships until the shipper is stopped and its time is up. A transaction that is not complete
    /// by then is rolled back, or shipped again by the next shipper.
    async fn run(&self) -> Result<(), PostgresError> {
        tokio::select! {
            done = self.ship_and_retry() => done,
            () = self.time_is_up() => Ok(()),
        }
    }

    /// Waits until the shipper is stopped, and then until the end of its time.
    async fn time_is_up(&self) {
        let mut stopped = self.stopped.clone();
        let until = stopped.wait_for(Option::is_some).await;
        match until.ok().and_then(|until| *until) {
            Some(until) => tokio::time::sleep_until(until.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Ships until the shipper is stopped. After a temporary failure it begins again.
    async fn ship_and_retry(&self) -> Result<(), PostgresError> {
        let mut backoff = Backoff::default();
        loop {
            let failure = match self.ship(&mut backoff).await {
                Ok(()) => return Ok(()),
                Err(error) if is_lasting(error.kind()) => return Err(error),
                Err(error) => error,
            };
            let delay = backoff.next();
            self.note(&failure, delay);
            if self.stopped.borrow().is_some() || self.rest(delay).await {
                return Ok(());
            }
        }
    }

    /// Ships over one connection, until the shipper is stopped.
    async fn ship(&self, backoff: &mut Backoff) -> Result<(), PostgresError> {
        let mut link = self.link().await?;
        loop {
            let is_caught_up = self.step(&mut link).await?;
            backoff.reset();
            self.note_success();
            let until = *self.stopped.borrow();
            if let Some(until) = until {
                if is_caught_up || Instant::now() >= until {
                    return Ok(());
                }
            } else if is_caught_up {
                self.rest(self.config.poll).await;
            }
        }
    }

    async fn link(&self) -> Result<Link, PostgresError> {
        Link::open(&self.path, &self.config.target).await
    }

    /// Ships a batch. Returns whether it contained all remaining rows.
    async fn step(&self, link: &mut Link) -> Result<bool, PostgresError> {
        let mut batch = link.outbox.batch(self.config.batch_rows)?;
        let is_last = batch.is_last;
        // Without this update, a file without new rows would look like one without a shipper.
        if !batch.is_empty() || link.silent_for() >= HEARTBEAT {
            let shipped = link.ship(&mut batch).await?;
            link.outbox.confirm(&batch)?;
            let mut stats = lock(&self.stats);
            stats.attempted += shipped.attempted;
            stats.inserted += shipped.inserted;
            stats.refused += shipped.refused;
            stats.batches += 1;
        }
        lock(&self.stats).is_caught_up = is_last;
        Ok(is_last)
    }

    /// Waits. Returns whether the shipper was stopped during the wait.
    async fn rest(&self, delay: Duration) -> bool {
        let mut stopped = self.stopped.clone();
        let stop = stopped.wait_for(Option::is_some);
        tokio::time::timeout(delay, stop).await.is_ok()
    }

    fn note(&self, failure: &PostgresError, delay: Duration) {
        let path = self.path.display();
        let text = failure.chain();
        let mut stats = lock(&self.stats);
        stats.failures += 1;
        stats.is_caught_up = false;
        if stats.failing.as_ref() != Some(&text) {
            tracing::warn!("{path} cannot be shipped, next attempt in {delay:.1?}: {text}");
        }
        stats.failing = Some(text);
    }

    fn note_success(&self) {
        if lock(&self.stats).failing.take().is_some() {
            tracing::info!("{} is shipped again", self.path.display());
        }
    }
}

/// Returns whether another attempt cannot succeed.
fn is_lasting(kind: PostgresErrorKind) -> bool {
    use PostgresErrorKind::*;
    matches!(kind, Url | Unsuitable | NewerSchema | Diverged)
}
