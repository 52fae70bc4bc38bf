//! The writer thread's work on its file besides writing events: it rolls requests
//! up into statistics, and keeps the file within its [`Retention`].
//!
//! A round consists of slices of about [`SLICE`]. If the file is within its limit,
//! the writer thread pauses four times as long as a slice took before the next
//! slice. So a batch of events waits some milliseconds at most, and housekeeping
//! takes at most a fifth of the time. Between rounds nothing happens.
//!
//! The size is measured after every batch. A file over its limit does not wait for
//! a round. The share of the writer thread's time grows with the excess, up to
//! nearly all of it. If events arrive faster than rows can be removed, they wait in
//! the queue, and are dropped and counted before the file outgrows its limit. At
//! one and a half times the limit, rows are removed before the next event is
//! written. Requests are rolled up before they are removed, one slice at a time. If
//! rolling up fails, they are removed anyway, and the log and the file's `losses`
//! report it. In the same way, a file over its limit loses rows that a registered
//! shipper has not copied yet.

mod shrink;

use std::time::{Duration, Instant};

use super::Retention;
use super::deadline::Deadline;
use super::log_throttle::LogThrottle;
use crate::clock;
use crate::db::upkeep::{FreePages, Limits, Round};
use crate::db::{Db, Inherited, Unshipped, WriteError};

/// The working time of a slice, without its commit and without a checkpoint that
/// the commit triggers.
const SLICE: Duration = Duration::from_millis(3);

/// The share of the writer thread's time for a file within its limit, the
/// additional share for a file of twice its limit, and the largest share.
const SHARE: f64 = 0.2;
const SHARE_OF_EXCESS: f64 = 3.0;
const LARGEST_SHARE: f64 = 0.95;

/// The longest time that a slice waits while callers wait for the writer thread.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The longest time without a pause in a file that is too large but not at its ceiling.
const LONGEST_BUDGET: Duration = Duration::from_millis(250);

/// A file may exceed its limit by the first part of the limit, up to its ceiling. A file
/// that was larger when it was opened may grow beyond its smallest size by the second
/// part: it has to shrink, but not at once.
const CEILING_PART: u64 = 2;
const GROWTH_PART: u64 = 8;

/// The part of the file's limit that the history of listings may take, and the same
/// for the statistics.
const HISTORY_PART: u64 = 4;
const STATISTICS_PART: u64 = 4;

/// The free pages that stay in the file, because the writer thread would soon need them
/// again.
const FREE_PAGES: FreePages = FreePages::Part {
    part: 8,
    at_least: 256,
};

/// In a file that is too large, every fourth slice belongs to the round, so that
/// the other bounds of the round are kept, too.
const ROUND_SLICES: u32 = 4;

/// The delay of a round if another program holds the write lock. A slice waits for
/// the lock only if the file is too large, and then retries sooner.
const PUT_OFF: Duration = Duration::from_secs(1);
const PUT_OFF_SHORT: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_millis(20);

/// The delay of the next round after a failed one, as on a full disk.
const RETRY: Duration = Duration::from_secs(60);

/// A round begins after this time, after this number of events, or after events that
/// take this part of the file's limit in memory.
const ROUND: Duration = Duration::from_secs(60 * 60);
const ROUND_EVENTS: u64 = 65_536;
const ROUND_PART: u64 = 16;

/// The largest part of the file's limit that one transaction may add, by the size
/// of its events in memory. In the file they may take several times as much.
const GROUP_PART: u64 = 64;

#[derive(Debug)]
pub(super) struct Housekeeping {
    retention: Retention,
    /// The retention is the default, which does not apply to rows that were in the file
    /// before its migration.
    spares_inherited: bool,
    /// The rows to which the default does not apply.
    inherited: Option<Inherited>,
    /// The current round, or the last one.
    round: Round,
    next: Deadline,
    /// When the next round is due, even if nothing is written.
    next_round: Deadline,
    /// Number of events since the round began.
    written: u64,
    written_bytes: u64,
    /// The part of the file's limit by which the file exceeds it; 0 if the file fits.
    excess: f64,
    /// The smallest size of the used part of the file so far.
    smallest: u64,
    /// The file has reached its ceiling.
    is_at_ceiling: bool,
    /// Nothing can be removed from the file.
    is_stuck: bool,
    /// When housekeeping last paused.
    rested_since: Instant,
    slices: u32,
    /// A part of this round failed.
    failed: bool,
    failures: LogThrottle,
    excesses: LogThrottle,
    losses: LogThrottle,
    unshipped: LogThrottle,
}

impl Housekeeping {
    /// Makes the housekeeping of a store. `None` is the default retention, which does
    /// not apply to rows of older versions.
    pub(super) fn new(retention: Option<Retention>) -> Self {
        Self {
            retention: retention.unwrap_or_default(),
            spares_inherited: retention.is_none(),
            inherited: None,
            round: Round::ended(),
            next: Deadline::after(Duration::ZERO),
            next_round: Deadline::after(Duration::ZERO),
            written: 0,
            written_bytes: 0,
            excess: 0.0,
            smallest: u64::MAX,
            is_at_ceiling: false,
            is_stuck: false,
            rested_since: Instant::now(),
            slices: 0,
            failed: false,
            failures: LogThrottle::default(),
            excesses: LogThrottle::default(),
            losses: LogThrottle::default(),
            unshipped: LogThrottle::default(),
        }
    }

