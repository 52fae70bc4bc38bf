//! Requests by latency.

use rusqlite::OptionalExtension;

use super::Reader;
use super::filter::{Conditions, Filter, PROBE};
use super::logs::{select, session_seek};
use super::reader::Source;
use super::request::Request;
use crate::error::QueryError;

/// The class of a latency, as in `idx_requests_slow`: its first digit, rising.
const CLASS: &str = "CASE WHEN latency_us < 1000 THEN latency_us / 100 - 10
         WHEN latency_us < 10000 THEN latency_us / 1000
         WHEN latency_us < 100000 THEN 10 + latency_us / 10000
         WHEN latency_us < 1000000 THEN 20 + latency_us / 100000
         WHEN latency_us < 10000000 THEN 30 + latency_us / 1000000
         ELSE 40 + latency_us / 10000000 END";

/// How many entries of an index cost less than to look for slow rows among
/// those that meet few of the conditions, if another index tells which of them
/// meet more.
const FEW_ENTRIES: i64 = 30_000;

impl Reader {
    /// The slowest `limit` requests that the filter takes and that took at
    /// least `threshold_us`, slowest first.
    ///
    /// Streams that are open for as long as somebody listens (`stream_end`) are
    /// not slow, and left out.
    pub fn slow(
        &self,
        filter: &Filter,
        threshold_us: i64,
        limit: usize,
    ) -> Result<Vec<Request>, QueryError> {
        self.read(|source| slow(source, filter, threshold_us, limit))
    }
}

fn slow(
    source: &Source<'_>,
    filter: &Filter,
    threshold_us: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let mut conditions = Conditions::new(filter, source);
    let few = match conditions.has_several() {
        true => FEW_ENTRIES,
        false => PROBE,
    };
    let (rarity, path) = conditions.rarest(source, few)?;
    let columns = Request::columns(source.has_outcomes());
    let threshold = conditions.bind(threshold_us);
    let left = conditions.bind(limit as i64);
    let mut rest = format!("+latency_us >= {threshold}");
    if source.has_outcomes() {
        rest.push_str(" AND end_reason IS NOT 'stream_end'");
    }
    let order = format!("ORDER BY latency_us DESC, id DESC LIMIT {left}");
    let statement = |found: String| format!("SELECT {columns} FROM {found} AND {rest} {order}");

    let found = if rarity.is_few() {
        conditions.by(path)
    } else if let Some(session) = &filter.session {
        let session = conditions.bind(session.clone());
        let seek = session_seek(source.has_outcomes(), &session);
        format!("requests WHERE {seek} AND {}", conditions.checks())
    } else if source.has_outcomes() {
        return by_class(source, &mut conditions, statement, threshold_us, limit);
    } else if let Some(proxy) = &filter.proxy {
        // The index of version 4 is in the order that is asked for, per recording point.
        let proxy = conditions.bind(proxy.clone());
        format!("requests WHERE proxy = {proxy} AND {}", conditions.checks())
    } else {
        conditions.by(path)
    };
    select(source, &conditions, &statement(found))
}

/// Class by class, from the slowest, until there are enough.
fn by_class(
    source: &Source<'_>,
    conditions: &mut Conditions,
    statement: impl Fn(String) -> String,
    threshold_us: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let mut below = source.conn.prepare_cached(&format!(
        "SELECT {CLASS} FROM requests WHERE {CLASS} < ?1 ORDER BY {CLASS} DESC LIMIT 1"
    ))?;
    let lowest: i64 = source.conn.query_row(
        &format!("SELECT {CLASS} FROM (SELECT ?1 AS latency_us)"),
        [threshold_us],
        |row| row.get(0),
    )?;
    let class = conditions.bind(0);
    let sql = statement(conditions.hits(&format!("{CLASS} = {class}"), None));
    let mut found: Vec<Request> = Vec::new();
    let mut above = i64::MAX;
    while found.len() < limit {
        let next: Option<i64> = below.query_row([above], |row| row.get(0)).optional()?;
        match next {
            Some(class) if class >= lowest => above = class,
            _ => break,
        }
        conditions.set_last(above);
        found.extend(select(source, conditions, &sql)?);
    }
    found.truncate(limit);
    Ok(found)
}
