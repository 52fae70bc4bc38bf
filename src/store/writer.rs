//! The thread that owns the connection.

mod batch;
mod commands;
mod diagnostics;
mod listings;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use self::batch::{SMALLEST_BATCH, batch_size, events, next_batch};
use self::diagnostics::WriteFailure;
use super::deadline::Deadline;
use super::housekeeping::Housekeeping;
use super::log_throttle::LogThrottle;
use super::page_assembler::PageAssembler;
use super::queue::{Chunk, Pause, Work};
use super::{Shared, Stats};
use crate::clock;
use crate::db::{
    Db, Departure, Hindrance, LossLog, SCHEMA_VERSION, WriteError, WriterIdentity, WriterLock,
};
use crate::error::{OpenError, chain};
use crate::event::RequestEvent;

/// The pause between two transactions in a row, in which another writer of the file
/// can take the lock.
const TURN: Duration = Duration::from_millis(1);

/// The pause between two attempts at a file that cannot be opened or written to. It
/// doubles from the first of these values to the second.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// How many outages are logged at once, and in a minute on average. An outage that ends
/// and begins again counts twice.
const OUTAGES: u32 = 10;

/// The hook of [`StoreBuilder::on_recorded`](super::StoreBuilder::on_recorded).
pub(super) type Hook = Box<dyn FnMut(&RequestEvent) + Send>;

/// The receiver of the result of the first opening. Without one, no caller waits,
/// and the writer thread retries.
pub(super) type Report = Option<Sender<Result<(), OpenError>>>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    flush_interval: Duration,
    identity: WriterIdentity,
    db: Option<Db>,
    /// The lock of its run, while it has no file open but had one before.
    lock: Option<WriterLock>,
    loss_log: LossLog,
    /// The counters when the queue was last asked.
    stats: Stats,
    /// Every event accepted before this moment is finished with the next batch; unix
    /// milliseconds.
    as_of: i64,
    /// Number of requests without a row at the last
    /// [`write_counters`](Self::write_counters).
    without_row: u64,
    page_assembler: PageAssembler,
    /// A malformed listing was logged. Further ones are not logged.
    malformed_logged: bool,
    /// Number of chunks of the queue in the next transaction.
    batch: usize,
    /// The last attempt to open or write the file failed.
    failing: bool,
    outages: LogThrottle,
    overloads: LogThrottle,
    rejections: LogThrottle,
    housekeeping: Housekeeping,
    hook: Option<Hook>,
    hook_panicked: bool,
}

