//! The SQL of shippers: reads new and changed rows, and confirms that they were shipped.
//!
//! A shipper reads new requests in the order of their ids, which is the order of their
//! commits. Triggers list all other new or changed rows. They exist only while a shipper
//! is registered:
//!
//! | table | lists |
//! |---|---|
//! | `outbox_changes` | changed requests, and new and changed rows of all other tables except `request_rollups` |
//! | `outbox_cells` | new and changed rows of `request_rollups`, the cells of the statistics |
//! | `outbox_guests` | sessions that requests name and the file does not have, with their counts |
//!
//! If a listed row changes again, its entry gets a new number. The shipper removes entries by
//! the numbers that it has read. So the entry of a row that changed after the read stays.

mod batch;
mod cursor;
mod guests;
mod registration;
mod rows;
mod texts;

pub use batch::{OutboxBatch, Watermarks};
pub use cursor::OutboxCursor;
pub use rows::{OutboxColumn, OutboxRows, OutboxTable, OutboxValues};
pub use texts::OutboxTexts;

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Result};
use uuid::Uuid;

use super::connection::Db;
use super::hold::{SHIPPED_AT, SHIPPED_TO};
use super::keyed_hash::fingerprints;
use super::{SCHEMA_VERSION, WriteError, meta};
use crate::clock;
use cursor::{REWOUND, SHIPPED_REQUEST_ID};

/// How long to wait for a lock that another program holds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The identity of a file, for the database to which it is shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutboxIdentity {
    /// The id of the file, a UUID.
    pub store_id: String,
    /// Where the newest writer runs.
    pub instance: Option<String>,
    /// The fingerprints of the keys of its keyed hashes, the newest last.
    pub key_fingerprints: Vec<String>,
    /// The version of its tables.
    pub schema_version: i64,
    /// The release that last opened it for recording.
    pub writer_version: Option<String>,
}

impl Db {
    /// Registers a shipper, unless there is one.
    pub(crate) fn register_shipper(&self) -> Result<(), WriteError> {
        self.change_outbox(registration::register)
    }

    /// Removes the registration. From then on, rows that were not shipped are removed like others.
    pub(crate) fn forget_shipper(&self) -> Result<(), WriteError> {
        self.change_outbox(registration::forget)
    }

    /// Makes the shipper begin again with the oldest row.
    pub(crate) fn rewind_shipper(&self) -> Result<(), WriteError> {
        self.change_outbox(rewind)
    }

    /// Gives the file a new id, under which all of its rows are shipped again.
    pub(crate) fn renew_store_id(&self) -> Result<(), WriteError> {
        self.change_outbox(|conn| {
            meta::set(conn, "store_id", &Uuid::now_v7().to_string())?;
            rewind(conn)
        })
    }

    pub(crate) fn outbox_identity(&self) -> Result<OutboxIdentity> {
        let conn = &self.conn;
        let newest = "SELECT instance FROM writers ORDER BY started_at DESC, id DESC LIMIT 1";
        let instance = conn.query_row(newest, [], |row| row.get(0)).optional()?;
        Ok(OutboxIdentity {
            store_id: meta::get(conn, "store_id")?.unwrap_or_default(),
            instance: instance.flatten(),
            key_fingerprints: fingerprints(conn)?,
            schema_version: SCHEMA_VERSION,
            writer_version: meta::get(conn, "writer_version")?,
        })
    }

    pub(crate) fn outbox_cursor(&self) -> Result<OutboxCursor> {
        cursor::read(&self.conn)
    }

    /// Returns the request id of a row; `None` if the file does not have the row.
    pub(crate) fn outbox_request_id(&self, id: i64) -> Result<Option<String>> {
        let sql = "SELECT CAST(request_id AS TEXT) FROM requests WHERE id = ?1";
        let mut find = self.conn.prepare_cached(sql)?;
        find.query_row([id], |row| row.get(0)).optional()
    }

    /// Reads rows that were not shipped: at most `max_rows` requests and `max_rows` other rows.
    pub(crate) fn outbox_batch(&self, max_rows: usize) -> Result<OutboxBatch> {
        let moment = self.conn.unchecked_transaction()?;
        batch::read(&moment, max_rows)
    }

    /// Stores that a batch was shipped.
    pub(crate) fn confirm_batch(&self, batch: &OutboxBatch) -> Result<(), WriteError> {
        self.change_outbox(|conn| {
            meta::set(conn, SHIPPED_TO, &batch.shipped_to.to_string())?;
            if let Some(request_id) = &batch.request_id {
                meta::set(conn, SHIPPED_REQUEST_ID, request_id)?;
            }
            meta::remove(conn, REWOUND)?;
            if batch.is_last {
                meta::set(conn, SHIPPED_AT, &batch.read_at.to_string())?;
            }
            batch.enter(conn)
        })
    }

    fn change_outbox(
        &self,
        change: impl FnOnce(&Connection) -> Result<()>,
    ) -> Result<(), WriteError> {
        let tx = self.begin(PATIENCE)?;
        change(&tx)
            .and_then(|()| tx.commit())
            .map_err(WriteError::Store)
    }
}

fn rewind(conn: &Connection) -> Result<()> {
    registration::forget(conn)?;
    registration::register(conn)?;
    meta::set(conn, REWOUND, &clock::unix_ms().to_string())
}
