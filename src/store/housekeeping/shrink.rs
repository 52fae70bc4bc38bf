//! Shrinks a file that is too large.

use std::time::Instant;

use super::Housekeeping;
use crate::clock;
use crate::db::upkeep::{self, Limits};
use crate::db::{Db, LonelyLegs, PrunableTables, Span, Unshipped, WriteError};

impl Housekeeping {
    /// Shrinks a file that is too large: first the parts that have bounds of their own
    /// within the limit, then polls, then the oldest rows.
    pub(super) fn shorten(
        &mut self,
        db: &Db,
        limits: &Limits,
        until: Instant,
    ) -> Result<(), WriteError> {
        let Some(max_bytes) = self.retention.max_bytes else {
            return Ok(());
        };
        let (from, patience) = (limits.from, self.patience());
        let cells = db.size()?.cells;
        let are_too_large = limits.statistics_bytes.is_some_and(|bytes| cells > bytes);
        if are_too_large && upkeep::shorten_statistics(db, limits, patience, until)?.count > 0 {
            return Ok(());
        }
        if !self.round.history_fits() {
            if db.shorten_accounts(patience, until)?.is_last {
                self.round.shorten_history(db, limits, patience, until)?;
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
        if db.has_polls(from)? && !self.roll_up(db, until)? {
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
        let remove = |kinds, unshipped| {
            let slice = db.prune(kinds, unshipped, span, patience, until)?;
            Ok::<_, WriteError>(slice.count)
        };
        if remove(PrunableTables::Traffic, Unshipped::Keep)? > 0 {
            return Ok(());
        }
        // No rolled-up row is left to remove, so more are rolled up.
        if !self.roll_up(db, until)? {
            return Ok(());
        }
        if remove(PrunableTables::Traffic, Unshipped::Keep)? > 0 {
            return Ok(());
        }
        // The limit of the size has precedence over shipping.
        let unshipped = remove(PrunableTables::Traffic, Unshipped::Remove)?;
        if unshipped > 0 {
            self.log_unshipped(unshipped);
            return Ok(());
        }
        let uncounted = match self.round.cannot_roll_up() {
            true => remove(PrunableTables::Uncounted, Unshipped::Remove)?,
            false => 0,
        };
        match uncounted {
            0 => self.log_excess(db.size()?.used, max_bytes),
            removed => self.log_uncounted(removed),
        }
        Ok(())
    }

    /// Rolls some requests up. Returns `true` if none are left, or none can be rolled up.
    fn roll_up(&mut self, db: &Db, until: Instant) -> Result<bool, WriteError> {
        let patience = self.patience();
        match self.round.cannot_roll_up() {
            true => Ok(true),
            false => self.round.roll_up(db, LonelyLegs::RollUp, patience, until),
        }
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

    /// Logs how many rows were removed that no shipper has copied. `losses` holds the number of
    /// requests among them.
    fn log_unshipped(&mut self, rows: u64) {
        if let Some(rows) = self.unshipped.happened(rows, Instant::now()) {
            tracing::warn!(
                "the store's file is over its limit and is not shipped fast enough; \
                 {rows} rows that were not shipped have been removed so far"
            );
        }
    }

    /// Logs how many removed rows are in no statistic. `losses` holds the number, too.
    fn log_uncounted(&mut self, rows: u64) {
        if let Some(rows) = self.losses.happened(rows, Instant::now()) {
            tracing::warn!(
                "the store's file is over its limit and its statistics cannot be written; \
                 {rows} rows have been removed so far, and the statistics lack the requests among them"
            );
        }
    }
}
