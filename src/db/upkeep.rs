//! Rounds of upkeep: rolls requests up, removes old rows and shrinks the file, in
//! slices.
//!
//! The writer thread and `maintenance` run the same steps. They differ in which steps a
//! round has, in its limits, and in how long they pause between two slices.

use std::time::{Duration, Instant};

use super::{BucketWidth, Db, LonelyLegs, PrunableTables, Slice, Span, Unshipped, WriteError};

/// A step of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Rolls up all requests.
    RollUp,
    /// Removes rows that are too old and rolled up.
    Remove,
    /// Alternates slices that remove old rows with slices that roll requests up.
    RemoveAndRollUp,
    /// Removes the oldest history of listings.
    History,
    /// Removes statistics of one width that are too old.
    Statistics(BucketWidth),
    /// Removes the oldest statistics beyond their bound.
    StatisticsBytes,
    /// Returns free pages to the file system.
    Shrink,
}

/// What a round removes. Times are unix milliseconds; `None` removes nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Rows from before this time stay.
    pub(crate) from: i64,
    /// Rows from before this time are removed. Records with an expiry time of their own are
    /// removed in any case.
    pub(crate) before: i64,
    /// Whether rows that were not shipped stay.
    pub(crate) unshipped: Unshipped,
    /// Polls from before this time are removed.
    pub(crate) polls_before: Option<i64>,
    /// Hourly statistics from before this time are removed.
    pub(crate) hours_before: Option<i64>,
    /// Daily statistics from before this time are removed.
    pub(crate) days_before: Option<i64>,
    /// The most bytes that the history of listings takes.
    pub(crate) history_bytes: Option<u64>,
    /// The most bytes that the statistics take.
    pub(crate) statistics_bytes: Option<u64>,
    /// The most free pages that stay in the file.
    pub(crate) free_pages: FreePages,
}

impl Limits {
    /// Returns limits that remove rows from before `before` and all free pages, but no
    /// statistics and no history.
    pub(crate) fn before(before: i64, unshipped: Unshipped) -> Self {
        Self {
            from: i64::MIN,
            before,
            unshipped,
            polls_before: None,
            hours_before: None,
            days_before: None,
            history_bytes: None,
            statistics_bytes: None,
            free_pages: FreePages::None,
        }
    }
}

/// How many free pages stay in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FreePages {
    None,
    /// One page in `part` of the file, but at least `at_least` pages. The writer would soon
    /// need them again.
    Part {
        part: u64,
        at_least: u64,
    },
}

/// A round: its remaining steps, and the state of the current one.
#[derive(Debug)]
pub(crate) struct Round {
    /// The current step and those after it.
    steps: &'static [Step],
    /// The most requests that the round still rolls up.
    to_roll_up: u64,
    /// `RemoveAndRollUp` rolls up next.
    rolls_up_next: bool,
    /// The history was found within its bound.
    history_fits: bool,
    /// Some requests could not be rolled up, so the round does not try again.
    cannot_roll_up: bool,
    roll_up_failure: Option<WriteError>,
    /// Free pages were returned to the file system.
    has_shrunk: bool,
}

/// The steps of the writer thread. They first remove rows that are already rolled up, so that
/// the file shrinks early.
const HOUSEKEEPING: &[Step] = &[
    Step::RemoveAndRollUp,
    Step::History,
    Step::Statistics(BucketWidth::Hour),
    Step::Statistics(BucketWidth::Day),
    Step::StatisticsBytes,
    Step::Shrink,
];

const PRUNE: &[Step] = &[Step::RollUp, Step::Remove, Step::Shrink];

const SHRINK: &[Step] = &[Step::Shrink];

const NOTHING: Slice = Slice {
    count: 0,
    is_last: true,
};

impl Round {
    fn of(steps: &'static [Step]) -> Self {
        Self {
            steps,
            to_roll_up: 0,
            rolls_up_next: false,
            history_fits: false,
            cannot_roll_up: false,
            roll_up_failure: None,
            has_shrunk: false,
        }
    }

    /// Returns a round that has ended.
    pub(crate) fn ended() -> Self {
        Self::of(&[])
    }

    /// Returns a round of the writer thread, which has all steps.
    pub(crate) fn housekeeping(db: &Db) -> Result<Self, WriteError> {
        Ok(Self {
            to_roll_up: db.roll_up_lag()?,
            ..Self::of(HOUSEKEEPING)
        })
    }

    /// Returns a round that removes old rows and shrinks the file.
    pub(crate) fn prune() -> Self {
        Self::of(PRUNE)
    }

    /// Returns a round that shrinks the file.
    pub(crate) fn shrink() -> Self {
        Self::of(SHRINK)
    }

    /// Returns the current step; `None` after the last one.
    pub(crate) fn step(&self) -> Option<Step> {
        self.steps.first().copied()
    }

    /// Returns whether the history of listings was found within its bound.
    pub(crate) fn history_fits(&self) -> bool {
        self.history_fits
    }

    /// Returns whether some requests could not be rolled up. The others that are already
    /// in the statistics can still be removed.
    pub(crate) fn cannot_roll_up(&self) -> bool {
        self.cannot_roll_up
    }

    /// Takes the error because of which requests could not be rolled up, if it is new.
    pub(crate) fn take_roll_up_failure(&mut self) -> Option<WriteError> {
        self.roll_up_failure.take()
    }

