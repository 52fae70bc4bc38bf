//! One batch: requests in the order of their ids, and what belongs to them.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, Result, params};

use super::super::meta;
use super::super::row::optional_number;
use super::cursor;
use super::guests::Guests;
use super::rows::{Collector, OutboxRows, OutboxTable, OutboxValues};
use super::texts::OutboxTexts;
use crate::clock;
use crate::histogram;

/// How many bytes of values a batch has, roughly, of requests and of other rows each.
const MAX_BYTES: usize = 4 << 20;

/// The most cells in a batch.
const MAX_CELLS: i64 = 500;

/// How many buckets a batch has, roughly. A cell has dozens of them.
const MAX_BUCKETS: usize = 10_000;

/// The tables whose rows are listed, the word for each in `outbox_changes`, and its key.
const LISTED: [(OutboxTable, &str, &str); 9] = [
    (OutboxTable::ChangedRequests, "requests", "id"),
    (OutboxTable::Sessions, "sessions", "session_id"),
    (OutboxTable::Tasks, "tasks", "operation_id"),
    (OutboxTable::Losses, "losses", "id"),
    (OutboxTable::Writers, "writers", "id"),
    (OutboxTable::ServerSchema, "server_schema", "id"),
    (OutboxTable::SchemaChanges, "schema_changes", "id"),
    (
        OutboxTable::ListingPayloads,
        "listing_payloads",
        "content_hash",
    ),
    (OutboxTable::ListingViews, "listing_views", "id"),
];

/// Rows that were not shipped yet, as of one moment of the file. If there are more rows than the
/// batch may have, it has the first ones.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OutboxBatch {
    /// The rows of each table. A table without rows is left out.
    pub rows: Vec<OutboxRows>,
    /// The id of the last request in this batch or the ones before.
    pub shipped_to: i64,
    /// The request id of that request; `None` if there is no request.
    pub request_id: Option<String>,
    /// How far the file was rolled up and pruned.
    pub watermarks: Watermarks,
    /// Whether the batch has all remaining rows.
    pub is_last: bool,
    pub(super) read_at: i64,
    listed_to: i64,
    cells_to: i64,
    guests: Guests,
}

/// How far a file was rolled up and pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Watermarks {
    /// The id of the last request that its cells count; `None` if some of these cells are left
    /// for the next batch.
    pub rolled_up_to: Option<i64>,
    /// Requests from before this time, in unix milliseconds, were removed, at least in part.
    pub requests_pruned_to: Option<i64>,
    /// The same for polls.
    pub polls_pruned_to: Option<i64>,
    /// The same for cells of hours.
    pub hours_pruned_to: Option<i64>,
    /// The same for cells of days.
    pub days_pruned_to: Option<i64>,
}

impl OutboxBatch {
    /// Returns whether there is nothing to ship.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Removes what the batch contains from the lists, and remembers its guests.
    pub(super) fn enter(&self, conn: &Connection) -> Result<()> {
        conn.prepare_cached("DELETE FROM outbox_changes WHERE n <= ?1")?
            .execute([self.listed_to])?;
        conn.prepare_cached("DELETE FROM outbox_cells WHERE n <= ?1")?
            .execute([self.cells_to])?;
        self.guests.remember(conn)
    }
}

