//! Statistics that outlive the requests: the cells of `request_rollups`.
//!
//! A request belongs to the hour and to the day of its `ts`, however late its
//! row was written, and is folded into both cells in the order of its row.
//! `meta.requests_folded_to` is the id up to which that is done, so a row that
//! another program inserts is folded like any other. A statistic over a window
//! is therefore the sum of
//!
//! - the whole cells inside the window,
//! - the rows at its edges, where no whole cell fits, and
//! - the rows above that id inside the whole cells.
//!
//! `meta` also says up to when requests and cells were [pruned](super::pruned).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::time::Instant;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use sha2::{Digest, Sha256};

use super::bucket_width::BucketWidth;
use super::meta;
use super::pruned::Pruned;
use super::retention::POLLS;
use super::row::{number, text};
use super::slice::{Slice, Span};
use crate::histogram::Histogram;

/// The key in `meta` of the last request that is in its cells.
const FOLDED_TO: &str = "requests_folded_to";

/// What takes the place of a tool or method that has no cells of its own. Who
/// calls a tool of this name is counted with these.
pub(crate) const OTHER: &str = "(other)";

/// How many names a day has cells for. Without this bound a client that calls tools
/// that do not exist could make as many cells as rows.
const NAMES_PER_DAY: i64 = 1000;

/// How many names a day has cells for if a call of the name succeeded, without a tool
/// error. It is higher, so that calls of tools that do not exist cannot take the cells
/// of a tool that is in use.
const SUCCESSFUL_NAMES_PER_DAY: i64 = 5000;

/// Rows in one slice, and cells, at most.
const SLICE_ROWS: i64 = 4096;
const SLICE_CELLS: usize = 128;

/// How many bytes of a name are in its cells. A longer one is cut, and ends in
/// a mark and its hash.
pub(crate) const NAME_BYTES: usize = 128;
const HASH_DIGITS: usize = 32;
const CUT: char = '~';

const ROWS: &str = "SELECT id, ts, proxy, method, tool, status, latency_us, tool_error, bytes_in,
        bytes_out, end_reason IS 'stream_end'
     FROM requests WHERE id > ?1 ORDER BY id LIMIT ?2";
const LATENCIES: &str = "SELECT latencies FROM request_rollups
     WHERE width = ?1 AND start = ?2 AND proxy = ?3 AND method = ?4 AND tool = ?5 AND status = ?6";
/// A sum that no integer holds becomes a float, which `min` brings back.
const ADD: &str = "INSERT INTO request_rollups (width, start, proxy, method, tool, status,
        calls, tool_errors, bytes_in, bytes_out, max_latency_us, latencies)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
     ON CONFLICT DO UPDATE SET
        calls = calls + excluded.calls,
        tool_errors = tool_errors + excluded.tool_errors,
        bytes_in = min(bytes_in + excluded.bytes_in, 9223372036854775807),
        bytes_out = min(bytes_out + excluded.bytes_out, 9223372036854775807),
        max_latency_us = max(max_latency_us, excluded.max_latency_us),
        latencies = excluded.latencies";
const IS_NAMED: &str = "SELECT 1 FROM request_rollups
     WHERE width = ?1 AND start = ?2 AND proxy = ?3 AND method = ?4 AND tool = ?5 LIMIT 1";
const OLDEST: &str = "SELECT start, CAST(start AS INTEGER) FROM request_rollups
     WHERE width = ?1 AND start >= ?2 AND start < ?3 ORDER BY start LIMIT 1";
const DELETE: &str = "DELETE FROM request_rollups
     WHERE (width, start, proxy, method, tool, status) IN (
        SELECT width, start, proxy, method, tool, status FROM request_rollups
        WHERE width = ?1 AND start = ?2 LIMIT ?3)";

/// How many cells one statement deletes.
const BATCH: i64 = 64;

const COUNT_NAMES: &str = "SELECT count(*) FROM (SELECT 1 FROM request_rollups
     WHERE width = ?1 AND start = ?2 GROUP BY proxy, method, tool)";

/// The id of the last request that is in its cells; 0 where none is.
pub(crate) fn folded_to(conn: &Connection) -> Result<i64> {
    let id = meta::get(conn, FOLDED_TO)?;
    Ok(id.and_then(|id| id.parse().ok()).unwrap_or(0))
}

