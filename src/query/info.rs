//! The contents of a file.

use std::fs;
use std::path::PathBuf;

use rusqlite::{OptionalExtension, Row};

use super::Reader;
use super::error::QueryError;
use super::reader::Source;
use crate::db::hold::{SHIPPED_AT, SHIPPED_TO};
use crate::db::keyed_hash::fingerprints;
use crate::db::pulled::PULLED_AT;
use crate::db::row::{number, optional_number, optional_text, text};
use crate::db::sidecar::sidecar;
use crate::db::{Stats, writers_total};

/// A file and its numbers of rows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Info {
    /// The path as it was given.
    pub path: PathBuf,
    /// The id of the file, which its copies share; `None` in a file of version 4.
    pub store_id: Option<String>,
    /// The places of the writers that recorded into the file, the newest first; 100 at most.
    pub instances: Vec<String>,
    /// The fingerprints of the keys of its keyed hashes, the newest last.
    pub key_fingerprints: Vec<String>,
    /// The version of its tables.
    pub schema_version: i64,
    /// The release that last opened it for recording; `None` if another program did.
    pub writer_version: Option<String>,
    /// When it was created, in unix milliseconds.
    pub created_at: Option<i64>,
    /// The number of requests.
    pub requests: i64,
    /// When the oldest request was received, in unix milliseconds.
    pub oldest_ts: Option<i64>,
    /// When the newest request was received, in unix milliseconds.
    pub newest_ts: Option<i64>,
    /// The number of sessions.
    pub sessions: i64,
    /// The number of sessions that have not ended.
    pub active_sessions: i64,
    /// The number of spans of time in which requests were lost.
    pub losses: i64,
    /// The number of lost requests, as far as it is known.
    pub dropped: i64,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// The free space in the file, in bytes.
    pub free_bytes: u64,
    /// The size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
    /// The counters of the writers whose rows the file still has, added up, each as of its
    /// last commit. `None` for a file of version 4, which has none.
    pub counters: Option<Stats>,
    /// The moment of the database of a fleet that the last complete pull copied to the file, in
    /// unix milliseconds; `None` if there was none.
    pub pulled_at: Option<i64>,
    /// How far the file was shipped; `None` if no shipper is registered in it.
    pub shipping: Option<Shipping>,
}

/// How far a shipper has copied the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Shipping {
    /// The id of the last request that was copied; 0 if there is none.
    pub shipped_to: i64,
    /// The number of requests that were not copied yet.
    pub waiting: i64,
    /// When the shipper had last copied everything, in unix milliseconds; `None` before the first
    /// time.
    pub caught_up_at: Option<i64>,
}

impl Reader {
    /// Returns facts about the file and the numbers of its rows.
    pub fn info(&self) -> Result<Info, QueryError> {
        self.read(|source| self.describe(source))
    }

    fn describe(&self, source: &Source<'_>) -> rusqlite::Result<Info> {
        let one = |sql: &str| ask(source, sql, |row| number(row, 0));
        let maybe = |sql: &str| ask(source, sql, |row| optional_number(row, 0));
        let meta = |key: &str| {
            let sql = "SELECT value FROM meta WHERE key = ?1";
            let value = source
                .conn
                .query_row(sql, [key], |row| optional_text(row, 0));
            value.optional().map(Option::flatten)
        };
        let losses = "SELECT count(*), total(dropped) FROM losses";
        let counts = |row: &Row<'_>| Ok((number(row, 0)?, number(row, 1)?));
        let (losses, dropped) = ask(source, losses, counts)?;
        let free = one("PRAGMA freelist_count")?.saturating_mul(one("PRAGMA page_size")?);
        let size = |path| fs::metadata(path).map_or(0, |file| file.len());
        Ok(Info {
            path: self.path().to_owned(),
            store_id: meta("store_id")?,
            instances: instances(source)?,
            key_fingerprints: fingerprints(source.conn)?,
            schema_version: source.version(),
            writer_version: meta("writer_version")?,
            created_at: meta("created_at")?.and_then(|text| text.parse().ok()),
            requests: one("SELECT count(*) FROM requests")?,
            oldest_ts: maybe("SELECT min(ts) FROM requests")?,
            newest_ts: maybe("SELECT max(ts) FROM requests")?,
            sessions: one("SELECT count(*) FROM sessions")?,
            active_sessions: one("SELECT count(*) FROM sessions WHERE ended_at IS NULL")?,
            losses,
            dropped,
            file_bytes: size(self.real().to_owned()),
            free_bytes: u64::try_from(free).unwrap_or(0),
            wal_bytes: size(sidecar(self.real(), "-wal")),
            pulled_at: meta(PULLED_AT)?.and_then(|at| at.parse().ok()),
            shipping: match meta(SHIPPED_TO)? {
                Some(shipped_to) => Some(Shipping {
                    shipped_to: shipped_to.parse().unwrap_or(0),
                    waiting: one(&format!(
                        "SELECT count(*) FROM requests WHERE id > coalesce((
                             SELECT CAST(value AS INTEGER) FROM meta
                             WHERE key = '{SHIPPED_TO}'), 0)"
                    ))?,
                    caught_up_at: meta(SHIPPED_AT)?.and_then(|text| text.parse().ok()),
                }),
                None => None,
            },
            counters: match source.has_all_indexes() {
                true => Some(writers_total(source.conn)?),
                false => None,
            },
        })
    }
}

fn instances(source: &Source<'_>) -> rusqlite::Result<Vec<String>> {
    source
        .conn
        .prepare_cached(
            "SELECT instance FROM writers WHERE instance IS NOT NULL
             GROUP BY instance ORDER BY max(started_at) DESC, max(id) DESC LIMIT 100",
        )?
        .query_map([], |row| text(row, 0))?
        .collect()
}

fn ask<T>(
    source: &Source<'_>,
    sql: &str,
    map: fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    source.conn.prepare_cached(sql)?.query_row([], map)
}
