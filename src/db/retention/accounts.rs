//! Limits the losses and runs of writers in a file that is too large. They describe
//! missing requests, so they are not removed with the requests of their time.

use std::time::Instant;

use rusqlite::{Connection, Result};

use super::{BATCH, Slice};

/// The number of each that stay.
const KEPT: i64 = 1024;

const OLD_LOSSES: &str = "DELETE FROM losses WHERE id IN (
        SELECT id FROM losses WHERE id <= (SELECT max(id) FROM losses) - ?2
        ORDER BY id LIMIT ?1)";
/// Their ids begin with the time.
const OLD_RUNS: &str = "DELETE FROM writers WHERE id IN (
        SELECT id FROM writers WHERE ended_at IS NOT NULL ORDER BY id DESC LIMIT ?1 OFFSET ?2)";

/// Deletes the oldest of both.
pub(super) fn shorten(conn: &Connection, until: Instant) -> Result<Slice> {
    let mut count = 0;
    for sql in [OLD_LOSSES, OLD_RUNS] {
        let mut delete = conn.prepare_cached(sql)?;
        loop {
            let rows = delete.execute([BATCH, KEPT])? as u64;
            count += rows;
            if rows == 0 {
                break;
            }
            if Instant::now() >= until {
                let is_last = false;
                return Ok(Slice { count, is_last });
            }
        }
    }
    let is_last = true;
    Ok(Slice { count, is_last })
}