    /// Runs a slice of the current step until about `until`, and waits up to `patience`
    /// for a lock. The last slice of a step leads to the next step.
    pub(crate) fn slice(
        &mut self,
        db: &Db,
        limits: &Limits,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        let Some((step, rest)) = self.steps.split_first() else {
            return Ok(NOTHING);
        };
        let slice = match *step {
            Step::RollUp => db.roll_up(LonelyLegs::Wait, patience, until),
            Step::Remove => remove(db, limits, patience, until),
            Step::RemoveAndRollUp => self.remove_and_roll_up(db, limits, patience, until),
            Step::History => self.shorten_history(db, limits, patience, until),
            Step::Statistics(width) => prune_statistics(db, width, limits, patience, until),
            Step::StatisticsBytes => shorten_statistics(db, limits, patience, until),
            Step::Shrink => self.shrink_slice(db, limits, patience, until),
        }?;
        if slice.is_last {
            self.steps = rest;
        }
        Ok(slice)
    }

    /// Rolls some requests up. Returns `true` if none are left, or none can be rolled up.
    pub(crate) fn roll_up(
        &mut self,
        db: &Db,
        lonely: LonelyLegs,
        patience: Duration,
        until: Instant,
    ) -> Result<bool, WriteError> {
        match db.roll_up(lonely, patience, until) {
            Ok(slice) => {
                self.to_roll_up = self.to_roll_up.saturating_sub(slice.count);
                Ok(slice.is_last)
            }
            Err(error) if error.is_busy() => Err(error),
            Err(WriteError::Replaced) => Err(WriteError::Replaced),
            Err(error) => {
                // If there is no room for more statistics, requests that were rolled up before
                // can still be removed.
                self.roll_up_failure = Some(error);
                self.cannot_roll_up = true;
                Ok(true)
            }
        }
    }

    /// Removes some of the oldest history of listings beyond its bound.
    pub(crate) fn shorten_history(
        &mut self,
        db: &Db,
        limits: &Limits,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        let Some(max_bytes) = limits.history_bytes else {
            return Ok(NOTHING);
        };
        let slice = db.shorten_history(limits.from, max_bytes, patience, until)?;
        self.history_fits |= slice.is_last;
        Ok(slice)
    }

    /// Continues after rows could not be removed: the remaining requests can still be
    /// rolled up. Ends the round if there are none.
    pub(crate) fn removal_failed(&mut self) {
        let is_removing = self.step() == Some(Step::RemoveAndRollUp) && !self.rolls_up_next;
        if is_removing && self.to_roll_up > 0 && !self.cannot_roll_up {
            self.rolls_up_next = true;
        } else {
            self.end();
        }
    }

    /// Ends the round. The next one does the remaining steps.
    pub(crate) fn end(&mut self) {
        self.steps = &[];
        self.rolls_up_next = false;
    }

    /// Cuts the file to its used length, if pages were returned. Only a checkpoint
    /// shortens the file itself.
    pub(crate) fn cut_file(&self, db: &Db) -> Result<(), WriteError> {
        match self.has_shrunk {
            true => db.checkpoint(),
            false => Ok(()),
        }
    }

    fn remove_and_roll_up(
        &mut self,
        db: &Db,
        limits: &Limits,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        if self.rolls_up_next {
            if self.roll_up(db, LonelyLegs::Wait, patience, until)? {
                self.to_roll_up = 0;
            }
            self.rolls_up_next = false;
            let (count, is_last) = (0, false);
            return Ok(Slice { count, is_last });
        }
        let removed = remove(db, limits, patience, until)?;
        self.rolls_up_next = removed.is_last && self.to_roll_up > 0 && !self.cannot_roll_up;
        Ok(Slice {
            is_last: removed.is_last && !self.rolls_up_next,
            ..removed
        })
    }

    fn shrink_slice(
        &mut self,
        db: &Db,
        limits: &Limits,
        patience: Duration,
        until: Instant,
    ) -> Result<Slice, WriteError> {
        let keep = match limits.free_pages {
            FreePages::None => 0,
            FreePages::Part { part, at_least } => (db.space()?.pages / part).max(at_least),
        };
        let slice = db.incremental_vacuum(keep, patience, until)?;
        self.has_shrunk |= slice.count > 0;
        if slice.is_last {
            self.cut_file(db)?;
        }
        Ok(slice)
    }
}

/// Removes polls and then all other rows that are too old.
fn remove(
    db: &Db,
    limits: &Limits,
    patience: Duration,
    until: Instant,
) -> Result<Slice, WriteError> {
    let Limits {
        from,
        before,
        unshipped,
        ..
    } = *limits;
    if let Some(before) = limits.polls_before {
        let polls = db.prune_polls(Span { from, before }, patience, until)?;
        if !polls.is_last {
            return Ok(polls);
        }
    }
    let span = Span { from, before };
    db.prune(PrunableTables::All, unshipped, span, patience, until)
}

fn prune_statistics(
    db: &Db,
    width: BucketWidth,
    limits: &Limits,
    patience: Duration,
    until: Instant,
) -> Result<Slice, WriteError> {
    let from = limits.from;
    let before = match width {
        BucketWidth::Hour => limits.hours_before,
        BucketWidth::Day => limits.days_before,
    };
    match before {
        Some(before) => db.prune_cells(width, Span { from, before }, patience, until),
        None => Ok(NOTHING),
    }
}

/// Removes some of the oldest statistics beyond their bound.
pub(crate) fn shorten_statistics(
    db: &Db,
    limits: &Limits,
    patience: Duration,
    until: Instant,
) -> Result<Slice, WriteError> {
    match limits.statistics_bytes {
        Some(max_bytes) => db.shorten_cells(max_bytes, patience, until),
        None => Ok(NOTHING),
    }
}
