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

use std::collections::HashMap;
use std::time::Instant;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::meta;
use super::pruned::Pruned;
use super::retention::Slice;
use crate::histogram::Histogram;

/// The key in `meta` of the last request that is in its cells.
const FOLDED_TO: &str = "requests_folded_to";

/// What takes the place of a tool or method that has no cells of its own. Who
/// calls a tool of this name is counted with these.
pub(crate) const OTHER: &str = "(other)";

/// How many names a day has cells for. Whoever calls tools that do not exist
/// could else make as many cells as rows.
const NAMES_PER_DAY: i64 = 1000;

/// The same for a name of which a call succeeded, and its tool did too. It is
/// higher, so that nobody can take the cells from a tool that is in use by
/// calling ones that do not exist.
const SUCCESSFUL_NAMES_PER_DAY: i64 = 5000;

/// Rows in one slice, and cells, at most.
const SLICE_ROWS: i64 = 4096;
const SLICE_CELLS: usize = 128;

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
const OLDEST: &str = "SELECT min(start) FROM request_rollups WHERE width = ?1 AND start < ?2";
const DELETE: &str = "DELETE FROM request_rollups WHERE width = ?1 AND start = ?2";
const COUNT_NAMES: &str = "SELECT count(*) FROM (SELECT 1 FROM request_rollups
     WHERE width = ?1 AND start = ?2 GROUP BY proxy, method, tool)";

/// How long a cell is, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Hour,
    Day,
}

impl Width {
    pub(crate) const ALL: [Self; 2] = [Self::Hour, Self::Day];

    /// As `request_rollups.width` holds it.
    pub(crate) const fn ms(self) -> i64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 24 * 3_600_000,
        }
    }

    /// Where the cell begins that holds the moment `ts`.
    pub(crate) fn start(self, ts: i64) -> i64 {
        ts.saturating_sub(ts.rem_euclid(self.ms()))
    }

    /// Where the first cell begins that holds nothing from before `ts`.
    pub(crate) fn next_start(self, ts: i64) -> i64 {
        let start = self.start(ts);
        match start < ts {
            true => start.saturating_add(self.ms()),
            false => start,
        }
    }
}

/// The id of the last request that is in its cells; 0 where none is.
pub(crate) fn folded_to(conn: &Connection) -> Result<i64> {
    let id = meta::get(conn, FOLDED_TO)?;
    Ok(id.and_then(|id| id.parse().ok()).unwrap_or(0))
}

/// Folds the next requests into their cells. The caller holds the transaction.
pub(crate) fn fold(conn: &Connection, until: Instant) -> Result<Slice> {
    let mut cells: HashMap<Key, Cell> = HashMap::new();
    let mut folded_to = folded_to(conn)?;
    let mut count = 0;
    let mut select = conn.prepare_cached(ROWS)?;
    let mut rows = select.query([folded_to, SLICE_ROWS])?;
    let ran_out = loop {
        let Some(row) = rows.next()? else { break true };
        folded_to = row.get(0)?;
        cells.entry(Key::of(row)?).or_default().add(row)?;
        count += 1;
        // The clock is asked for every few rows only: it costs as much as a row.
        if cells.len() >= SLICE_CELLS || (count % 32 == 0 && Instant::now() >= until) {
            break false;
        }
    };
    if count > 0 {
        let mut names = Names::default();
        let mut cells: Vec<_> = cells.iter().collect();
        // What gives a name its cells comes before what needs them.
        cells.sort_by_key(|(key, cell)| !cell.has_success(key));
        for (key, cell) in cells {
            let (method, tool) = names.admit(conn, key, cell)?;
            for width in Width::ALL {
                cell.write(conn, width, key, method, tool)?;
            }
        }
        meta::set(conn, FOLDED_TO, &folded_to.to_string())?;
    }
    Ok(Slice {
        count,
        is_last: ran_out && count < SLICE_ROWS as u64,
    })
}