/// Reads a batch. The caller holds the transaction that makes it one moment.
pub(super) fn read(conn: &Connection, max_rows: usize) -> Result<OutboxBatch> {
    let read_at = clock::unix_ms();
    let cursor = cursor::read(conn)?;
    let max = i64::try_from(max_rows).unwrap_or(i64::MAX);
    let mut requests = Collector::new(conn, OutboxTable::Requests)?;
    let values = params![cursor.shipped_to, max];
    let are_all = requests.add(
        conn,
        "WHERE id > ?1 ORDER BY id LIMIT ?2",
        values,
        MAX_BYTES,
    )?;
    let requests = requests.finish();
    let mut is_last = are_all && requests.len() < max_rows;
    let (shipped_to, request_id) = match last(&requests) {
        Some((id, request_id)) => (id, request_id),
        None => (cursor.shipped_to, cursor.request_id),
    };

    let mut listed = Listed::read(conn, max)?;
    is_last &= listed.count < max_rows;
    let unknown = listed.add_sessions_of(conn, &requests)?;
    let guests = Guests::of(conn, &requests, |id| unknown.contains(id))?;
    let (cells, buckets, cells_to, cells_are_all) = read_cells(conn)?;
    is_last &= cells_are_all && listed.are_all;

    let number = |key: &str| -> Result<Option<i64>> {
        Ok(meta::get(conn, key)?.and_then(|value| value.parse().ok()))
    };
    let rolled_up_to = number("requests_rolled_up_to")?.unwrap_or(0);
    let watermarks = Watermarks {
        rolled_up_to: cells_are_all.then_some(rolled_up_to),
        requests_pruned_to: number("requests_pruned_to")?,
        polls_pruned_to: number("polls_pruned_to")?,
        hours_pruned_to: number("hours_pruned_to")?,
        days_pruned_to: number("days_pruned_to")?,
    };
    let listed_to = listed.to;
    let others = listed.rows.into_iter().map(Collector::finish);
    let rows = std::iter::once(requests)
        .chain(others)
        .chain([guests.rows(), cells, buckets]);
    Ok(OutboxBatch {
        rows: rows.filter(|rows| !rows.is_empty()).collect(),
        shipped_to,
        request_id,
        watermarks,
        is_last,
        read_at,
        listed_to,
        cells_to,
        guests,
    })
}

/// Returns the id and the request id of the last request.
fn last(requests: &OutboxRows) -> Option<(i64, Option<String>)> {
    let column = |name| {
        let mut columns = requests.columns.iter();
        columns
            .find(|column| column.name == name)
            .map(|column| &column.values)
    };
    match (column("id")?, column("request_id")?) {
        (OutboxValues::Integers(ids), OutboxValues::Texts(request_ids)) => {
            let request_id = request_ids.iter().next_back()?;
            Some(((*ids.last()?)?, request_id.map(str::to_owned)))
        }
        _ => None,
    }
}

/// The rows that `outbox_changes` lists.
struct Listed {
    rows: Vec<Collector>,
    /// The number of the last entry.
    to: i64,
    count: usize,
    /// Whether none was left out because of its size.
    are_all: bool,
    sessions: HashSet<String>,
}

impl Listed {
    /// Reads the rows of the oldest `max` entries.
    fn read(conn: &Connection, max: i64) -> Result<Self> {
        let new = |(table, ..): (OutboxTable, _, _)| Collector::new(conn, table);
        let mut listed = Self {
            rows: LISTED.into_iter().map(new).collect::<Result<_>>()?,
            to: 0,
            count: 0,
            are_all: true,
            sessions: HashSet::new(),
        };
        let mut entries =
            conn.prepare_cached("SELECT n, kind FROM outbox_changes ORDER BY n LIMIT ?1")?;
        let mut entries = entries.query([max])?;
        while let Some(entry) = entries.next()? {
            let bytes: usize = listed.rows.iter().map(|rows| rows.bytes).sum();
            if bytes > MAX_BYTES {
                listed.are_all = false;
                break;
            }
            let (n, kind): (i64, String) = (entry.get(0)?, entry.get(1)?);
            let place = LISTED.iter().position(|(_, word, _)| *word == kind);
            if let Some((rows, (_, _, key))) =
                place.and_then(|at| listed.rows.get_mut(at).zip(LISTED.get(at)))
            {
                // The row may have been removed after it was listed.
                let condition =
                    format!("WHERE {key} = (SELECT key FROM outbox_changes WHERE n = ?1)");
                rows.add(conn, &condition, [n], usize::MAX)?;
            }
            listed.to = n;
            listed.count += 1;
        }
        listed.sessions = texts(&listed.rows, OutboxTable::Sessions, "session_id");
        Ok(listed)
    }