/// Marks the queue as without a writer thread on drop, even after a panic.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.queue.give_up();
        self.0.queue.end();
    }
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        flush_interval: Duration,
        identity: WriterIdentity,
        housekeeping: Housekeeping,
        hook: Option<Hook>,
    ) -> Self {
        Self {
            shared,
            flush_interval,
            identity,
            db: None,
            lock: None,
            loss_log: LossLog::default(),
            stats: Stats::default(),
            as_of: clock::unix_ms(),
            without_row: 0,
            page_assembler: PageAssembler::default(),
            malformed_logged: false,
            batch: SMALLEST_BATCH,
            failing: false,
            outages: LogThrottle::burst(OUTAGES),
            overloads: LogThrottle::default(),
            rejections: LogThrottle::default(),
            housekeeping,
            hook,
            hook_panicked: false,
        }
    }

    /// Runs until the queue is closed and written, or its time is up.
    pub(super) fn run(mut self, report: Report) {
        let shared = Arc::clone(&self.shared);
        shared.queue.attend();
        // It is dropped before `self`: the hook may hold the last handle of the store,
        // whose drop waits for the end.
        let _ending = Ending(&shared);
        if self.open_first(report) {
            let mut due = Deadline::after(self.flush_interval);
            shared.queue.housekeeping_at(self.housekeeping.due());
            while let Some(work) = shared.queue.next(&mut due, self.flush_interval) {
                self.serve_waiting();
                match work {
                    Work::Commands => {}
                    Work::Alarm => {
                        shared.settle_overdue();
                        self.write_counters();
                    }
                    Work::Housekeeping => self.keep_up(),
                    Work::Events { chunks, until } => {
                        due = Deadline::after(self.flush_interval);
                        if !self.write(chunks, until) {
                            break;
                        }
                    }
                }
            }
        }
        self.close();
    }

    fn open_first(&mut self, report: Report) -> bool {
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.open() {
                Ok(_) => {
                    self.publish_open_sessions();
                    self.succeeded();
                    if let Some(report) = report {
                        // Sending fails if the caller is gone. Then the queue closes.
                        drop(report.send(Ok(())));
                    }
                    return true;
                }
                Err(error) => error,
            };
            let reason = chain(&error);
            if let Some(report) = report {
                drop(report.send(Err(error)));
                return false;
            }
            if !self.failing {
                tracing::error!("{reason}; traffic is not recorded until that is mended");
            }
            self.failed(reason);
            self.ask_queue();
            if !self.pause(pause) {
                return false;
            }
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// Publishes to the layers which sessions were open when the file was first opened.
    fn publish_open_sessions(&self) {
        match self.db.as_ref().map(Db::open_sessions) {
            Some(Ok(open)) => drop(self.shared.open_sessions.set(open)),
            Some(Err(error)) => {
                tracing::warn!("the open sessions in the store's file cannot be read: {error}");
            }
            None => {}
        }
    }

    /// Waits before another attempt, and does the work that cannot wait in the
    /// meantime. Returns `false` if there will be no other attempt.
    fn pause(&mut self, pause: Duration) -> bool {
        let over = Deadline::after(pause);
        loop {
            match self.shared.queue.pause(over) {
                Pause::Over => return true,
                Pause::Commands(commands) => self.serve(commands),
                Pause::End => return false,
            }
        }
    }

    /// Writes `chunks`, which hold all events accepted before `until`, in batches.
    /// Returns `false` if the time was up before all of them were written.
    fn write(&mut self, mut chunks: VecDeque<Chunk>, until: i64) -> bool {
        while !chunks.is_empty() {
            self.serve_waiting();
            let pieces = batch_size(&chunks, self.batch, self.housekeeping.batch_bytes());
            let mut batch: Vec<Chunk> = chunks.drain(..pieces).collect();
            self.read_pages(&mut batch);
            let as_of = self.as_of..if chunks.is_empty() { until } else { self.as_of };
            let start = Instant::now();
            let Some(written) = self.write_batch(&batch, as_of) else {
                return false;
            };
            self.as_of = written.as_of;
            if written.chunks < batch.len() {
                let left = batch.split_off(written.chunks);
                left.into_iter()
                    .rev()
                    .for_each(|chunk| chunks.push_front(chunk));
            } else {
                self.batch = next_batch(self.batch, batch.len(), start.elapsed());
            }
            self.call_hook(&batch, &written.rejected);
            if let Some(db) = &self.db {
                let bytes: usize = batch.iter().map(|chunk| chunk.bytes).sum();
                self.housekeeping
                    .wrote(db, events(&batch).count() as u64, bytes as u64);
            }
            self.shared
                .queue
                .settle(batch, written.rejected.places.len(), written.unlinked);
            self.keep_wal_short();
            // Under full load, or if the flush interval is shorter than a transaction, the
            // queue never returns `Work::Housekeeping`.
            let has_commands = self.shared.queue.has_commands();
            let is_pressing = self.housekeeping.is_pressing();
            if (is_pressing || !has_commands) && self.housekeeping.due().has_passed() {
                self.keep_up();
            }
            if !has_commands && !chunks.is_empty() {
                std::thread::sleep(TURN);
            }
        }
        self.shared.queue.housekeeping_at(self.housekeeping.due());
        true
    }

    /// Runs a slice of housekeeping, or several slices if the file is too large.
    fn keep_up(&mut self) {
        let end = Instant::now() + self.housekeeping.turn();
        loop {
            let done = match self.db.as_ref().filter(|db| !db.is_replaced()) {
                Some(db) => self.housekeeping.step(db),
                None => {
                    self.housekeeping.put_off();
                    false
                }
            };
            self.keep_wal_short();
            let has_time = Instant::now() < end || self.housekeeping.is_at_ceiling();
            let goes_on = done && has_time && self.housekeeping.is_urgent();
            if !goes_on || self.shared.queue.is_overdue() {
                break;
            }
            self.serve_waiting();
        }
        self.housekeeping.rest();
        self.shared.queue.housekeeping_at(self.housekeeping.due());
    }

    /// Writes the counters, if they counted requests without a row since the last time.
    fn write_counters(&mut self) {
        self.ask_queue();
        let without_row = self.stats.without_row();
        let Some(db) = self.db.as_mut().filter(|_| without_row != self.without_row) else {
            return;
        };
        match db.write_counters(&self.stats.accounts(self.as_of)) {
            Ok(()) => self.without_row = without_row,
            // The next commit writes them.
            Err(error) => tracing::debug!(%error, "the counters are not written yet"),
        }
        self.keep_wal_short();
    }

    /// Runs a checkpoint between two transactions, if one is due.
    fn keep_wal_short(&mut self) {
        if let Some(db) = &mut self.db {
            db.keep_wal_short();
            db.tend_run();
        }
    }

    /// Returns the connection. Opens the file if it is not open or was moved.
    fn connection(&mut self) -> Result<&mut Db, WriteFailure> {
        if self.db.as_ref().is_some_and(Db::is_replaced) {
            self.leave()?;
        }
        Ok(self.open()?)
    }

    fn open(&mut self) -> Result<&mut Db, OpenError> {
        match &mut self.db {
            Some(db) => Ok(db),
            empty => {
                let path = &self.shared.path;
                let db = Db::open(path, &self.identity, &mut self.lock)?;
                tracing::info!(
                    "recording into {}, schema {SCHEMA_VERSION}, retention {}",
                    path.display(),
                    self.housekeeping.retention(),
                );
                Ok(empty.insert(db))
            }
        }
    }

    /// Closes a file that was moved, removed or replaced. While its WAL holds rows that
    /// the file does not, the file stays open. During a shutdown it is closed
    /// nevertheless, and the WAL is left under another name.
    fn leave(&mut self) -> Result<(), WriteFailure> {
        let Some(db) = &mut self.db else {
            return Ok(());
        };
        self.shared.readers.let_go();
        let accounts = self.stats.accounts(clock::unix_ms());
        match db.leave(Some(&accounts)) {
            Ok(Departure::Returned) => return Ok(()),
            Ok(Departure::Ready) => {}
            Err(hindrance) if hindrance.is_damage() || self.shared.queue.is_closing() => {
                db.leave_wal_behind(Some(&accounts))
                    .map_err(Hindrance::from)?;
            }
            Err(hindrance) => return Err(hindrance.into()),
        }
        let path = self.shared.path.display();
        tracing::warn!(
            %path,
            "the store's file was moved, removed or replaced; the store continues with the file at \
             its path"
        );
        self.abandon();
        Ok(())
    }

    /// Closes the connection without another write.
    fn abandon(&mut self) {
        if let Some(db) = self.db.take() {
            self.lock = db.abandon();
        }
        self.loss_log.forget_rows();
    }

    /// Closes the connection if a new one may help.
    fn failed_with(&mut self, error: WriteError) -> WriteFailure {
        if error.is_of_connection() {
            self.abandon();
        }
        error.into()
    }

    /// Drops the remaining events, records the loss in the file if possible, and closes
    /// the file.
    fn close(&mut self) {
        self.shared.readers.close();
        let refused = self.shared.queue.give_up();
        if let Some(stretch) = refused.shutdown {
            let lost = stretch.dropped;
            tracing::warn!("{lost} events came too late for the store and are lost");
        }
        self.note(refused);
        self.close_file();
        if let Some(lock) = self.lock.take() {
            lock.remove();
        }
    }

    fn close_file(&mut self) {
        let Some(db) = &mut self.db else { return };
        let time_left = self.shared.queue.time_left();
        let accounts = self.stats.accounts(clock::unix_ms());
        let ended = db.end(&mut self.loss_log, &accounts, time_left);
        let closed = match ended {
            Err(WriteError::Replaced) => self.close_replaced(),
            ended => ended
                .map_err(WriteFailure::from)
                .and_then(|()| match self.db.take() {
                    Some(db) => Ok(db.close()?),
                    None => Ok(()),
                }),
        };
        if let Err(WriteFailure { reason, .. }) = closed {
            tracing::warn!("the store could not be closed in order: {reason}");
        }
    }

    /// Closes a file that was moved. Losses that are in no file yet are written to the
    /// file at the path. The end of the run is written there too if it is the same
    /// file.
    fn close_replaced(&mut self) -> Result<(), WriteFailure> {
        let is_in_place = self.db.as_ref().is_some_and(Db::is_in_place);
        self.leave()?;
        if self.loss_log.is_empty() && !is_in_place {
            return Ok(());
        }
        let accounts = self.stats.accounts(clock::unix_ms());
        self.open()?;
        let Some(mut db) = self.db.take() else {
            return Ok(());
        };
        db.end(&mut self.loss_log, &accounts, Duration::ZERO)?;
        Ok(db.close()?)
    }
}