/// The name that the cells of a tool or method go by.
pub(crate) fn cell_name(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_BYTES {
        return Cow::Borrowed(name);
    }
    let room = NAME_BYTES - HASH_DIGITS - CUT.len_utf8();
    let end = (0..=room).rev().find(|end| name.is_char_boundary(*end));
    let mut cut = name.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
    cut.push(CUT);
    for byte in Sha256::digest(name).iter().take(HASH_DIGITS / 2) {
        // Writing to a text cannot fail.
        let _ = write!(cut, "{byte:02x}");
    }
    Cow::Owned(cut)
}

/// Folds the next requests into their cells. The caller holds the transaction.
/// `known` is what earlier calls have found out about the same file.
pub(crate) fn fold(conn: &Connection, known: &mut NameCounts, until: Instant) -> Result<Slice> {
    let mut folded_to = folded_to(conn)?;
    let mut select = conn.prepare_cached(ROWS)?;
    let mut rows = select.query([folded_to, SLICE_ROWS])?;
    let mut names = Names::new(known);
    // By the names that they go by: most that do not exist go by one.
    let mut cells: HashMap<Key, Cell> = HashMap::new();
    let mut count = 0;
    let ran_out = loop {
        let mut batch: HashMap<Key, Cell> = HashMap::new();
        let mut is_last = false;
        while batch.len() < SLICE_CELLS {
            let Some(row) = rows.next()? else {
                is_last = true;
                break;
            };
            folded_to = row.get(0)?;
            batch.entry(Key::of(row)?).or_default().add(row)?;
            count += 1;
            // The clock is asked for every few rows only: it costs as much as a row.
            if count % 32 == 0 && Instant::now() >= until {
                break;
            }
        }
        let mut batch: Vec<_> = batch.into_iter().collect();
        // What gives a name its cells comes before what needs them.
        batch.sort_by_key(|(key, cell)| !cell.has_success(key));
        for (key, cell) in batch {
            let key = names.admit(conn, key, &cell)?;
            cells.entry(key).or_default().merge(cell);
        }
        if is_last || cells.len() >= SLICE_CELLS || Instant::now() >= until {
            break is_last;
        }
    };
    for (key, cell) in &cells {
        for width in BucketWidth::ALL {
            cell.write(conn, width, key)?;
        }
    }
    if count > 0 {
        meta::set(conn, FOLDED_TO, &folded_to.to_string())?;
    }
    Ok(Slice {
        count,
        is_last: ran_out && count < SLICE_ROWS as u64,
    })
}

/// Deletes the cells of one width that began in the time of `span`.
pub(super) fn prune(
    conn: &Connection,
    width: BucketWidth,
    span: Span,
    until: Instant,
) -> Result<Slice> {
    let mut count = 0;
    loop {
        let removed = remove_oldest(conn, width, span)?;
        count += removed;
        let is_last = removed == 0;
        if is_last || Instant::now() >= until {
            return Ok(Slice { count, is_last });
        }
    }
}

/// Deletes some of the oldest cells of that time; how many.
pub(super) fn remove_oldest(conn: &Connection, width: BucketWidth, span: Span) -> Result<u64> {
    let oldest: Option<(Value, i64)> = conn
        .prepare_cached(OLDEST)?
        .query_row([width.ms(), span.from, span.before], |row| row.try_into())
        .optional()?;
    let Some((start, time)) = oldest else {
        return Ok(0);
    };
    Pruned::Cells(width).raise(conn, time.saturating_add(width.ms()))?;
    let mut delete = conn.prepare_cached(DELETE)?;
    Ok(delete.execute(params![width.ms(), start, BATCH])? as u64)
}

/// Requests of one hour that are counted together.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    hour: i64,
    proxy: String,
    method: String,
    tool: String,
    status: String,
}

impl Key {
    fn of(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            hour: BucketWidth::Hour.start(number(row, 1)?),
            proxy: text(row, 2)?,
            method: name(row, 3)?,
            tool: name(row, 4)?,
            status: text(row, 5)?,
        })
    }
}

#[derive(Debug, Default)]
struct Cell {
    calls: i64,
    tool_errors: i64,
    bytes_in: i64,
    bytes_out: i64,
    max_latency_us: i64,
    /// Each of them: most names come a few times only, and a histogram is large.
    latencies: Vec<u64>,
}

impl Cell {
    fn add(&mut self, row: &Row<'_>) -> Result<()> {
        self.calls += 1;
        self.tool_errors += i64::from(number(row, 7)? != 0);
        self.bytes_in = self.bytes_in.saturating_add(number(row, 8)?.max(0));
        self.bytes_out = self.bytes_out.saturating_add(number(row, 9)?.max(0));
        let measures_a_stay = number(row, 10)? != 0;
        if !measures_a_stay {
            let latency = number(row, 6)?;
            self.max_latency_us = self.max_latency_us.max(latency);
            self.latencies.push(u64::try_from(latency).unwrap_or(0));
        }
        Ok(())
    }

