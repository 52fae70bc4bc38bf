//! One cell: the calls that are counted together.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::cell_name;
use crate::db::bucket_width::BucketWidth;
use crate::db::contribution::Contribution;
use crate::db::row::{number, text};
use crate::event::Outcome;
use crate::histogram::Histogram;

const LATENCIES: &str = "SELECT latencies, wall_latencies FROM request_rollups
     WHERE width = ?1 AND start = ?2 AND proxy = ?3 AND method = ?4 AND tool = ?5 AND outcome = ?6";
/// A sum beyond the range of integers becomes a float, and `min` limits it.
const ADD: &str = "INSERT INTO request_rollups (width, start, proxy, method, tool, outcome,
        calls, ended, bytes_in, bytes_out, max_latency_us, latencies, max_wall_us,
        wall_latencies)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
     ON CONFLICT DO UPDATE SET
        calls = calls + excluded.calls,
        ended = ended + excluded.ended,
        bytes_in = min(bytes_in + excluded.bytes_in, 9223372036854775807),
        bytes_out = min(bytes_out + excluded.bytes_out, 9223372036854775807),
        max_latency_us = max(max_latency_us, excluded.max_latency_us),
        latencies = excluded.latencies,
        max_wall_us = max(max_wall_us, excluded.max_wall_us),
        wall_latencies = excluded.wall_latencies";

/// The properties that calls in one cell have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) hour: i64,
    pub(super) proxy: String,
    pub(super) method: String,
    pub(super) tool: String,
    pub(super) outcome: Outcome,
}

impl Key {
    /// Reads server, method and tool from the columns of a row that begin at `at`.
    pub(super) fn read(row: &Row<'_>, at: usize, ts: i64, outcome: Outcome) -> Result<Self> {
        Ok(Self {
            hour: BucketWidth::Hour.start(ts),
            proxy: text(row, at)?,
            method: name(row, at + 1)?,
            tool: name(row, at + 2)?,
            outcome,
        })
    }
}

/// Returns the name of a method or tool in its cells.
fn name(row: &Row<'_>, column: usize) -> Result<String> {
    let name = text(row, column)?;
    Ok(match cell_name(&name) {
        Cow::Borrowed(_) => name,
        Cow::Owned(cut) => cut,
    })
}

#[derive(Debug, Default)]
pub(super) struct Cell {
    pub(super) calls: i64,
    pub(super) ended: i64,
    bytes_in: i64,
    bytes_out: i64,
    /// Each latency, because most names occur a few times only, and a histogram is
    /// large.
    pub(super) server_us: Vec<u64>,
    wall_us: Vec<u64>,
}

impl Cell {
    pub(super) fn add(&mut self, contribution: Contribution) {
        self.calls += contribution.calls;
        self.ended += contribution.ended;
        let us = |us: Option<i64>| us.map(|us| u64::try_from(us).unwrap_or(0));
        self.server_us.extend(us(contribution.server_us));
        self.wall_us.extend(us(contribution.wall_us));
    }

    /// Adds the bytes of a request, in two columns of its row.
    pub(super) fn add_bytes(&mut self, row: &Row<'_>, at: usize) -> Result<()> {
        self.bytes_in = self.bytes_in.saturating_add(number(row, at)?.max(0));
        self.bytes_out = self.bytes_out.saturating_add(number(row, at + 1)?.max(0));
        Ok(())
    }

    /// Counts an end that another cell counted before.
    pub(super) fn add_moved(&mut self) {
        self.ended += 1;
    }

    /// Returns whether one of these calls shows that its tool exists. Many servers
    /// answer a call of an unknown tool with a result.
    pub(super) fn has_success(&self, key: &Key) -> bool {
        matches!(
            key.outcome,
            Outcome::Ok | Outcome::InputRequired | Outcome::Working
        ) && self.calls + self.ended > 0
    }

    /// Adds the counts of another cell.
    pub(super) fn merge(&mut self, more: Self) {
        self.calls += more.calls;
        self.ended += more.ended;
        self.bytes_in = self.bytes_in.saturating_add(more.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(more.bytes_out);
        self.server_us.extend(more.server_us);
        self.wall_us.extend(more.wall_us);
    }

    /// Adds this to the cell of that width in the file.
    pub(super) fn write(&self, conn: &Connection, width: BucketWidth, key: &Key) -> Result<()> {
        let (ms, start) = (width.ms(), width.start(key.hour));
        let outcome = key.outcome.as_str();
        let before: Option<(Vec<u8>, Option<Vec<u8>>)> = conn
            .prepare_cached(LATENCIES)?
            .query_row(
                params![ms, start, key.proxy, key.method, key.tool, outcome],
                |row| row.try_into(),
            )
            .optional()?;
        let (server_before, wall_before) = before.unwrap_or_default();
        // Most calls are one request, whose two times are equal.
        let is_same = wall_before.is_none() && self.server_us == self.wall_us;
        let wall = (!is_same).then(|| {
            let before = wall_before.as_deref().unwrap_or(&server_before);
            with(before, &self.wall_us)
        });
        conn.prepare_cached(ADD)?.execute(params![
            ms,
            start,
            key.proxy,
            key.method,
            key.tool,
            outcome,
            self.calls,
            self.ended,
            self.bytes_in,
            self.bytes_out,
            highest(&self.server_us),
            with(&server_before, &self.server_us),
            highest(&self.wall_us),
            wall,
        ])?;
        Ok(())
    }
}

/// Returns the highest latency; 0 if there is none.
pub(super) fn highest(latencies: &[u64]) -> i64 {
    let highest = latencies.iter().max().copied().unwrap_or(0);
    i64::try_from(highest).unwrap_or(i64::MAX)
}

/// Returns an encoded histogram with more latencies.
pub(super) fn with(encoded: &[u8], more: &[u64]) -> Vec<u8> {
    let mut latencies = Histogram::default();
    latencies.merge(encoded);
    more.iter().for_each(|us| latencies.record(*us));
    latencies.encode()
}
