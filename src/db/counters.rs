//! The counters of a store. One list defines the public [`Stats`], the counters of
//! the layers, and the columns of `writers`.
//!
//! To add a counter:
//!
//! 1. add it to the list below, and count it;
//! 2. add its column to the newest migration, or to a new one;
//! 3. document it in `docs/file-format.md`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

macro_rules! counters {
    (
        queue { $($(#[doc = $queue_doc:literal])* $queue:ident,)* }
        layers { $($(#[doc = $layer_doc:literal])* $layer:ident,)* }
    ) => {
        /// The counters of a [`Store`](crate::Store), as one consistent snapshot.
        ///
        /// At every moment `submitted == written + failed + dropped + queued`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $queue_doc])* pub $queue: u64,)*
            /// Events in the queue, or in a transaction that is not committed yet.
            pub queued: u64,
            $($(#[doc = $layer_doc])* pub $layer: u64,)*
        }

        impl Stats {
            /// The columns of `writers`, in the order of [`values`](Self::values). `queued` has
            /// no column: it is the rest of `submitted`.
            pub(super) const COLUMNS: &[&str] =
                &[$(stringify!($queue),)* $(stringify!($layer),)*];

            /// Returns the values of [`COLUMNS`](Self::COLUMNS).
            pub(super) fn values(&self) -> [u64; Self::COLUMNS.len()] {
                [$(self.$queue,)* $(self.$layer,)*]
            }

            /// Returns the counters with these values of [`COLUMNS`](Self::COLUMNS).
            pub(super) fn of(values: [u64; Self::COLUMNS.len()]) -> Self {
                let [$($queue,)* $($layer,)*] = values;
                let mut stats = Self { $($queue,)* queued: 0, $($layer,)* };
                let settled = stats.written + stats.failed + stats.dropped;
                stats.queued = stats.submitted.saturating_sub(settled);
                stats
            }

            /// Copies the counters of the layers.
            pub(crate) fn take_over(&mut self, counters: &CaptureCounters) {
                $(self.$layer = counters.$layer.load(Ordering::Relaxed);)*
            }
        }

        /// The counters of the layers, for [`Stats`].
        #[derive(Debug, Default)]
        pub(crate) struct CaptureCounters {
            $(pub(crate) $layer: AtomicU64,)*
            /// Bytes of listings that pass or wait to be parsed. It is a budget and not a
            /// counter.
            pub(crate) listing_bytes: Arc<AtomicUsize>,
        }
    };
}

counters! {
    queue {
        /// Events given to [`Store::record`](crate::Store::record), also by the layers.
        /// Each page of a listing that differs from the last one is an event.
        submitted,
        /// Events that are committed in the file.
        written,
        /// Events that can never be written, such as a second request with the same id.
        failed,
        /// Events that were given up: the queue was full, `shutdown` had no time left, or
        /// they came after it.
        dropped,
        /// Requests that sent back the state of an earlier one
        /// ([`Leg::state_in`](crate::event::Leg::state_in)) and were linked to no operation
        /// when they were written. A request that another writer of the file committed too
        /// early may be linked later.
        unlinked,
    }
    layers {
        /// POST requests that the layers saw. If it stays 0, no layer is on the path of the
        /// traffic.
        posts,
        /// Requests without a row, because their method is one of
        /// [`StoreLayer::skip_methods`](crate::StoreLayer::skip_methods).
        skipped,
        /// Methods, tools, targets, revisions, session ids, and names and versions of
        /// clients and servers that were cut because they were longer than their bound.
        truncated,
        /// Requests without a row. The server refused or answered them unread, or
        /// their body is in an encoding that the layer cannot read, and no
        /// `Mcp-Method` header names the method. Or they exceed the number of requests
        /// that are kept of one batch. A JSON body without a complete value counts here,
        /// too, if the answer is below 400.
        unidentified,
        /// POST requests without a row, whose `Content-Type` is neither missing nor JSON, and
        /// which have no header of MCP. The layer read no JSON-RPC request in them.
        other_media,
        /// Requests whose `Mcp-Method` or `Mcp-Name` header (2026-07-28) contradicts
        /// their body. Their rows hold what the body says.
        mismatched,
        /// Answers to discovery requests that were not stored because they are longer than
        /// [`StoreLayer::max_listing_bytes`](crate::StoreLayer::max_listing_bytes), or
        /// because too many were under way at once.
        listings_too_long,
        /// Answers to discovery requests that break the protocol. They are not stored if
        /// they are broken, nested too deeply, no array, or have items without a name.
        /// They are stored if two items have the same name.
        listings_malformed,
        /// HTTP exchanges that are open now. Requests whose answer may still come on
        /// another stream are not included.
        in_flight,
    }
}

impl Stats {
    /// Moves `events` from queued to written, and the `failed` among them to failed.
    /// `unlinked` of them were linked to no operation.
    pub(crate) fn settle(&mut self, events: u64, failed: u64, unlinked: u64) {
        self.unlinked += unlinked;
        self.written += events - failed;
        self.failed += failed;
        self.queued -= events;
    }

    /// Returns how many requests were seen and have no row.
    pub(crate) fn without_row(&self) -> u64 {
        self.unidentified + self.other_media + self.skipped
    }

    /// Returns the counters as the file stores them.
    pub(crate) fn accounts(self, as_of: i64) -> WriterStats {
        WriterStats { as_of, stats: self }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in Self::COLUMNS.iter().zip(self.values()) {
            write!(f, "{value} {}, ", name.replace('_', " "))?;
        }
        write!(f, "{} queued", self.queued)
    }
}

/// The counters of one writer as its row in `writers` holds them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WriterStats {
    /// Every event accepted before this moment is written, failed or dropped; unix
    /// milliseconds.
    pub(super) as_of: i64,
    pub(super) stats: Stats,
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    #[test]
    fn each_counter_except_the_queue_has_a_column_of_writers() {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        let mut found = conn
            .prepare("SELECT name FROM pragma_table_info('writers') LIMIT -1 OFFSET 5")
            .unwrap();
        let found = found.query_map([], |row| row.get(0)).unwrap();
        let found: Vec<String> = found.map(Result::unwrap).collect();
        assert_eq!(found, Stats::COLUMNS);
    }
}
