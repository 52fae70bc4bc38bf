//! The thread that owns the connection.

mod commands;

use std::any::Any;
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::chains::{Chains, Joined};
use super::deadline::Deadline;
use super::entry::Entry;
use super::queue::{Chunk, Pause, Queue, Refused, Work};
use super::trouble::Trouble;
use super::upkeep::Upkeep;
use super::{Shared, Stats, StoreState};
use crate::clock;
use crate::db::{Db, Ledger, LossReason, SessionIdForm, Stretch, WriteError};
use crate::error::{OpenError, OpenErrorKind, chain};
use crate::event::{RequestEvent, StoreEvent};

/// Pieces of the queue in one transaction, at least and at most. The more, the
/// more rows share a page that is written.
const GROUP_SMALLEST: usize = 16;
const GROUP_LARGEST: usize = 64;

/// About how long a transaction is to take at most, so that other writers of
/// the file get their turn.
const GROUP_TIME: Duration = Duration::from_millis(200);

/// Between two transactions without a pause, the time for another writer of
/// the file to notice that the lock is free.
const TURN: Duration = Duration::from_millis(1);

/// Between two attempts at a file that cannot be opened or written to, the
/// pause doubles from the first of these to the second.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// What [`StoreBuilder::on_recorded`](super::StoreBuilder::on_recorded) was given.
pub(super) type Hook = Box<dyn FnMut(&RequestEvent) + Send>;

/// Where the result of the first opening goes. Without it nobody waits, and
/// the writer goes on trying.
pub(super) type Report = Option<Sender<Result<(), OpenError>>>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    flush_interval: Duration,
    /// The same whenever this writer opens a file again.
    id: Uuid,
    session_ids: SessionIdForm,
    db: Option<Db>,
    ledger: Ledger,
    /// As they were when the queue was last asked.
    stats: Stats,
    /// Every event accepted before this moment is settled with the next group;
    /// unix milliseconds.
    as_of: i64,
    chains: Chains,
    /// One malformed listing was told, and that is enough.
    malformed_told: bool,
    /// Pieces of the queue in the next transaction.
    group: usize,
    /// The file could not be opened or written to at the last attempt.
    failing: bool,
    outages: Trouble,
    overloads: Trouble,
    rejections: Trouble,
    upkeep: Upkeep,
    hook: Option<Hook>,
    hook_panicked: bool,
}

/// Why a group cannot be written now.
struct Obstacle {
    reason: String,
    /// Somebody holds a lock, and will let go of it.
    is_lock: bool,
}

impl From<OpenError> for Obstacle {
    fn from(error: OpenError) -> Self {
        Self {
            reason: chain(&error),
            is_lock: error.kind() == OpenErrorKind::Locked,
        }
    }
}

impl From<WriteError> for Obstacle {
    fn from(error: WriteError) -> Self {
        Self {
            reason: error.to_string(),
            is_lock: error.is_busy(),
        }
    }
}

/// Events that SQLite refused, by their place in the group.
#[derive(Default)]
struct Rejected {
    places: Vec<usize>,
    first_reason: Option<String>,
}

/// What was committed of a group.
struct Written {
    /// How many of its pieces.
    chunks: usize,
    /// Every event accepted before then is.
    as_of: i64,
    rejected: Rejected,
}

