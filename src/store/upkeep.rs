//! What the writer does for its file when it has nothing to write: folding
//! requests into statistics, and keeping to the [`Retention`].
//!
//! It is done in rounds, and a round in slices. A slice takes about [`SLICE`],
//! then four times as long passes before the next: so a group of events waits a
//! few milliseconds at most, and upkeep takes no more than a fifth of the
//! writer's time, whatever there is to do. Between rounds nothing happens.

use std::time::{Duration, Instant};

use super::Retention;
use super::deadline::Deadline;
use super::trouble::Trouble;
use crate::clock;
use crate::db::{Db, Kinds, Slice, Span, Width, WriteError};

/// How long a slice works. What it has to commit, and a checkpoint that falls
/// due with that, come on top.
const SLICE: Duration = Duration::from_millis(3);

/// A slice begins after so many times the time that the last one took.
const SHARE: u32 = 5;

/// How long a round is put off when another program holds the write lock,
/// which a slice does not wait for.
const PUT_OFF: Duration = Duration::from_secs(1);

/// The next round comes sooner after one that failed, as on a full disk.
const RETRY: Duration = Duration::from_secs(60);

/// Rounds begin after so long, or so many events.
const ROUND: Duration = Duration::from_secs(60 * 60);
const ROUND_EVENTS: u64 = 65_536;

/// What part of the file's limit the history of listings may take.
const HISTORY_PART: u64 = 4;

/// Free pages stay in the file up to this part of it, and this number: to give
/// them back and ask for them again would cost more than they are worth.
const FREE_PART: u64 = 8;
const FREE_PAGES: u64 = 256;

#[derive(Debug)]
pub(super) struct Upkeep {
    retention: Retention,
    /// Nobody asked for this retention, so it is not for the rows of a file
    /// that was written without one.
    spares_inherited: bool,
    stage: Stage,
    next: Deadline,
    /// Events since the round began.
    written: u64,
    /// Something of this round could not be done.
    failed: bool,
    /// Pages were given back in this round.
    shrunk: bool,
    failures: Trouble,
    excesses: Trouble,
}

/// What is done in a round, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Before anything is removed.
    Fold,
    Age,
    History,
    Size,
    Cells(Width),
    Shrink,
    /// Until the next round.
    Rest,
}

impl Stage {
    fn next(self) -> Self {
        match self {
            Self::Rest => Self::Fold,
            Self::Fold => Self::Age,
            Self::Age => Self::History,
            Self::History => Self::Size,
            Self::Size => Self::Cells(Width::Hour),
            Self::Cells(Width::Hour) => Self::Cells(Width::Day),
            Self::Cells(Width::Day) => Self::Shrink,
            Self::Shrink => Self::Rest,
        }
    }
}

const NOTHING: Slice = Slice {
    count: 0,
    is_last: true,
};

impl Upkeep {
    /// `None` stands for the default, which spares what older versions wrote.
    pub(super) fn new(retention: Option<Retention>) -> Self {
        Self {
            retention: retention.unwrap_or_default(),
            spares_inherited: retention.is_none(),
            stage: Stage::Rest,
            next: Deadline::after(Duration::ZERO),
            written: 0,
            failed: false,
            shrunk: false,
            failures: Trouble::default(),
            excesses: Trouble::default(),
        }
    }

    /// When the next slice is due.
    pub(super) fn due(&self) -> Deadline {
        self.next
    }

    /// So many events more are in the file.
    pub(super) fn wrote(&mut self, events: u64) {
        self.written += events;
        if self.stage == Stage::Rest && self.written >= ROUND_EVENTS {
            self.next = Deadline::after(Duration::ZERO);
        }
    }

    /// Does one slice.
    pub(super) fn step(&mut self, db: &Db) {
        let start = Instant::now();
        if self.stage == Stage::Rest {
            self.stage = Stage::Fold;
            self.written = 0;
            self.failed = false;
            self.shrunk = false;
        }
        match self.slice(db, start + SLICE) {
            Ok(slice) => {
                if slice.is_last {
                    self.stage = self.stage.next();
                }
                self.schedule(start);
            }
            Err(error) if error.is_busy() => self.next = Deadline::after(PUT_OFF),
            Err(WriteError::Displaced) => self.put_off(),
            Err(error) => {
                if self.failures.happened(1, Instant::now()).is_some() {
                    tracing::warn!("the store's file cannot be kept to its limits: {error}");
                }
                self.failed = true;
                // Where there is no room for more cells, what is folded can still
                // be removed, and what is not stays.
                self.stage = match self.stage {
                    Stage::Fold => Stage::Age,
                    _ => Stage::Rest,
                };
                self.schedule(start);
            }
        }
    }

