//! The work of one slice.

use std::time::{Duration, Instant};

use super::{Housekeeping, Stage};
use crate::clock;
use crate::db::{BucketWidth, Db, LonelyLegs, PrunableTables, Slice, Span, WriteError};

/// The part of the file's limit that the history of listings may take, and the same
/// for the cells of the statistics.
const HISTORY_PART: u64 = 4;
const CELLS_PART: u64 = 4;

/// Up to this part of the file, and this number of pages, free pages stay in the
/// file, because the writer thread would soon need them again.
const FREE_PART: u64 = 8;
const FREE_PAGES: u64 = 256;

const NOTHING: Slice = Slice {
    count: 0,
    is_last: true,
};

impl Housekeeping {
    /// Runs a slice of the round's current stage.
    pub(super) fn round(&mut self, db: &Db, until: Instant) -> Result<Slice, WriteError> {
        let (patience, from) = (self.patience(), self.from());
        match self.stage {
            Stage::Age => {
                if let Some(before) = self.retention.polls.map(ago) {
                    let polls = db.prune_polls(Span { from, before }, patience, until)?;
                    if !polls.is_last {
                        return Ok(polls);
                    }
                }
                // Records with an expiry time of their own are removed in any case.
                let before = self.retention.max_age.map_or(i64::MIN, ago);
                let slice =
                    db.prune(PrunableTables::All, Span { from, before }, patience, until)?;
                if slice.is_last && self.to_fold > 0 && !self.cannot_fold {
                    self.stage = Stage::Fold;
                    return Ok(Slice {
                        is_last: false,
                        ..slice
                    });
                }
                Ok(slice)
            }
            Stage::Fold => {
                if self.fold(db, LonelyLegs::Wait, until)? {
                    self.to_fold = 0;
                }
                Ok(NOTHING)
            }
            Stage::History => self.shorten_history(db, until),
            Stage::Cells(width) => {
                let age = match width {
                    BucketWidth::Hour => self.retention.hourly,
                    BucketWidth::Day => self.retention.daily,
                };
                match age.map(ago) {
                    Some(before) => db.prune_cells(width, Span { from, before }, patience, until),
                    None => Ok(NOTHING),
                }
            }
            Stage::CellBytes => self.shorten_cells(db, until),
            Stage::Shrink => {
                let keep = (db.space()?.pages / FREE_PART).max(FREE_PAGES);
                let slice = db.incremental_vacuum(keep, patience, until)?;
                self.shrunk |= slice.count > 0;
                if slice.is_last && self.shrunk {
                    // Only a checkpoint shortens the file itself.
                    db.checkpoint()?;
                }
                Ok(slice)
            }
            Stage::Rest => Ok(NOTHING),
        }
    }

    /// Rolls some requests up. Returns whether none are left, or none can be rolled up.
    fn fold(&mut self, db: &Db, lonely: LonelyLegs, until: Instant) -> Result<bool, WriteError> {
        match db.fold(lonely, self.patience(), until) {
            Ok(slice) => {
                self.to_fold = self.to_fold.saturating_sub(slice.count);
                Ok(slice.is_last)
            }
            Err(error) if error.is_busy() => Err(error),
            Err(WriteError::Replaced) => Err(WriteError::Replaced),
            Err(error) => {
                // If there is no room for more cells, requests that were rolled up before can
                // still be removed.
                self.log_failure(&error);
                self.cannot_fold = true;
                Ok(true)
            }
        }
    }

    fn shorten_history(&mut self, db: &Db, until: Instant) -> Result<Slice, WriteError> {
        let Some(max_bytes) = self.retention.max_bytes else {
            return Ok(NOTHING);
        };
        let (from, patience) = (self.from(), self.patience());
        let slice = db.shorten_history(from, max_bytes / HISTORY_PART, patience, until)?;
        self.history_fits |= slice.is_last;
        Ok(slice)
    }

    fn shorten_cells(&mut self, db: &Db, until: Instant) -> Result<Slice, WriteError> {
        match self.retention.max_bytes {
            Some(max_bytes) => db.shorten_cells(max_bytes / CELLS_PART, self.patience(), until),
            None => Ok(NOTHING),
        }
    }

    /// Shrinks a file that is too large: first the parts that have bounds of their own
    /// within the limit, then polls, then the oldest rows.
    pub(super) fn shorten(&mut self, db: &Db, until: Instant) -> Result<(), WriteError> {
        let Some(max_bytes) = self.retention.max_bytes else {
            return Ok(());
        };
        if db.size()?.cells > max_bytes / CELLS_PART && self.shorten_cells(db, until)?.count > 0 {
            return Ok(());
        }
        let (from, patience) = (self.from(), self.patience());
        if !self.history_fits {
            if db.shorten_accounts(patience, until)?.is_last {
                self.shorten_history(db, until)?;
            }
            return Ok(());
        }
        let polls = Span {
            from,
            before: i64::MAX,
        };
        if db.prune_polls(polls, patience, until)?.count > 0 {
            return Ok(());
        }
        // The remaining polls are rolled up and then removed before any other row.
        if !self.cannot_fold && db.has_polls(from)? && !self.fold(db, LonelyLegs::Fold, until)? {
            return Ok(());
        }
        // Rows whose clock was ahead were written before all others.
        let ahead = clock::latest_ms().max(from);
        let span = match db.next_cutoff(ahead)? {
            Some(before) => Some(Span {
                from: ahead,
                before,
            }),
            None => {
                let before = db.next_cutoff(from)?;
                before.map(|before| Span { from, before })
            }
        };
        let Some(span) = span else {
            self.log_excess(db.size()?.used, max_bytes);
            return Ok(());
        };
        if db
            .prune(PrunableTables::Traffic, span, patience, until)?
            .count
            > 0
        {
            return Ok(());
        }
        // No rolled-up row is left to remove, so more are rolled up.
        if !self.cannot_fold && !self.fold(db, LonelyLegs::Fold, until)? {
            return Ok(());
        }
        let kinds = match self.cannot_fold {
            true => PrunableTables::Uncounted,
            false => PrunableTables::Traffic,
        };
        let removed = db.prune(kinds, span, patience, until)?.count;
        match (removed, kinds) {
            (0, _) => self.log_excess(db.size()?.used, max_bytes),
            (_, PrunableTables::Uncounted) => self.log_uncounted(removed),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn log_failure(&mut self, error: &WriteError) {
        if self.failures.happened(1, Instant::now()).is_some() {
            tracing::warn!("the store's file cannot be kept to its limits: {error}");
        }
        self.failed = true;
    }

    /// Logs that nothing more can be removed.
    fn log_excess(&mut self, used: u64, max_bytes: u64) {
        self.is_stuck = true;
        if self.excesses.happened(1, Instant::now()).is_some() {
            tracing::warn!(
                "the store's file has {used} bytes in use, over its limit of {max_bytes}, \
                 and nothing more to remove"
            );
        }
    }

    /// Logs how many removed rows are in no statistic. `losses` holds the number, too.
    fn log_uncounted(&mut self, rows: u64) {
        if let Some(rows) = self.losses.happened(rows, Instant::now()) {
            tracing::warn!(
                "the store's file is over its limit and its statistics cannot be written, \
                 {rows} rows removed so far; the statistics lack the requests among them"
            );
        }
    }
}

/// Returns the time `age` before now, in unix milliseconds.
fn ago(age: Duration) -> i64 {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    clock::unix_ms().saturating_sub(age)
}
