//! All SQL of the write side, and what the read side needs to open a file.
//!
//! [`Db`] is the connection of one writer. It has two transactions: a [`Batch`](batch::Batch) of
//! events, in which a row that SQLite refuses does not affect the others, and a
//! [`CommandTx`] of the [`Command`]s that callers wait for.
//!
//! Files import those of earlier lines:
//!
//! 1. values: `bind`, `busy`, `error`, `columns`, `counters`, `meta`, `row`, `slice`,
//!    `synchronous`, `bucket_width`, `pruned`, `pulled`, `platform`, `outcome`, `contribution`;
//! 2. files: `file_mode`, `sidecar`, `files`, `writer_lock`, `side_files`, `read_only`, `side_lock`;
//! 3. schema: `steps`, `names`, `migrate`, then `inspect`;
//! 4. rows: `hold`, `pages`, `inherited`, `keyed_hash`, `listing`, `losses`, `writers`,
//!    `session_ids`, `stored_ids`, `session_rows`, `newest_open`, `open_sessions`, `rollup`,
//!    `writer_identity`, then `links` and `tasks`;
//! 5. transactions: `batch`; `event_rows`, `command_tx`, then `command`;
//! 6. the connection: `checkpoint`, `connect`, `connection`; `set_up`, `create`, then `open`;
//!    `retention`, then `upkeep`; `departure`; `reader`; `outbox`, then `pull`.
//!
//! `tests/it/imports.rs` checks that no two files import each other.
//!
//! Only SQLite opens the database file: closing any descriptor of a file drops the
//! POSIX locks that SQLite holds on it in the same process.

mod batch;
mod bind;
mod bucket_width;
mod busy;
mod checkpoint;
pub(crate) mod columns;
mod command;
mod command_tx;
mod connect;
mod connection;
pub(crate) mod contribution;
mod counters;
mod create;
mod departure;
mod error;
mod event_rows;
mod file_mode;
mod files;
pub(crate) mod hold;
mod inherited;
pub(crate) mod inspect;
pub(crate) mod keyed_hash;
mod links;
mod listing;
mod losses;
mod meta;
mod migrate;
mod names;
mod newest_open;
mod open;
mod open_sessions;
#[cfg(feature = "outbox")]
mod outbox;
pub(crate) mod outcome;
mod pages;
mod platform;
pub(crate) mod pruned;
#[cfg(feature = "outbox")]
mod pull;
pub(crate) mod pulled;
pub(crate) mod read_only;
mod reader;
mod retention;
pub(crate) mod rollup;
pub(crate) mod row;
pub(crate) mod session_ids;
mod session_rows;
mod set_up;
mod side_files;
#[cfg(feature = "outbox")]
mod side_lock;
pub(crate) mod sidecar;
mod slice;
mod special_path;
mod steps;
mod stored_ids;
mod synchronous;
mod tasks;
pub(crate) mod upkeep;
mod writer_identity;
mod writer_lock;
mod writers;

pub use counters::Stats;
#[cfg(feature = "outbox")]
pub use outbox::{
    OutboxBatch, OutboxColumn, OutboxCursor, OutboxIdentity, OutboxRows, OutboxTable, OutboxTexts,
    OutboxValues, Watermarks,
};
#[cfg(feature = "outbox")]
pub use pull::{Kept, PullCursor, PullState};
pub use synchronous::Synchronous;

pub(crate) use bucket_width::BucketWidth;
pub(crate) use command::{Answer, Command};
pub(crate) use command_tx::CommandTx;
pub(crate) use connection::Db;
pub(crate) use counters::{CaptureCounters, WriterStats};
pub(crate) use departure::{Departure, Hindrance};
pub(crate) use error::WriteError;
#[cfg(feature = "rmcp")]
pub(crate) use event_rows::StreamToken;
pub(crate) use event_rows::{EventBounds, EventRow, LogKind};
pub(crate) use file_mode::FileMode;
pub(crate) use files::{Files, Registration};
pub(crate) use hold::Unshipped;
pub(crate) use inherited::Inherited;
pub(crate) use listing::SeenListing;
pub(crate) use losses::{LossLog, LossReason, LossSpan};
pub(crate) use newest_open::newest_open;
pub(crate) use open_sessions::{OpenSession, OpenSessions};
pub(crate) use pruned::POLLS;
#[cfg(feature = "outbox")]
pub(crate) use pull::{Insert, Pulling, create_for_pulls, is_for_pulls};
pub(crate) use reader::Reader;
pub(crate) use retention::{PrunableTables, rows_before};
pub(crate) use rollup::LonelyLegs;
pub(crate) use session_ids::SessionIdForm;
pub(crate) use session_rows::SessionRow;
#[cfg(feature = "outbox")]
pub(crate) use side_lock::SideLock;
pub(crate) use slice::{Slice, Span};
pub(crate) use special_path::refuse as refuse_special_path;
pub(crate) use writer_identity::WriterIdentity;
pub(crate) use writer_lock::WriterLock;
pub(crate) use writers::total as writers_total;

/// The version of the tables that this release writes, as stored in
/// `meta.schema_version`.
pub const SCHEMA_VERSION: i64 = 5;

/// The lineage that defines the version numbers of a file, from version 5 on.
const LINEAGE: &str = "tower-mcp-store";

/// Returns an error in SQLite's words, without the statement.
pub(crate) fn brief(error: rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqlInputError { error, msg, .. } => {
            rusqlite::Error::SqliteFailure(error, Some(msg))
        }
        error => error,
    }
}
