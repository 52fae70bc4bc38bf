//! Gaps in the log: the rows of `losses`.

use rusqlite::{Connection, Result, params};

use super::bind::count;
use crate::clock;

/// Why events are missing, as stored in `losses.reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LossReason {
    /// The queue was full.
    QueueFull,
    /// SQLite refused the row, such as a second one with the same `request_id`.
    WriteFailed,
    /// Shutdown ran out of time, or the event came after it.
    Shutdown,
}

impl LossReason {
    const ALL: [Self; 3] = [Self::QueueFull, Self::WriteFailed, Self::Shutdown];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::WriteFailed => "write_failed",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Events that were lost one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LossSpan {
    pub(crate) from_ts: i64,
    pub(crate) to_ts: i64,
    pub(crate) dropped: u64,
}

impl LossSpan {
    /// Returns a loss of `dropped` events at the current time.
    pub(crate) fn now(dropped: u64) -> Self {
        let now = clock::unix_ms();
        Self {
            from_ts: now,
            to_ts: now,
            dropped,
        }
    }

    /// Adds `more` to `stretch`.
    pub(crate) fn extend(stretch: &mut Option<Self>, more: Self) {
        match stretch {
            Some(stretch) => {
                stretch.from_ts = stretch.from_ts.min(more.from_ts);
                stretch.to_ts = stretch.to_ts.max(more.to_ts);
                stretch.dropped += more.dropped;
            }
            None => *stretch = Some(more),
        }
    }
}

/// The losses that are not in the file yet, and the rows that may still grow.
///
/// A stretch ends with the first transaction that adds nothing to it. Until then
/// its row is extended, so an hour of overload is one row.
#[derive(Debug, Clone, Default)]
pub(crate) struct LossLog {
    entries: [Entry; LossReason::ALL.len()],
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    pending: Option<LossSpan>,
    row: Option<i64>,
}

impl LossLog {
    pub(crate) fn add(&mut self, reason: LossReason, stretch: LossSpan) {
        LossSpan::extend(&mut self.entries[reason as usize].pending, stretch);
    }

    /// Returns whether a stretch of this reason is open.
    pub(crate) fn is_open(&self, reason: LossReason) -> bool {
        let entry = &self.entries[reason as usize];
        entry.pending.is_some() || entry.row.is_some()
    }

    /// Returns whether all losses are in the file.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.iter().all(|entry| entry.pending.is_none())
    }

    /// Forgets the rows written so far, which are in another file.
    pub(crate) fn forget_rows(&mut self) {
        for entry in &mut self.entries {
            entry.row = None;
        }
    }

    /// Writes the pending losses. The caller keeps a copy of the previous loss log, in
    /// case the transaction is not committed.
    pub(super) fn write(&mut self, conn: &Connection) -> Result<()> {
        for (reason, entry) in LossReason::ALL.into_iter().zip(&mut self.entries) {
            entry.row = match entry.pending.take() {
                Some(stretch) => Some(write(conn, reason, stretch, entry.row)?),
                None => None,
            };
        }
        Ok(())
    }
}

/// Extends `row` by `stretch`, or adds a new row. Returns the row's id.
fn write(
    conn: &Connection,
    reason: LossReason,
    stretch: LossSpan,
    row: Option<i64>,
) -> Result<i64> {
    let dropped = count(stretch.dropped);
    if let Some(id) = row {
        let mut extend = conn.prepare_cached(EXTEND)?;
        if extend.execute(params![id, stretch.to_ts, dropped])? == 1 {
            return Ok(id);
        }
    }
    conn.prepare_cached(INSERT)?.execute(params![
        stretch.from_ts,
        stretch.to_ts,
        dropped,
        reason.as_str()
    ])?;
    Ok(conn.last_insert_rowid())
}

/// Why requests are missing that were removed to limit the file's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Removal {
    /// They were not in the statistics yet.
    NotCounted,
    /// They were not shipped yet.
    Unshipped,
}

impl Removal {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NotCounted => "not_counted",
            Self::Unshipped => "unshipped",
        }
    }
}

/// Enters the loss of requests that were removed too early. One stretch is one row, unless
/// another loss comes between.
pub(super) fn removed(conn: &Connection, why: Removal, stretch: LossSpan) -> Result<()> {
    let values = params![
        stretch.from_ts,
        stretch.to_ts,
        count(stretch.dropped),
        why.as_str()
    ];
    if conn.prepare_cached(EXTEND_LAST)?.execute(values)? == 0 {
        conn.prepare_cached(INSERT)?.execute(values)?;
    }
    Ok(())
}

const EXTEND_LAST: &str = "UPDATE losses SET from_ts = min(from_ts, ?1), to_ts = max(to_ts, ?2),
        dropped = dropped + ?3
     WHERE id = (SELECT max(id) FROM losses) AND reason = ?4";
const INSERT: &str = "INSERT INTO losses (from_ts, to_ts, dropped, reason) VALUES (?1, ?2, ?3, ?4)";
const EXTEND: &str =
    "UPDATE losses SET to_ts = max(to_ts, ?2), dropped = dropped + ?3 WHERE id = ?1";
