//! Requests of all files, each in the order of its numbers.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use tower_mcp_store::outbox::OutboxTable;
use tower_mcp_store::pull::{PullCursor, PulledFile, columns};
use tower_mcp_store::query::Value;

use super::super::snapshot::Snapshot;
use super::super::statement::Statement;
use super::stores::Stores;
use super::{number, text, unwritable};
use crate::error::PostgresError;

/// How many requests a transaction writes at most.
const BATCH: usize = 4_000;

/// How many requests of all files together are in memory, roughly. But those of one file are at
/// least `FEWEST` and at most `BATCH`.
const IN_MEMORY: usize = 20_000;
const FEWEST: usize = 500;

/// The requests of one file that come next.
#[derive(Debug)]
struct Queue {
    cursor: PullCursor,
    rows: VecDeque<Vec<Value>>,
    /// The number of the last request that was read.
    read_to: i64,
    /// No more requests are left to read.
    is_last: bool,
    /// Requests were taken, and the file does not have the cursor yet.
    has_moved: bool,
}

/// Reads requests of all files.
struct Queues<'s, 'c> {
    snapshot: &'s Snapshot<'c>,
    select: String,
    /// The places of `id`, `request_id` and `ts` among the columns.
    places: [usize; 3],
    since: i64,
    page: usize,
    all: Vec<Queue>,
}

/// Adds new requests to the file. `new` is how many were added so far.
pub(super) fn pull(
    snapshot: &Snapshot<'_>,
    file: &PulledFile,
    since: i64,
    stores: &mut Stores,
    new: &mut u64,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, PostgresError> {
    let cursors = stores.all.iter().map(|store| store.cursor.clone());
    let mut queues = Queues::new(snapshot, since, cursors);
    loop {
        let batch = queues.take()?;
        let tx = file.begin().map_err(unwritable)?;
        let mut insert = tx.insert(OutboxTable::Requests).map_err(unwritable)?;
        for row in &batch {
            *new += u64::from(insert.put(row).map_err(unwritable)?);
        }
        drop(insert);
        for queue in queues.all.iter_mut().filter(|queue| queue.has_moved) {
            tx.set_cursor(&queue.cursor).map_err(unwritable)?;
            queue.has_moved = false;
        }
        tx.commit().map_err(unwritable)?;
        if progress(*new).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if batch.len() < BATCH {
            return Ok(ControlFlow::Continue(()));
        }
    }
}

impl<'s, 'c> Queues<'s, 'c> {
    fn new(
        snapshot: &'s Snapshot<'c>,
        since: i64,
        cursors: impl ExactSizeIterator<Item = PullCursor>,
    ) -> Self {
        let columns = columns(OutboxTable::Requests);
        let place = |name| columns.iter().position(|column| *column == name);
        let places = ["id", "request_id", "ts"].map(|name| place(name).unwrap_or(usize::MAX));
        let page = (IN_MEMORY / cursors.len().max(1)).clamp(FEWEST, BATCH);
        let queues = cursors.map(|cursor| Queue {
            read_to: cursor.id,
            cursor,
            rows: VecDeque::new(),
            is_last: false,
            // A file without requests has a cursor, too, which says that it was there.
            has_moved: true,
        });
        Self {
            snapshot,
            select: format!("SELECT {} FROM requests", columns.join(", ")),
            places,
            since,
            page,
            all: queues.collect(),
        }
    }

    /// Takes the next requests: always the oldest one that is next in its file. There are fewer
    /// than `BATCH` only if these are all.
    fn take(&mut self) -> Result<Vec<Vec<Value>>, PostgresError> {
        let [id, request_id, ts] = self.places;
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH {
            for at in 0..self.all.len() {
                self.fill(at)?;
            }
            let time = |queue: &Queue| queue.rows.front().and_then(|row| number(row, ts));
            let filled = self.all.iter_mut().filter(|queue| !queue.rows.is_empty());
            let Some(queue) = filled.min_by_key(|queue| time(queue)) else {
                break;
            };
            let Some(row) = queue.rows.pop_front() else {
                break;
            };
            queue.cursor.id = number(&row, id).unwrap_or_default();
            queue.cursor.request_id = text(&row, request_id).unwrap_or_default().to_owned();
            queue.has_moved = true;
            batch.push(row);
        }
        Ok(batch)
    }

    /// Reads more requests of a file, if none are left in its queue.
    fn fill(&mut self, at: usize) -> Result<(), PostgresError> {
        let [id, ..] = self.places;
        let Some(queue) = self.all.get_mut(at) else {
            return Ok(());
        };
        if !queue.rows.is_empty() || queue.is_last {
            return Ok(());
        }
        let mut statement = Statement::new();
        let store = statement.bind(queue.cursor.store_id.as_str());
        let (after, since) = (statement.bind(queue.read_to), statement.bind(self.since));
        let limit = statement.bind(i64::try_from(self.page).unwrap_or(i64::MAX));
        statement.add(&format!(
            "store_id = {store}::uuid AND id > {after} AND ts >= {since}"
        ));
        let conditions = statement.conditions();
        let sql = format!("{} {conditions} ORDER BY id LIMIT {limit}", self.select);
        let rows = &mut queue.rows;
        self.snapshot
            .each(&sql, &statement, |values| rows.push_back(values.to_vec()))?;
        queue.is_last = rows.len() < self.page;
        let newest = |rows: &VecDeque<Vec<Value>>| rows.back().and_then(|row| number(row, id));
        if let Some(last) = newest(rows).filter(|_| !queue.is_last) {
            // The rest of the requests with this number may be on the next page.
            while newest(rows) == Some(last) {
                rows.pop_back();
            }
        }
        queue.read_to = newest(rows).unwrap_or(queue.read_to);
        Ok(())
    }
}