    /// Whether a call of these succeeded, and its tool did too: many servers
    /// answer a call of a tool that they do not have with a result.
    fn has_success(&self, key: &Key) -> bool {
        key.status == "ok" && self.calls > self.tool_errors
    }

    /// Adds what another one counts.
    fn merge(&mut self, more: Self) {
        self.calls += more.calls;
        self.tool_errors += more.tool_errors;
        self.bytes_in = self.bytes_in.saturating_add(more.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(more.bytes_out);
        self.max_latency_us = self.max_latency_us.max(more.max_latency_us);
        self.latencies.extend(more.latencies);
    }

    /// Adds this to the cell of that width in the file.
    fn write(&self, conn: &Connection, width: BucketWidth, key: &Key) -> Result<()> {
        let (ms, start) = (width.ms(), width.start(key.hour));
        let before: Option<Vec<u8>> = conn
            .prepare_cached(LATENCIES)?
            .query_row(
                params![ms, start, key.proxy, key.method, key.tool, key.status],
                |row| row.get(0),
            )
            .optional()?;
        let mut latencies = Histogram::default();
        if let Some(before) = before {
            latencies.merge(&before);
        }
        self.latencies.iter().for_each(|us| latencies.record(*us));
        conn.prepare_cached(ADD)?.execute(params![
            ms,
            start,
            key.proxy,
            key.method,
            key.tool,
            key.status,
            self.calls,
            self.tool_errors,
            self.bytes_in,
            self.bytes_out,
            self.max_latency_us,
            latencies.encode(),
        ])?;
        Ok(())
    }
}

/// How many names there are of some days, at least: cells go only when they are
/// too many or too old.
pub(crate) type NameCounts = HashMap<i64, i64>;

/// Of how many days the names are remembered.
const REMEMBERED_DAYS: usize = 32;

/// The names of each day, as far as this slice had to ask.
#[derive(Debug)]
struct Names<'a> {
    known: &'a mut NameCounts,
    /// The days whose names this slice has counted.
    counted: HashSet<i64>,
    /// Which came with this slice: day, server, method and tool.
    admitted: HashSet<(i64, String, String, String)>,
}

impl<'a> Names<'a> {
    fn new(known: &'a mut NameCounts) -> Self {
        if known.len() > REMEMBERED_DAYS {
            known.clear();
        }
        Self {
            known,
            counted: HashSet::new(),
            admitted: HashSet::new(),
        }
    }

    /// The key of the cell that is to count the calls of `cell`.
    fn admit(&mut self, conn: &Connection, key: Key, cell: &Cell) -> Result<Key> {
        // Polls may be removed before other requests, so their cells must be found.
        if POLLS.contains(&key.method.as_str()) {
            return Ok(key);
        }
        let (width, day) = (BucketWidth::Day.ms(), BucketWidth::Day.start(key.hour));
        let name = (day, key.proxy.clone(), key.method.clone(), key.tool.clone());
        if self.admitted.contains(&name)
            || conn
                .prepare_cached(IS_NAMED)?
                .exists(params![width, day, key.proxy, key.method, key.tool])?
        {
            return Ok(key);
        }
        let bound = match cell.has_success(&key) {
            true => SUCCESSFUL_NAMES_PER_DAY,
            false => NAMES_PER_DAY,
        };
        let names = self.known.entry(day).or_default();
        // To count thousands takes longer than to fold some.
        if *names < bound && self.counted.insert(day) {
            let mut count = conn.prepare_cached(COUNT_NAMES)?;
            *names = count.query_row([width, day], |row| row.get(0))?;
        }
        if *names < bound {
            *names += 1;
            self.admitted.insert(name);
            return Ok(key);
        }
        let (method, tool) = match (key.method.as_str(), key.tool.as_str()) {
            ("tools/call", _) => ("tools/call", OTHER),
            (_, "") => (OTHER, ""),
            (_, _) => (OTHER, OTHER),
        };
        Ok(Key {
            method: method.to_owned(),
            tool: tool.to_owned(),
            ..key
        })
    }
}

/// The name of a method or tool, as cells go by it.
fn name(row: &Row<'_>, column: usize) -> Result<String> {
    let name = text(row, column)?;
    Ok(match cell_name(&name) {
        Cow::Borrowed(_) => name,
        Cow::Owned(cut) => cut,
    })
}

#[cfg(test)]
mod tests;