/// Deletes the cells of one width that began before `before`, those of one
/// hour or day at a time.
pub(super) fn prune(conn: &Connection, width: Width, before: i64, until: Instant) -> Result<Slice> {
    let mut oldest = conn.prepare_cached(OLDEST)?;
    let mut delete = conn.prepare_cached(DELETE)?;
    let mut count = 0;
    loop {
        let start: Option<i64> = oldest.query_row([width.ms(), before], |row| row.get(0))?;
        let Some(start) = start else {
            let is_last = true;
            return Ok(Slice { count, is_last });
        };
        count += delete.execute([width.ms(), start])? as u64;
        Pruned::Cells(width).raise(conn, start.saturating_add(width.ms()))?;
        if Instant::now() >= until {
            let is_last = false;
            return Ok(Slice { count, is_last });
        }
    }
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
            hour: Width::Hour.start(number(row, 1)?),
            proxy: text(row, 2)?,
            method: text(row, 3)?,
            tool: text(row, 4)?,
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
    latencies: Histogram,
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
            self.latencies.record(u64::try_from(latency).unwrap_or(0));
        }
        Ok(())
    }

    /// Whether a call of these succeeded, and its tool did too: many servers
    /// answer a call of a tool that they do not have with a result.
    fn has_success(&self, key: &Key) -> bool {
        key.status == "ok" && self.calls > self.tool_errors
    }

    /// Adds this to the cell of that width in the file.
    fn write(
        &self,
        conn: &Connection,
        width: Width,
        key: &Key,
        method: &str,
        tool: &str,
    ) -> Result<()> {
        let (ms, start) = (width.ms(), width.start(key.hour));
        let before: Option<Vec<u8>> = conn
            .prepare_cached(LATENCIES)?
            .query_row(
                params![ms, start, key.proxy, method, tool, key.status],
                |row| row.get(0),
            )
            .optional()?;
        let latencies = match before {
            None => self.latencies.encode(),
            Some(before) => {
                let mut sum = self.latencies.clone();
                sum.merge(&before);
                sum.encode()
            }
        };
        conn.prepare_cached(ADD)?.execute(params![
            ms,
            start,
            key.proxy,
            method,
            tool,
            key.status,
            self.calls,
            self.tool_errors,
            self.bytes_in,
            self.bytes_out,
            self.max_latency_us,
            latencies,
        ])?;
        Ok(())
    }
}

/// How many names each day has, as far as this slice had to ask.
#[derive(Debug, Default)]
struct Names {
    of_day: HashMap<i64, i64>,
}

impl Names {
    /// The method and tool that a request's cells go by.
    fn admit<'k>(
        &mut self,
        conn: &Connection,
        key: &'k Key,
        cell: &Cell,
    ) -> Result<(&'k str, &'k str)> {
        let (width, day) = (Width::Day.ms(), Width::Day.start(key.hour));
        let is_named = conn
            .prepare_cached(IS_NAMED)?
            .exists(params![width, day, key.proxy, key.method, key.tool])?;
        if is_named {
            return Ok((&key.method, &key.tool));
        }
        let names = match self.of_day.get_mut(&day) {
            Some(names) => names,
            None => {
                let mut count = conn.prepare_cached(COUNT_NAMES)?;
                let names: i64 = count.query_row([width, day], |row| row.get(0))?;
                self.of_day.entry(day).or_insert(names)
            }
        };
        let bound = match cell.has_success(key) {
            true => SUCCESSFUL_NAMES_PER_DAY,
            false => NAMES_PER_DAY,
        };
        if *names < bound {
            *names += 1;
            return Ok((&key.method, &key.tool));
        }
        Ok(match (key.method.as_str(), key.tool.as_str()) {
            ("tools/call", _) => ("tools/call", OTHER),
            (_, "") => (OTHER, ""),
            (_, _) => (OTHER, OTHER),
        })
    }
}

/// A text of whatever type the file has it in: other programs write to it too,
/// and one odd row is not to stop the statistics. NULL is no text.
fn text(row: &Row<'_>, column: usize) -> Result<String> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        _ => String::new(),
    })
}

/// A number, likewise; 0 for what is none.
fn number(row: &Row<'_>, column: usize) -> Result<i64> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(number) => number,
        ValueRef::Real(number) => number as i64,
        _ => 0,
    })
}

#[cfg(test)]
mod tests;
