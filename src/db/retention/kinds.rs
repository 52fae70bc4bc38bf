//! The rows that are pruned, and how to find the rows of each kind.

use super::super::event_rows::eviction::session_of_log;
use super::super::hold::Unshipped;

/// A kind of rows that are pruned by age.
pub(super) struct Kind {
    pub(super) table: &'static str,
    pub(super) removal: Removal,
    /// SQL for the number of rows before ?1.
    pub(super) count: &'static str,
    /// SQL for the latest time among the ?2 oldest rows from the time ?1 on, if rows of
    /// this kind can make a file large. Other programs may write a time that is not a
    /// whole number, or none at all; a row without a time is never removed.
    pub(super) oldest: Option<&'static str>,
}

/// How to remove rows of a kind from the time ?1 to before ?2.
pub(super) enum Removal {
    /// Removes requests that are already in the cells that outlive them.
    Requests,
    /// Removes sessions.
    Sessions,
    /// Deletes at most ?3 rows with a statement.
    Batch(&'static str),
    /// Removes events of streams, and updates their totals and logs.
    Events,
}

/// The current time in unix milliseconds.
macro_rules! now {
    () => {
        "1000 * CAST(strftime('%s', 'now') AS INTEGER)"
    };
}

/// SQL for whether the event `e` arrived before the given time, or is older than
/// the age that the last append set. The newest event of a session that an SDK
/// keeps stays.
macro_rules! event_is_due {
    ($before:literal) => {
        concat!(
            "n < 1000 * max(",
            $before,
            ", coalesce((SELECT ",
            now!(),
            " - max_age_ms FROM sse_totals), ",
            $before,
            ")) AND NOT (
                id = (SELECT max(id) FROM sse_events o WHERE o.log = e.log)
                AND EXISTS (SELECT 1 FROM sse_logs l JOIN sdk_sessions s ON s.session_id = ",
            session_of_log!(),
            " WHERE l.log = e.log AND s.expires_at > ",
            now!(),
            "))"
        )
    };
}

/// The keys of at most ?3 events to evict, as with each append, for logs that get
/// no more appends.
pub(super) const DUE_EVENTS: &str = concat!(
    "SELECT n FROM sse_events e WHERE n >= ?1 * 1000 AND ",
    event_is_due!("?2"),
    " ORDER BY n LIMIT ?3"
);

/// The statements that remove the event with a key, in this order.
pub(super) const REMOVE_EVENT: [&str; 4] = [
    "UPDATE sse_totals SET (events, bytes) = (
        SELECT events - 1, bytes - 64 - length(CAST(data AS BLOB))
        FROM sse_events WHERE n = ?1)
     WHERE EXISTS (SELECT 1 FROM sse_events WHERE n = ?1)",
    "UPDATE sse_logs SET complete_after = max(complete_after, e.id)
     FROM sse_events e WHERE e.n = ?1 AND sse_logs.log = e.log",
    "DELETE FROM sse_logs WHERE log = (SELECT log FROM sse_events WHERE n = ?1)
        AND (SELECT count(*) FROM (
            SELECT 1 FROM sse_events e WHERE e.log = sse_logs.log LIMIT 2)) = 1",
    "DELETE FROM sse_events WHERE n = ?1",
];

/// All kinds that are pruned by time. Listings and their changes are pruned only by
/// size.
pub(super) const KINDS: [Kind; 6] = [
    Kind {
        table: "requests",
        removal: Removal::Requests,
        count: "SELECT count(*) FROM requests WHERE ts < ?1",
        oldest: Some(
            "SELECT CAST(max(ts) AS INTEGER) FROM (
                SELECT ts FROM requests WHERE ts >= ?1 AND ts <= 9223372036854775807
                ORDER BY ts LIMIT ?2)",
        ),
    },
    Kind {
        table: "sessions",
        removal: Removal::Sessions,
        count: concat!(
            "SELECT count(*) FROM sessions WHERE started_at < ?1
                AND (last_seen_at < ?1 OR last_seen_at > 60000 + ",
            now!(),
            ")"
        ),
        oldest: Some(
            "SELECT CAST(max(max(started_at, last_seen_at)) AS INTEGER) FROM (
                SELECT started_at, last_seen_at FROM sessions
                WHERE started_at >= ?1 AND started_at <= 9223372036854775807
                    AND last_seen_at <= 9223372036854775807
                ORDER BY started_at LIMIT ?2)",
        ),
    },
    Kind {
        table: "losses",
        removal: Removal::Batch(
            "DELETE FROM losses WHERE id IN (
                SELECT id FROM losses WHERE from_ts >= ?1 AND to_ts < ?2 LIMIT ?3)",
        ),
        count: "SELECT count(*) FROM losses WHERE to_ts < ?1",
        oldest: None,
    },
    Kind {
        table: "writers",
        removal: Removal::Batch(
            "DELETE FROM writers WHERE id IN (
                SELECT id FROM writers WHERE started_at >= ?1 AND ended_at < ?2 LIMIT ?3)",
        ),
        count: "SELECT count(*) FROM writers WHERE ended_at < ?1",
        oldest: None,
    },
    Kind {
        table: "sse_events",
        removal: Removal::Events,
        count: concat!(
            "SELECT count(*) FROM sse_events e WHERE ",
            event_is_due!("?1")
        ),
        // They have a limit of their own.
        oldest: None,
    },
    Kind {
        table: "sdk_sessions",
        // They are removed independent of the given time.
        removal: Removal::Batch(concat!(
            "DELETE FROM sdk_sessions WHERE (session_id, sdk) IN (
                SELECT session_id, sdk FROM sdk_sessions
                WHERE ?1 <= ?2 AND expires_at <= ",
            now!(),
            " ORDER BY expires_at LIMIT ?3)"
        )),
        count: concat!(
            "SELECT count(*) FROM sdk_sessions WHERE ?1 = ?1 AND expires_at <= ",
            now!()
        ),
        oldest: None,
    },
];

/// The rows to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrunableTables {
    /// All rows that are due.
    All,
    /// Only kinds that can make a file large and have no limit of their own.
    Traffic,
    /// Like `Traffic`, and requests even before they are in the cells.
    Uncounted,
}

impl Kind {
    /// Returns whether rows of this kind stay in a shipped file if they may have changed since
    /// the shipper had last copied everything. Requests are kept by their ids instead. Losses
    /// and runs of writers stay even if `unshipped` removes other rows, because they report the
    /// removed ones.
    pub(super) fn stays_until_shipped(&self, unshipped: Unshipped) -> bool {
        match self.table {
            "losses" | "writers" => true,
            "sessions" => unshipped == Unshipped::Keep,
            _ => false,
        }
    }

    /// Returns whether its rows are kept for resumption. Their pages are counted.
    pub(super) fn is_for_resumption(&self) -> bool {
        matches!(self.table, "sse_events" | "sdk_sessions")
    }
}

impl PrunableTables {
    pub(super) fn has(self, kind: &Kind) -> bool {
        self == Self::All || kind.oldest.is_some()
    }
}
