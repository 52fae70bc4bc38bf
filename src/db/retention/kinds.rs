//! Which rows are pruned, and how those of each kind are found.

use super::super::event_rows::eviction::session_of_log;

/// Rows that are pruned when their time has passed.
pub(super) struct Kind {
    pub(super) table: &'static str,
    pub(super) removal: Removal,
    /// How many rows there are of the time before ?1.
    pub(super) count: &'static str,
    /// The latest time among the ?2 oldest rows from the time ?1 on, where rows
    /// of this kind are many enough to make a file large. Other programs may
    /// write what is no whole number, or none at all; the latter never goes.
    pub(super) oldest: Option<&'static str>,
}

/// How rows of a kind are removed: those of the time from ?1 to before ?2.
pub(super) enum Removal {
    /// Of requests, which go once they are in the cells that outlive them.
    Requests,
    /// Of sessions.
    Sessions,
    /// By a statement that deletes ?3 rows at most.
    Batch(&'static str),
    /// Of events of streams, with what their totals and logs say of them.
    Events,
}

/// Unix milliseconds.
macro_rules! now {
    () => {
        "1000 * CAST(strftime('%s', 'now') AS INTEGER)"
    };
}

/// Whether the event `e` arrived before the time given, or is older than what the
/// last append set. The newest of a session that an SDK keeps stays.
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

/// The keys of ?3 events at most that are due, as with each append; for where no
/// more come.
pub(super) const DUE_EVENTS: &str = concat!(
    "SELECT n FROM sse_events e WHERE n >= ?1 * 1000 AND ",
    event_is_due!("?2"),
    " ORDER BY n LIMIT ?3"
);

/// What removes the event with a key, in this order.
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

/// Everything that is pruned by time. Listings and their changes are not: this history
/// is pruned only by its size.
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
        // They have a bound of their own.
        oldest: None,
    },
    Kind {
        table: "sdk_sessions",
        // Whatever the time that is given.
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

/// What is to be pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrunableTables {
    /// Everything that is due.
    All,
    /// Only what is many enough to make a file large, and has no bound of its own.
    Traffic,
    /// The same, and requests also before they are in the cells.
    Uncounted,
}

impl Kind {
    /// Whether its rows are kept for resumption, whose pages are counted.
    pub(super) fn is_for_resumption(&self) -> bool {
        matches!(self.table, "sse_events" | "sdk_sessions")
    }
}

impl PrunableTables {
    pub(super) fn has(self, kind: &Kind) -> bool {
        self == Self::All || kind.oldest.is_some()
    }
}
