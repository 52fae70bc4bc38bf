//! Listings of servers, and their changes.

mod compare;
mod impact;
mod usage;

pub use compare::{Comparison, Difference, Severity};
pub use impact::ChangeImpact;
pub use usage::{Tool, Usage};

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::Reader;
use super::conditions::equalities;
use super::error::QueryError;
use super::filter::SchemaFilter;
use super::names::Pattern;
use super::reader::Source;
use super::record::record;
use super::recorded::{ChangeType, Recorded};
use super::window::Window;
use crate::db::row::{number, optional_number, text};
use crate::wire::Discovery;
use crate::wire::listing::Page;

/// The newest content of one listing: one row of `server_schema`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The server that saw it.
    pub proxy: String,
    /// The server's URL; empty for one in the recorder's own process.
    pub upstream_url: String,
    /// The discovery method, such as `tools/list`.
    pub method: String,
    /// JSON text of the result, all pages together.
    pub payload: String,
    /// When this content was first seen, in unix milliseconds.
    pub captured_at: i64,
    /// Hash of the content.
    pub schema_hash: String,
    /// When the server announced that it has changed, in unix milliseconds. `None` if a
    /// client has asked for the listing since.
    pub stale_since: Option<i64>,
}

record! {
    /// One change: one row of `schema_changes`.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct SchemaChange {
        /// The row's number.
        pub id: i64,
        /// The server that saw it.
        pub proxy: String,
        /// The server's URL; empty for one in the recorder's own process.
        pub upstream_url: String,
        /// The discovery method, such as `tools/list`.
        pub method: String,
        /// What happened.
        pub change_type: Recorded<ChangeType>,
        /// Name or URI of the item that changed.
        pub item_name: Option<String>,
        /// Hash of the listing before.
        pub old_hash: Option<String>,
        /// Hash of the listing after.
        pub new_hash: Option<String>,
        /// When it was noticed, in unix milliseconds.
        pub detected_at: i64,
    }
}

impl SchemaFilter {
    /// Returns all conditions, and their values, which are bound from `?first` on. A `+` as
    /// `sign` keeps SQLite from using the index of a column.
    fn conditions(&self, sign: &str, first: usize) -> (String, Vec<Value>) {
        equalities(
            first,
            [
                ("", "proxy", &self.server_name),
                (sign, "upstream_url", &self.upstream_url),
                (sign, "method", &self.method),
            ],
        )
    }
}

impl Snapshot {
    /// Returns the number of items of the listing. Returns `None` for `initialize` and
    /// `server/discover`, which have none.
    pub fn items(&self) -> Option<usize> {
        match Page::read(Discovery::of(&self.method)?, self.payload.as_bytes()) {
            Ok(Page::Items(_, items)) => Some(items.len()),
            _ => None,
        }
    }
}

impl Reader {
    /// Returns the newest content of each listing, ordered by server, server and
    /// method.
    ///
    /// ```
    /// use tower_mcp_store::query::{Reader, SchemaFilter};
    /// # use tower_mcp_store::Store;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("mcp-store.db");
    /// # Store::open(&path)?.shutdown(std::time::Duration::from_secs(5))?;
    ///
    /// let reader = Reader::open(&path)?;
    /// let tools = SchemaFilter::new().method("tools/list");
    /// for snapshot in reader.snapshots(&tools)? {
    ///     println!("{}: {}", snapshot.proxy, snapshot.payload);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn snapshots(&self, filter: &SchemaFilter) -> Result<Vec<Snapshot>, QueryError> {
        self.read(|source| snapshots(source, filter))
    }

    /// Returns the latest `limit` changes that the filter takes, latest first.
    pub fn schema_changes(
        &self,
        filter: &SchemaFilter,
        limit: usize,
    ) -> Result<Vec<SchemaChange>, QueryError> {
        self.read(|source| changes(source, filter, limit, ""))
    }
}

/// Returns the latest changes of a tool, or of the tools that match a pattern.
pub(super) fn changes_of_tool(
    source: &Source<'_>,
    filter: &SchemaFilter,
    tool: &str,
    limit: usize,
) -> rusqlite::Result<Vec<SchemaChange>> {
    let (conditions, values) = filter.conditions("+", 5);
    let columns = SchemaChange::COLUMNS;
    let is_tool = Pattern::of_name(tool).matches("item_name", "?4");
    let sql = format!(
        "SELECT {columns} FROM schema_changes
         WHERE {is_tool} AND change_type GLOB 'tool_*'
             AND detected_at >= ?1 AND detected_at < ?2{conditions}
         ORDER BY detected_at DESC, id DESC LIMIT ?3"
    );
    read_changes(
        source,
        filter.window,
        limit,
        &sql,
        [tool.to_owned().into()].into_iter().chain(values),
    )
}

/// Returns the latest changes that also meet `condition`.
pub(super) fn changes(
    source: &Source<'_>,
    filter: &SchemaFilter,
    limit: usize,
    condition: &str,
) -> rusqlite::Result<Vec<SchemaChange>> {
    // The `+` makes SQLite use the index by time, since the others are not ordered by it.
    let (conditions, values) = filter.conditions("+", 4);
    let columns = SchemaChange::COLUMNS;
    let sql = format!(
        "SELECT {columns} FROM schema_changes
         WHERE detected_at >= ?1 AND detected_at < ?2{conditions}{condition}
         ORDER BY detected_at DESC, id DESC LIMIT ?3"
    );
    read_changes(source, filter.window, limit, &sql, values)
}

/// Reads changes. The first three parameters of the statement are the window and the limit.
fn read_changes(
    source: &Source<'_>,
    window: Window,
    limit: usize,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> rusqlite::Result<Vec<SchemaChange>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let place: [Value; 3] = [window.since.into(), window.until.into(), limit.into()];
    source
        .conn
        .prepare_cached(sql)?
        .query_map(
            params_from_iter(place.into_iter().chain(values)),
            SchemaChange::from_row,
        )?
        .collect()
}

fn snapshots(source: &Source<'_>, filter: &SchemaFilter) -> rusqlite::Result<Vec<Snapshot>> {
    // A listing is no longer stale if a client has asked for it since, even if it had not
    // changed.
    let (conditions, values) = filter.conditions("", 1);
    let sql = format!(
        "SELECT proxy, upstream_url, method, payload, captured_at, schema_hash, (
             SELECT detected_at FROM (
                 SELECT change_type, detected_at FROM schema_changes c
                 WHERE c.proxy = s.proxy AND c.upstream_url = s.upstream_url
                     AND c.method = s.method
                 ORDER BY id DESC LIMIT 1)
             WHERE change_type = 'stale' AND NOT EXISTS (
                 SELECT 1 FROM requests r
                 WHERE r.method = s.method AND r.tool IS NULL AND r.ts >= detected_at
                     AND +r.proxy = s.proxy AND +r.status = 'ok'))
         FROM server_schema s WHERE true{conditions} ORDER BY proxy, upstream_url, method"
    );
    source
        .conn
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| {
            Ok(Snapshot {
                proxy: text(row, 0)?,
                upstream_url: text(row, 1)?,
                method: text(row, 2)?,
                payload: text(row, 3)?,
                captured_at: number(row, 4)?,
                schema_hash: text(row, 5)?,
                stale_since: optional_number(row, 6)?,
            })
        })?
        .collect()
}