    /// Sets when the slice after the one that began at `start` is due.
    fn schedule(&mut self, start: Instant) {
        self.next = match self.stage {
            Stage::Rest if self.failed => Deadline::after(RETRY),
            Stage::Rest if self.written < ROUND_EVENTS => Deadline::after(ROUND),
            _ => Deadline::at(start + SHARE * start.elapsed()),
        };
    }

    /// Ends the round: there is no file to work on.
    pub(super) fn put_off(&mut self) {
        self.stage = Stage::Rest;
        self.next = Deadline::after(ROUND);
    }

    fn slice(&mut self, db: &Db, until: Instant) -> Result<Slice, WriteError> {
        let patience = Duration::ZERO;
        match self.stage {
            Stage::Fold => db.fold(patience, until),
            Stage::Age => {
                // What says itself when it expires goes in any case.
                let before = self.retention.max_age.map_or(i64::MIN, ago);
                let (from, _) = self.spared(db)?;
                db.prune(Kinds::All, Span { from, before }, patience, until)
            }
            Stage::History => {
                let Some(max_bytes) = self.retention.max_bytes else {
                    return Ok(NOTHING);
                };
                let (from, _) = self.spared(db)?;
                db.shorten_history(from, max_bytes / HISTORY_PART, patience, until)
            }
            Stage::Size => self.shorten(db, until),
            Stage::Cells(width) => {
                let age = match width {
                    Width::Hour => self.retention.hourly,
                    Width::Day => self.retention.daily,
                };
                match age.map(ago) {
                    Some(before) => db.prune_cells(width, before, patience, until),
                    None => Ok(NOTHING),
                }
            }
            Stage::Shrink => {
                let keep = (db.space()?.pages / FREE_PART).max(FREE_PAGES);
                let slice = db.give_back(keep, patience, until)?;
                self.shrunk |= slice.count > 0;
                if slice.is_last && self.shrunk {
                    // The file itself becomes shorter only now.
                    db.checkpoint()?;
                }
                Ok(slice)
            }
            Stage::Rest => Ok(NOTHING),
        }
    }

    /// Prunes the oldest rows of a file that is too large.
    fn shorten(&mut self, db: &Db, until: Instant) -> Result<Slice, WriteError> {
        let Some(max_bytes) = self.retention.max_bytes else {
            return Ok(NOTHING);
        };
        let (from, bytes) = self.spared(db)?;
        let used = db.space()?.used_bytes().saturating_sub(db.event_bytes()?);
        if used <= max_bytes.saturating_add(bytes) {
            return Ok(NOTHING);
        }
        let pruned = match db.next_horizon(from)? {
            Some(before) => {
                let span = Span { from, before };
                db.prune(Kinds::Traffic, span, Duration::ZERO, until)?
            }
            None => NOTHING,
        };
        let is_stuck = pruned.count == 0;
        if is_stuck && self.excesses.happened(1, Instant::now()).is_some() {
            tracing::warn!(
                "the store's file has {used} bytes in use, over its limit of {max_bytes}, \
                 and nothing more to remove"
            );
        }
        Ok(Slice {
            is_last: is_stuck,
            ..pruned
        })
    }

    /// From when on rows may be pruned, and how many bytes do not count.
    fn spared(&self, db: &Db) -> Result<(i64, u64), WriteError> {
        let inherited = match self.spares_inherited {
            true => db.inherited()?,
            false => None,
        };
        Ok(inherited.map_or((i64::MIN, 0), |file| (file.before, file.bytes)))
    }
}

/// The time so long before now, in unix milliseconds.
fn ago(age: Duration) -> i64 {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    clock::unix_ms().saturating_sub(age)
}