    /// Adds the sessions of requests, whose counters have changed. Returns the ids of those that
    /// the file does not have.
    fn add_sessions_of(
        &mut self,
        conn: &Connection,
        requests: &OutboxRows,
    ) -> Result<HashSet<String>> {
        let mut unknown = HashSet::new();
        let sessions = self
            .rows
            .iter_mut()
            .find(|rows| rows.rows().table == OutboxTable::Sessions);
        let Some(sessions) = sessions else {
            return Ok(unknown);
        };
        for id in values(requests, "session_id") {
            if self.sessions.insert(id.to_owned()) {
                let before = sessions.rows().len();
                sessions.add(conn, "WHERE session_id = ?1", [id], usize::MAX)?;
                if sessions.rows().len() == before {
                    unknown.insert(id.to_owned());
                }
            }
        }
        Ok(unknown)
    }
}

fn texts(rows: &[Collector], table: OutboxTable, name: &str) -> HashSet<String> {
    let of_table = rows.iter().filter(|rows| rows.rows().table == table);
    let found = of_table.flat_map(|rows| values(rows.rows(), name));
    found.map(str::to_owned).collect()
}

/// Returns the texts in a column.
fn values<'r>(rows: &'r OutboxRows, name: &str) -> impl Iterator<Item = &'r str> {
    let column = rows.columns.iter().find(|column| column.name == name);
    let texts = match column.map(|column| &column.values) {
        Some(OutboxValues::Texts(texts)) => Some(texts),
        _ => None,
    };
    texts.into_iter().flat_map(OutboxTexts::iter).flatten()
}

/// Reads the oldest cells that are listed. Returns them, their buckets, the number of the last
/// entry, and whether these are all.
fn read_cells(conn: &Connection) -> Result<(OutboxRows, OutboxRows, i64, bool)> {
    const OF_ENTRY: &str = "WHERE (width, start, proxy, method, tool, outcome) = (
        SELECT width, start, proxy, method, tool, outcome FROM outbox_cells WHERE n = ?1)";
    let mut cells = Collector::new(conn, OutboxTable::Cells)?;
    let mut buckets = Collector::new(conn, OutboxTable::Buckets)?;
    let mut histograms = conn.prepare_cached(&format!(
        "SELECT width, start, proxy, method, tool, outcome, latencies, wall_latencies
         FROM request_rollups {OF_ENTRY}"
    ))?;
    let mut entries = conn.prepare_cached("SELECT n FROM outbox_cells ORDER BY n LIMIT ?1")?;
    let mut entries = entries.query([MAX_CELLS])?;
    let (mut to, mut count) = (0, 0);
    while let Some(entry) = entries.next()? {
        if buckets.rows().len() > MAX_BUCKETS {
            return Ok((cells.finish(), buckets.finish(), to, false));
        }
        to = optional_number(entry, 0)?.unwrap_or(0);
        count += 1;
        cells.add(conn, OF_ENTRY, [to], usize::MAX)?;
        let mut cell = histograms.query([to])?;
        while let Some(cell) = cell.next()? {
            let server: Vec<u8> = cell.get(6)?;
            let wall: Option<Vec<u8>> = cell.get(7)?;
            let mut counts: BTreeMap<u64, [u64; 2]> = BTreeMap::new();
            // Both times of most calls are equal, and stored once.
            let wall = wall.as_ref().unwrap_or(&server);
            for (index, blob) in [&server, wall].into_iter().enumerate() {
                for (bucket, count) in histogram::buckets(blob) {
                    if let Some(sum) = counts.entry(bucket).or_default().get_mut(index) {
                        *sum = sum.saturating_add(count);
                    }
                }
            }
            for (bucket, [server, wall]) in counts {
                buckets.push_bucket(cell, [bucket, server, wall])?;
            }
        }
    }
    Ok((cells.finish(), buckets.finish(), to, count < MAX_CELLS))
}
