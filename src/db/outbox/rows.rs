//! Rows by column, the form that a bulk insert takes.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Params, Result, Row};

use super::super::columns::{Column, REQUESTS, SESSIONS};
use super::super::counters::Stats;
use super::super::row::optional_number;
use super::texts::OutboxTexts;

/// A part of the rows or columns of a table that is shipped together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutboxTable {
    /// New rows of `requests`.
    Requests,
    /// Changed rows of `requests`: the key, and the columns that may change after the row was
    /// written.
    ChangedRequests,
    /// `sessions`.
    Sessions,
    /// Sessions that requests name and `sessions` does not have, as counted from the requests.
    /// Behind a load balancer, the file of another server may have them.
    GuestSessions,
    /// `tasks`.
    Tasks,
    /// `losses`.
    Losses,
    /// `writers`.
    Writers,
    /// `server_schema`.
    ServerSchema,
    /// `schema_changes`.
    SchemaChanges,
    /// `listing_payloads`.
    ListingPayloads,
    /// `listing_views`.
    ListingViews,
    /// `request_rollups` without its histograms.
    Cells,
    /// The histograms of `request_rollups`: one row for each cell and bucket.
    Buckets,
}

/// Rows of one table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutboxRows {
    /// The table.
    pub table: OutboxTable,
    /// Its columns. All have the same number of values.
    pub columns: Vec<OutboxColumn>,
}

/// One column of some rows.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutboxColumn {
    /// The name of the column.
    pub name: &'static str,
    /// The value of each row.
    pub values: OutboxValues,
}

/// The values of a column. A value of another type, which other programs may write, is
/// converted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum OutboxValues {
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Texts.
    Texts(OutboxTexts),
    /// Bytes.
    Bytes(Vec<Option<Vec<u8>>>),
}

impl OutboxRows {
    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        match self.columns.first().map(|column| &column.values) {
            Some(OutboxValues::Integers(values)) => values.len(),
            Some(OutboxValues::Texts(values)) => values.len(),
            Some(OutboxValues::Bytes(values)) => values.len(),
            None => 0,
        }
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

const CELL: [&str; 6] = ["width", "start", "proxy", "method", "tool", "outcome"];

impl OutboxTable {
    /// Returns the name of the table in the file.
    pub(in crate::db) fn source(self) -> &'static str {
        match self {
            Self::Requests | Self::ChangedRequests => "requests",
            Self::Sessions | Self::GuestSessions => "sessions",
            Self::Tasks => "tasks",
            Self::Losses => "losses",
            Self::Writers => "writers",
            Self::ServerSchema => "server_schema",
            Self::SchemaChanges => "schema_changes",
            Self::ListingPayloads => "listing_payloads",
            Self::ListingViews => "listing_views",
            Self::Cells | Self::Buckets => "request_rollups",
        }
    }

    /// Returns the names of its columns.
    pub(crate) fn columns(self) -> Vec<&'static str> {
        let names = |columns: &[Column]| columns.iter().map(|column| column.name).collect();
        match self {
            Self::Requests => names(REQUESTS),
            Self::Sessions | Self::GuestSessions => names(SESSIONS),
            Self::ChangedRequests => vec![
                "request_id",
                "ts",
                "operation_id",
                "leg",
                "operation_us",
                "task_status",
            ],
            Self::Tasks => vec![
                "operation_id",
                "task_id",
                "caller",
                "status",
                "updated_ts",
                "ended_ts",
                "outcome",
                "error_code",
                "error_msg",
                "polls",
                "rolled_up_as",
            ],
            Self::Losses => vec!["id", "from_ts", "to_ts", "dropped", "reason"],
            Self::Writers => {
                let run = ["id", "started_at", "seen_at", "ended_at", "instance"];
                run.into_iter()
                    .chain(Stats::COLUMNS.iter().copied())
                    .collect()
            }
            Self::ServerSchema => vec![
                "id",
                "proxy",
                "upstream_url",
                "method",
                "payload",
                "captured_at",
                "schema_hash",
            ],
            Self::SchemaChanges => vec![
                "id",
                "upstream_url",
                "method",
                "change_type",
                "item_name",
                "old_hash",
                "new_hash",
                "detected_at",
                "proxy",
            ],
            Self::ListingPayloads => vec!["content_hash", "bytes", "payload"],
            Self::ListingViews => vec![
                "id",
                "proxy",
                "upstream_url",
                "method",
                "protocol_version",
                "principal",
                "content_hash",
                "meta_hash",
                "seen_at",
            ],
            Self::Cells => {
                let counts = [
                    "calls",
                    "ended",
                    "bytes_in",
                    "bytes_out",
                    "max_latency_us",
                    "max_wall_us",
                ];
                CELL.into_iter().chain(counts).collect()
            }
            Self::Buckets => CELL
                .into_iter()
                .chain(["bucket", "server", "wall"])
                .collect(),
        }
    }
}