    /// Returns the limits of the file.
    pub(super) fn retention(&self) -> Retention {
        self.retention
    }

    /// Returns when the next slice is due.
    pub(super) fn due(&self) -> Deadline {
        self.next
    }

    /// Returns whether a slice is due that precedes commands: the file is too large, or
    /// the slice has waited too long.
    pub(super) fn is_pressing(&self) -> bool {
        self.is_urgent() || self.next.is_past_by(LONGEST_WAIT)
    }

    /// Returns whether the file is too large and rows may be left to remove.
    pub(super) fn is_urgent(&self) -> bool {
        self.excess > 0.0 && !self.is_stuck
    }

    /// Returns whether rows have to be removed before the next event is written.
    pub(super) fn is_at_ceiling(&self) -> bool {
        self.is_urgent() && self.is_at_ceiling
    }

    /// Returns how much memory the events of one transaction may take.
    pub(super) fn batch_bytes(&self) -> u64 {
        self.retention
            .max_bytes
            .map_or(u64::MAX, |bytes| bytes / GROUP_PART)
    }

    /// Counts `events` that were written, and the `bytes` of memory that they took.
    pub(super) fn wrote(&mut self, db: &Db, events: u64, bytes: u64) {
        self.written += events;
        self.written_bytes += bytes;
        // The new rows can be removed.
        self.is_stuck = false;
        let measured = self.measure(db);
        if let Err(error) = measured {
            tracing::debug!(%error, "the size of the store's file cannot be read");
        }
        if self.is_urgent() || self.is_between_rounds() && self.is_round_due() {
            self.next = Deadline::after(Duration::ZERO);
        }
    }

    /// Returns how long slices may follow each other without a pause. The first one runs in
    /// any case. A file that is too large gets its share of the time since the last pause.
    pub(super) fn budget(&self) -> Duration {
        if !self.is_urgent() {
            return Duration::ZERO;
        }
        let share = self.share();
        let budget = self.rested_since.elapsed().mul_f64(share / (1.0 - share));
        budget.min(LONGEST_BUDGET)
    }

    /// Notes that housekeeping pauses now.
    pub(super) fn rest(&mut self) {
        self.rested_since = Instant::now();
    }

    fn share(&self) -> f64 {
        let share = match self.is_urgent() {
            true => SHARE + SHARE_OF_EXCESS * self.excess,
            false => SHARE,
        };
        share.min(LARGEST_SHARE)
    }

    /// Runs one slice. Returns whether another one may follow at once.
    pub(super) fn step(&mut self, db: &Db) -> bool {
        let start = Instant::now();
        self.slices = self.slices.wrapping_add(1);
        match self.work(db, start + SLICE) {
            Ok(()) => {
                self.schedule(start);
                return true;
            }
            Err(error) if error.is_busy() => {
                let put_off = if self.is_urgent() {
                    PUT_OFF_SHORT
                } else {
                    PUT_OFF
                };
                self.next = Deadline::after(put_off);
            }
            Err(WriteError::Replaced) => self.put_off(),
            Err(error) => {
                self.log_failure(&error);
                self.is_stuck = true;
                self.round.removal_failed();
                self.schedule(start);
            }
        }
        false
    }

    fn work(&mut self, db: &Db, until: Instant) -> Result<(), WriteError> {
        if self.is_between_rounds() && self.is_round_due() {
            self.begin_round(db)?;
        }
        self.measure(db)?;
        let limits = self.limits();
        let is_for_round = !self.is_between_rounds() && self.slices.is_multiple_of(ROUND_SLICES);
        let done = match self.is_urgent() && !is_for_round {
            true => self.shorten(db, &limits, until),
            false => self
                .round
                .slice(db, &limits, self.patience(), until)
                .map(drop),
        };
        if let Some(error) = self.round.take_roll_up_failure() {
            self.log_failure(&error);
        }
        done
    }

    fn is_between_rounds(&self) -> bool {
        self.round.step().is_none()
    }

    /// Returns the limits of a slice that runs now.
    fn limits(&self) -> Limits {
        let Retention {
            max_age,
            max_bytes,
            polls,
            hourly,
            daily,
        } = self.retention;
        Limits {
            from: self.inherited.map_or(i64::MIN, |file| file.before),
            before: max_age.map_or(i64::MIN, ago),
            unshipped: Unshipped::Keep,
            polls_before: polls.map(ago),
            hours_before: hourly.map(ago),
            days_before: daily.map(ago),
            history_bytes: max_bytes.map(|bytes| bytes / HISTORY_PART),
            statistics_bytes: max_bytes.map(|bytes| bytes / STATISTICS_PART),
            free_pages: FREE_PAGES,
        }
    }

