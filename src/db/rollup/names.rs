//! The names of methods and tools that have cells of their own.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Result, params};

use super::OTHER;
use super::cell::{Cell, Key};
use crate::db::bucket_width::BucketWidth;
use crate::db::pruned::POLLS;

/// How many names a day has cells for. Without this bound a client that calls
/// tools that do not exist could add as many cells as rows.
pub(super) const NAMES_PER_DAY: i64 = 1000;

/// How many names a day has cells for if a call of the name succeeded, without a
/// tool error. It is higher, so that calls of tools that do not exist cannot take
/// the cells of a tool that is in use.
pub(super) const SUCCESSFUL_NAMES_PER_DAY: i64 = 5000;

const IS_NAMED: &str = "SELECT 1 FROM request_rollups
     WHERE width = ?1 AND start = ?2 AND proxy = ?3 AND method = ?4 AND tool = ?5 LIMIT 1";
const COUNT_NAMES: &str = "SELECT count(*) FROM (SELECT 1 FROM request_rollups
     WHERE width = ?1 AND start = ?2 GROUP BY proxy, method, tool)";

/// The least number of names on some days. Cells are removed only when they are
/// too many or too old.
pub(crate) type NameCounts = HashMap<i64, i64>;

/// The number of days whose names are remembered.
const REMEMBERED_DAYS: usize = 32;

/// The names of each day, as far as this slice needed them.
#[derive(Debug)]
pub(super) struct Names<'a> {
    known: &'a mut NameCounts,
    /// The days whose names this slice has counted.
    counted: HashSet<i64>,
    /// The names that this slice added: day, server, method and tool.
    admitted: HashSet<(i64, String, String, String)>,
}

impl<'a> Names<'a> {
    pub(super) fn new(known: &'a mut NameCounts) -> Self {
        if known.len() > REMEMBERED_DAYS {
            known.clear();
        }
        Self {
            known,
            counted: HashSet::new(),
            admitted: HashSet::new(),
        }
    }

    /// Returns the key of the cell that counts the calls of `cell`.
    pub(super) fn admit(&mut self, conn: &Connection, key: Key, cell: &Cell) -> Result<Key> {
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
        // Counting thousands of names takes longer than rolling some requests up.
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