/// Reads rows of a table.
#[derive(Debug)]
pub(super) struct Collector {
    rows: OutboxRows,
    /// What the values take in memory, roughly.
    pub(super) bytes: usize,
    select: String,
}

impl Collector {
    /// Makes an empty collector. The types of the columns are those of the file.
    pub(super) fn new(conn: &Connection, table: OutboxTable) -> Result<Self> {
        let mut declared =
            conn.prepare_cached("SELECT upper(type) FROM pragma_table_info(?1) WHERE name = ?2")?;
        let mut columns = Vec::new();
        for name in table.columns() {
            let mut kinds = declared.query([table.source(), name])?;
            let kind = kinds
                .next()?
                .map(|row| row.get::<_, String>(0))
                .transpose()?;
            let values = match kind.as_deref() {
                Some("TEXT") => OutboxValues::Texts(OutboxTexts::default()),
                Some("BLOB") => OutboxValues::Bytes(Vec::new()),
                // Those of buckets are computed.
                Some(_) | None => OutboxValues::Integers(Vec::new()),
            };
            columns.push(OutboxColumn { name, values });
        }
        let names = table.columns().join(", ");
        Ok(Self {
            rows: OutboxRows { table, columns },
            bytes: 0,
            select: format!("SELECT {names} FROM {}", table.source()),
        })
    }

    /// Adds the rows that a condition chooses, up to `max_bytes`. Returns whether it added all
    /// of them.
    pub(super) fn add(
        &mut self,
        conn: &Connection,
        condition: &str,
        values: impl Params,
        max_bytes: usize,
    ) -> Result<bool> {
        let mut select = conn.prepare_cached(&format!("{} {condition}", self.select))?;
        let mut found = select.query(values)?;
        while let Some(row) = found.next()? {
            if self.bytes > max_bytes {
                return Ok(false);
            }
            self.push(row)?;
        }
        Ok(true)
    }

    fn push(&mut self, row: &Row<'_>) -> Result<()> {
        for (index, column) in self.rows.columns.iter_mut().enumerate() {
            self.bytes += match &mut column.values {
                OutboxValues::Integers(values) => {
                    values.push(optional_number(row, index)?);
                    size_of::<i64>()
                }
                OutboxValues::Texts(values) => values.push_value(row.get_ref(index)?),
                OutboxValues::Bytes(values) => {
                    let bytes = match row.get_ref(index)? {
                        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Some(bytes.to_vec()),
                        _ => None,
                    };
                    let length = bytes.as_ref().map_or(0, Vec::len);
                    values.push(bytes);
                    length
                }
            };
        }
        Ok(())
    }

    /// Adds a row of the buckets of a cell, whose columns are at the start of `cell`.
    pub(super) fn push_bucket(&mut self, cell: &Row<'_>, counts: [u64; 3]) -> Result<()> {
        let counts = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
        for (index, column) in self.rows.columns.iter_mut().enumerate() {
            match &mut column.values {
                OutboxValues::Texts(values) => {
                    values.push_value(cell.get_ref(index)?);
                }
                OutboxValues::Integers(values) => {
                    values.push(match index.checked_sub(CELL.len()) {
                        Some(count) => counts.get(count).copied(),
                        None => optional_number(cell, index)?,
                    })
                }
                OutboxValues::Bytes(values) => values.push(None),
            }
        }
        Ok(())
    }

    /// Returns the rows so far.
    pub(super) fn rows(&self) -> &OutboxRows {
        &self.rows
    }

    pub(super) fn finish(self) -> OutboxRows {
        self.rows
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::db::{SCHEMA_VERSION, migrate};

    #[test]
    fn all_columns_of_a_shipped_table_are_shipped() {
        let conn = Connection::open_in_memory().unwrap();
        migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
        let all = "SELECT name FROM pragma_table_info(?1)";
        for table in [
            OutboxTable::Requests,
            OutboxTable::Sessions,
            OutboxTable::Tasks,
            OutboxTable::Losses,
            OutboxTable::Writers,
            OutboxTable::ServerSchema,
            OutboxTable::SchemaChanges,
            OutboxTable::ListingPayloads,
            OutboxTable::ListingViews,
            OutboxTable::Cells,
        ] {
            let mut found = conn.prepare(all).unwrap();
            let found = found.query_map([table.source()], |row| row.get(0));
            let mut found: HashSet<String> = found.unwrap().map(Result::unwrap).collect();
            if table == OutboxTable::Cells {
                // They are shipped as buckets.
                found.retain(|name| name != "latencies" && name != "wall_latencies");
            }
            let shipped = table.columns().into_iter().map(str::to_owned);
            assert_eq!(shipped.collect::<HashSet<_>>(), found, "{table:?}");
        }
    }
}