/// Marks the queue as without a writer, also if the writer panicked.
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
        session_ids: SessionIdForm,
        upkeep: Upkeep,
        hook: Option<Hook>,
    ) -> Self {
        Self {
            shared,
            flush_interval,
            id: Uuid::now_v7(),
            session_ids,
            db: None,
            ledger: Ledger::default(),
            stats: Stats::default(),
            as_of: clock::unix_ms(),
            chains: Chains::default(),
            malformed_told: false,
            group: GROUP_SMALLEST,
            failing: false,
            outages: Trouble::default(),
            overloads: Trouble::default(),
            rejections: Trouble::default(),
            upkeep,
            hook,
            hook_panicked: false,
        }
    }

    /// Works until the queue is closed and written, or the time for it is up.
    pub(super) fn run(mut self, report: Report) {
        let shared = Arc::clone(&self.shared);
        shared.queue.attend();
        // Dropped before `self`: the hook may hold a handle of the store, which
        // waits for the end when it is the last one.
        let _ending = Ending(&shared);
        if self.open_first(report) {
            let mut due = Deadline::after(self.flush_interval);
            shared.queue.upkeep_at(self.upkeep.due());
            while let Some(work) = shared.queue.next(&mut due, self.flush_interval) {
                self.serve_waiting();
                match work {
                    Work::Commands => {}
                    Work::Alarm => shared.settle_overdue(),
                    Work::Upkeep => self.keep_up(),
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
            let error = match self.connection() {
                Ok(_) => {
                    self.succeeded();
                    if let Some(report) = report {
                        // Whoever asked is gone if this fails, and the queue closes.
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

    /// Waits before another attempt and does meanwhile what cannot wait;
    /// `false` if there is to be none.
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

    /// Writes `chunks`, which hold all events accepted before `until`, in groups;
    /// `false` if the time for it was up before.
    fn write(&mut self, mut chunks: VecDeque<Chunk>, until: i64) -> bool {
        while !chunks.is_empty() {
            self.serve_waiting();
            let mut group: Vec<Chunk> = chunks.drain(..self.group.min(chunks.len())).collect();
            self.read_pages(&mut group);
            let as_of = self.as_of..if chunks.is_empty() { until } else { self.as_of };
            let start = Instant::now();
            let Some(written) = self.write_group(&group, as_of) else {
                return false;
            };
            self.as_of = written.as_of;
            if written.chunks < group.len() {
                let left = group.split_off(written.chunks);
                left.into_iter()
                    .rev()
                    .for_each(|chunk| chunks.push_front(chunk));
            } else {
                self.group = next_group(self.group, group.len(), start.elapsed());
            }
            self.call_hook(&group, &written.rejected);
            self.upkeep.wrote(events(&group).count() as u64);
            self.shared
                .queue
                .settle(group, written.rejected.places.len());
            self.keep_wal_short();
            // Under full load, or where the flush interval is shorter than a
            // transaction, the queue never says that it is time.
            let has_commands = self.shared.queue.has_commands();
            if !has_commands && self.upkeep.due().has_passed() {
                self.keep_up();
            }
            if !has_commands && !chunks.is_empty() {
                std::thread::sleep(TURN);
            }
        }
        self.shared.queue.upkeep_at(self.upkeep.due());
        true
    }

    /// Does one slice of upkeep.
    fn keep_up(&mut self) {
        match self.db.as_ref().filter(|db| !db.is_displaced()) {
            Some(db) => self.upkeep.step(db),
            None => self.upkeep.put_off(),
        }
        self.keep_wal_short();
        self.shared.queue.upkeep_at(self.upkeep.due());
    }

    /// Between two transactions.
    fn keep_wal_short(&self) {
        if let Some(db) = &self.db {
            db.keep_wal_short();
        }
    }

    /// Reads the pages of listings in the group, once and before the
    /// transaction, which holds the file's lock. They may be megabytes, so
    /// whoever waits is served between two of them.
    fn read_pages(&mut self, group: &mut [Chunk]) {
        let now = Instant::now();
        self.chains.forget_overdue(now);
        for entry in group.iter_mut().flat_map(|chunk| &mut chunk.events) {
            if !matches!(entry, Entry::Page(_)) {
                continue;
            }
            let Entry::Page(page) = std::mem::replace(entry, Entry::Listing(None)) else {
                continue;
            };
            let method = page.origin.of.method();
            let counters = &self.shared.counters;
            let malformed = match self.chains.join(*page, now) {
                Joined::Complete(seen) => {
                    let malformed = seen.listing.duplicates;
                    *entry = Entry::Listing(Some(seen));
                    malformed
                }
                Joined::Partial => false,
                Joined::TooLong => {
                    counters.listings_too_long.fetch_add(1, Relaxed);
                    false
                }
                Joined::Malformed => true,
            };
            if malformed {
                counters.listings_malformed.fetch_add(1, Relaxed);
                if !std::mem::replace(&mut self.malformed_told, true) {
                    tracing::warn!(
                        "an answer to {method} is not what the protocol says: it is broken or \
                         nested too deeply, or its items have no names of their own"
                    );
                }
            }
            self.serve_waiting();
        }
    }

    /// Tries until the group is committed; `None` if the time was up before.
    fn write_group(&mut self, group: &[Chunk], as_of: Range<i64>) -> Option<Written> {
        let mut pause = PAUSE_FIRST;
        loop {
            if self.shared.queue.is_overdue() {
                return None;
            }
            self.ask_queue();
            match self.attempt(group, as_of.clone()) {
                Ok(written) => {
                    self.succeeded();
                    return Some(written);
                }
                Err(obstacle) => {
                    self.tell_outage(&obstacle);
                    self.failed(obstacle.reason);
                }
            }
            if !self.pause(pause) {
                return None;
            }
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// The ledger and the accounts change with the file or not at all.
    fn attempt(&mut self, group: &[Chunk], as_of: Range<i64>) -> Result<Written, Obstacle> {
        let shared = Arc::clone(&self.shared);
        let (stats, mut ledger) = (self.stats, self.ledger.clone());
        let db = self.connection()?;
        match commit(db, group, &mut ledger, stats, as_of, &shared.queue) {
            Ok(written) => {
                self.ledger = ledger;
                self.tell(&written.rejected);
                Ok(written)
            }
            Err(error) => Err(self.failed_with(error)),
        }
    }

    /// The file, opened if it is not or was moved.
    fn connection(&mut self) -> Result<&mut Db, OpenError> {
        if let Some(db) = self.db.take_if(|db| db.is_displaced()) {
            let path = self.shared.path.display();
            tracing::warn!(%path, "the store's file was moved or removed, opening its path anew");
            db.leave(&self.stats.accounts(clock::unix_ms()));
            self.ledger.forget_rows();
        }
        match &mut self.db {
            Some(db) => Ok(db),
            empty => Ok(empty.insert(Db::open(&self.shared.path, self.id, self.session_ids)?)),
        }
    }

    /// Lets go of a connection that is of no more use.
    fn failed_with(&mut self, error: WriteError) -> Obstacle {
        if error.is_of_connection() {
            self.db = None;
            self.ledger.forget_rows();
        }
        error.into()
    }

    /// Takes over what the queue refused, and the accounts of that moment.
    fn ask_queue(&mut self) {
        let refused = self.shared.queue.take_refused();
        self.note(refused);
    }

    fn note(&mut self, refused: Refused) {
        self.stats = refused.stats;
        self.shared.counters.fill(&mut self.stats);
        let path = self.shared.path.display();
        if let Some(stretch) = refused.queue_full {
            if let Some(dropped) = self.overloads.happened(stretch.dropped, Instant::now()) {
                tracing::warn!(%path, "the store's queue is full, {dropped} events dropped so far");
            }
            self.ledger.add(LossReason::QueueFull, stretch);
        }
        if let Some(stretch) = refused.shutdown {
            self.ledger.add(LossReason::Shutdown, stretch);
        }
    }

    /// Tells when rows begin to be rejected, and when a stretch is over.
    fn tell(&mut self, rejected: &Rejected) {
        if let Some(reason) = &rejected.first_reason {
            let count = rejected.places.len() as u64;
            if let Some(count) = self.rejections.happened(count, Instant::now()) {
                let path = self.shared.path.display();
                tracing::warn!(%path, "the store refused an event, {count} failed so far: {reason}");
            }
        } else if self.rejections.is_over() {
            tracing::info!("the store takes all events again");
        }
        if !self.ledger.is_open(LossReason::QueueFull) && self.overloads.is_over() {
            tracing::info!("the store's queue has room again");
        }
    }

    /// Tells once that nothing can be written.
    fn tell_outage(&mut self, obstacle: &Obstacle) {
        if self.failing || self.outages.happened(1, Instant::now()).is_none() {
            return;
        }
        let Obstacle { reason, is_lock } = obstacle;
        let path = self.shared.path.display();
        if *is_lock {
            tracing::warn!(%path, "cannot write to the store, trying again: {reason}");
        } else {
            tracing::error!(%path, "cannot write to the store, trying again: {reason}");
        }
    }

    fn succeeded(&mut self) {
        if std::mem::take(&mut self.failing) && self.outages.is_over() {
            let stats = self.shared.queue.stats();
            tracing::info!("the store is written to again; {stats}");
        }
        self.shared.queue.set_condition(StoreState::Ready);
    }

    fn failed(&mut self, reason: String) {
        self.failing = true;
        self.shared
            .queue
            .set_condition(StoreState::Failing { reason });
    }

    /// Shows the hook every request that is in the file now.
    fn call_hook(&mut self, group: &[Chunk], rejected: &Rejected) {
        let Some(hook) = self.hook.as_mut().filter(|_| !self.hook_panicked) else {
            return;
        };
        let mut places = rejected.places.iter().copied().peekable();
        for (place, event) in events(group).enumerate() {
            if places.next_if_eq(&place).is_some() {
                continue;
            }
            let Entry::Event(StoreEvent::Request(request)) = event else {
                continue;
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(request))) {
                let message = panic_message(&*panic);
                tracing::error!("the on_recorded hook panicked and is not called again: {message}");
                self.hook_panicked = true;
                return;
            }
        }
    }

    /// Gives up what is left, tells so in the file if that is possible, and
    /// closes it.
    fn close(&mut self) {
        self.shared.readers.close();
        let refused = self.shared.queue.give_up();
        if let Some(stretch) = refused.shutdown {
            let lost = stretch.dropped;
            tracing::warn!("{lost} events came too late for the store and are lost");
        }
        self.note(refused);
        let Some(db) = self.db.take() else { return };
        let time_left = self.shared.queue.time_left();
        let accounts = self.stats.accounts(clock::unix_ms());
        if db.is_displaced() {
            db.leave(&self.stats.accounts(clock::unix_ms()));
        } else if let Err(error) = db.close(&mut self.ledger, &accounts, time_left) {
            tracing::warn!("the store could not be closed in order: {error}");
        }
    }
}

/// How many pieces to write next, where `pieces` of `limit` took so long.
fn next_group(limit: usize, pieces: usize, took: Duration) -> usize {
    if took > GROUP_TIME {
        (limit / 2).max(GROUP_SMALLEST)
    } else if took < GROUP_TIME / 2 && pieces == limit {
        (limit * 2).min(GROUP_LARGEST)
    } else {
        limit
    }
}

/// Writes the events of `group` in one transaction, or the first pieces of it if
/// somebody begins to wait for the writer. `stats` is from before, and so is the
/// beginning of `as_of`; its end is right once the whole group is written.
fn commit(
    db: &Db,
    group: &[Chunk],
    ledger: &mut Ledger,
    mut stats: Stats,
    as_of: Range<i64>,
    queue: &Queue,
) -> Result<Written, WriteError> {
    let mut transaction = db.group()?;
    let mut rejected = Rejected::default();
    let mut chunks = 0;
    let pieces = group.iter().take_while(|_| {
        let goes_on = chunks == 0 || !queue.has_commands();
        chunks += usize::from(goes_on);
        goes_on
    });
    for (place, event) in pieces.flat_map(|chunk| &chunk.events).enumerate() {
        let added = match event {
            Entry::Event(event) => transaction.add(event),
            Entry::Listing(Some(seen)) => transaction.add_listing(seen),
            Entry::Listing(None) | Entry::Page(_) => Ok(()),
        };
        match added {
            Ok(()) => {}
            Err(error @ WriteError::Row(_)) => {
                rejected.places.push(place);
                rejected
                    .first_reason
                    .get_or_insert_with(|| error.to_string());
            }
            Err(error) => return Err(error),
        }
    }
    let failed = rejected.places.len() as u64;
    if failed > 0 {
        ledger.add(LossReason::WriteFailed, Stretch::now(failed));
    }
    let written = group.iter().take(chunks);
    let events: usize = written.map(|chunk| chunk.events.len()).sum();
    stats.settle(events as u64, failed);
    let as_of = if chunks == group.len() {
        as_of.end
    } else {
        as_of.start
    };
    transaction.commit(ledger, &stats.accounts(as_of))?;
    Ok(Written {
        chunks,
        as_of,
        rejected,
    })
}

fn events(group: &[Chunk]) -> impl Iterator<Item = &Entry> {
    group.iter().flat_map(|chunk| &chunk.events)
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_grow_while_they_are_quick_and_full_and_shrink_when_they_are_slow() {
        let (quick, fair, slow) = (GROUP_TIME / 4, GROUP_TIME, GROUP_TIME * 2);
        for (limit, pieces, took, next) in [
            (16, 16, quick, 32),
            (16, 15, quick, 16),
            (32, 32, fair, 32),
            (64, 64, quick, 64),
            (64, 64, slow, 32),
            (16, 1, slow, 16),
        ] {
            assert_eq!(next_group(limit, pieces, took), next, "{pieces} of {limit}");
        }
    }
}