    fn is_round_due(&self) -> bool {
        let bytes = self.retention.max_bytes;
        let bytes = bytes.map(|bytes| (bytes / ROUND_PART).max(1));
        self.next_round.has_passed()
            || self.written >= ROUND_EVENTS
            || bytes.is_some_and(|bytes| self.written_bytes >= bytes)
    }

    fn begin_round(&mut self, db: &Db) -> Result<(), WriteError> {
        if self.spares_inherited {
            db.correct_inherited(self.patience())?;
            self.inherited = db.inherited()?;
        }
        self.round = Round::housekeeping(db)?;
        self.next_round = Deadline::after(ROUND);
        self.written = 0;
        self.written_bytes = 0;
        self.is_stuck = false;
        self.failed = false;
        Ok(())
    }

    /// Sets when the slice after the one that began at `start` is due.
    fn schedule(&mut self, start: Instant) {
        let has_failed = self.is_between_rounds() && self.failed;
        if has_failed {
            self.next_round = self.next_round.earlier(Deadline::after(RETRY));
        }
        let is_round_due = self.is_round_due() && !has_failed;
        self.next = match self.is_urgent() || !self.is_between_rounds() || is_round_due {
            true => Deadline::at(start + start.elapsed().div_f64(self.share())),
            false => self.next_round,
        };
    }

    /// Ends the round, because no file is open.
    pub(super) fn put_off(&mut self) {
        self.round.end();
        self.excess = 0.0;
        self.smallest = u64::MAX;
        self.next_round = Deadline::after(ROUND);
        self.next = self.next_round;
    }

    fn measure(&mut self, db: &Db) -> Result<(), WriteError> {
        let Some(mut limit) = self.retention.max_bytes else {
            return Ok(());
        };
        let used = db.size()?.used;
        if used > limit && self.spares_inherited {
            self.inherited = db.inherited()?;
            let inherited = self.inherited.map_or(0, |file| file.bytes);
            limit = limit.saturating_add(inherited);
        }
        self.excess = used.saturating_sub(limit) as f64 / limit.max(1) as f64;
        self.smallest = self.smallest.min(used);
        let ceiling = limit.saturating_add(limit / CEILING_PART);
        let growth = self.smallest.saturating_add(limit / GROWTH_PART);
        self.is_at_ceiling = used > ceiling.max(growth);
        Ok(())
    }

    fn patience(&self) -> Duration {
        match self.is_urgent() {
            true => PATIENCE,
            false => Duration::ZERO,
        }
    }
}

/// Returns the time `age` before now, in unix milliseconds.
fn ago(age: Duration) -> i64 {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    clock::unix_ms().saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slice_that_yielded_for_a_second_is_pressing() {
        let mut housekeeping = Housekeeping::new(None);
        let now = Instant::now();
        for (due, is_pressing) in [
            (Deadline::at(now), false),
            (Deadline::NEVER, false),
            (Deadline::at(now - LONGEST_WAIT), true),
        ] {
            housekeeping.next = due;
            assert_eq!(housekeeping.is_pressing(), is_pressing, "{due:?}");
        }
    }

    #[test]
    fn share_of_time_grows_with_the_excess_up_to_nearly_all() {
        let mut housekeeping = Housekeeping::new(None);
        let mut before = housekeeping.share();
        assert!((before - SHARE).abs() < 1e-9);
        for excess in [0.05, 0.1, 0.2] {
            housekeeping.excess = excess;
            assert!(housekeeping.share() > before, "{excess}");
            before = housekeeping.share();
        }
        housekeeping.excess = 10.0;
        assert!((housekeeping.share() - LARGEST_SHARE).abs() < 1e-9);
        housekeeping.rested_since = Instant::now() - Duration::from_secs(60);
        assert_eq!(housekeeping.budget(), LONGEST_BUDGET);
        // A file that cannot shrink takes no more time than any other file.
        housekeeping.is_stuck = true;
        assert!((housekeeping.share() - SHARE).abs() < 1e-9);
        assert_eq!(housekeeping.budget(), Duration::ZERO);
    }

    #[test]
    fn small_file_stops_growing_and_large_file_keeps_shrinking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        crate::Store::open(&path)
            .unwrap()
            .shutdown(Duration::from_secs(30))
            .unwrap();
        let db = Db::open_to_maintain(&path).unwrap();
        let used = db.size().unwrap().used;
        let limit = |bytes| Retention::default().max_bytes(bytes);
        for (max_bytes, was, is_at_ceiling) in [
            (used, 0, false),
            (used * 5 / 8, 0, true),
            (used / 2, used - 1, false),
            (used / 2, used / 2, true),
        ] {
            let mut housekeeping = Housekeeping::new(Some(limit(max_bytes)));
            housekeeping.smallest = was;
            housekeeping.measure(&db).unwrap();
            assert_eq!(
                housekeeping.is_at_ceiling(),
                is_at_ceiling,
                "{max_bytes}, {was}"
            );
        }
    }
}
