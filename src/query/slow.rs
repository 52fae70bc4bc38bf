//! Requests by latency.

use std::cmp::Reverse;

use rusqlite::OptionalExtension;

use super::Reader;
use super::calls::{Calls, Sessions};
use super::filter::{Conditions, Filter};
use super::logs::select;
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

/// How many rows that meet a condition cost less than to look for them among
/// the slow ones.
const FEW_ROWS: i64 = 1_000;

/// The same of entries of its index, of which those of other conditions tell
/// which are worth a look at the row.
const FEW_ENTRIES: i64 = 30_000;

/// The same of requests of sessions.
const FEW_CALLS: i64 = 5_000;

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
    let is_of_sessions = filter.session.is_some() || filter.client.is_some();
    let few = match conditions.has_several() && !is_of_sessions {
        true => FEW_ENTRIES,
        false => FEW_ROWS,
    };
    let (rarity, path) = conditions.rarest(source, few)?;
    let columns = Request::COLUMNS;
    let threshold = conditions.bind(threshold_us);
    let left = conditions.bind(limit as i64);
    let rest = format!("+latency_us >= {threshold} AND end_reason IS NOT 'stream_end'");
    let order = format!("ORDER BY latency_us DESC, id DESC LIMIT {left}");
    let statement = |found: String| format!("SELECT {columns} FROM {found} AND {rest} {order}");

    if rarity.is_few() {
        return select(source, &conditions, &statement(conditions.by(path)));
    }
    if let Some(sessions) = Sessions::of(filter) {
        let latest = sessions.latest(source, FEW_CALLS + 1)?;
        if latest.is_all {
            return by_session(source, &mut conditions, statement, latest.sessions, limit);
        }
    }
    if source.has_all_indexes() {
        return by_class(source, &mut conditions, statement, threshold_us, limit);
    }
    let found = if let Some(proxy) = &filter.proxy {
        // The index of version 4 is in the order that is asked for, per recording point.
        let proxy = conditions.bind(proxy.clone());
        format!("requests WHERE proxy = {proxy} AND {}", conditions.checks())
    } else {
        conditions.by(path)
    };
    select(source, &conditions, &statement(found))
}

/// Session by session, where their requests are few.
fn by_session(
    source: &Source<'_>,
    conditions: &mut Conditions,
    statement: impl Fn(String) -> String,
    sessions: Vec<Calls>,
    limit: usize,
) -> rusqlite::Result<Vec<Request>> {
    let session = conditions.bind(String::new());
    let seek = Calls::seek(&session);
    let sql = statement(format!("requests WHERE {seek} AND {}", conditions.checks()));
    let mut found: Vec<Request> = Vec::new();
    for calls in sessions {
        conditions.set_last(calls.session);
        found.extend(select(source, conditions, &sql)?);
        found.sort_unstable_by_key(|row| Reverse((row.latency_us, row.id)));
        found.truncate(limit);
    }
    Ok(found)
}

/// Class by class, from the slowest, until there are enough.
///
/// Another program may have written a latency that is no whole number. Its class
/// is none either, and goes with the whole one below it.
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
    let lowest: f64 = source.conn.query_row(
        &format!("SELECT {CLASS} FROM (SELECT ?1 AS latency_us)"),
        [threshold_us],
        |row| row.get(0),
    )?;
    let class = conditions.bind(0.0);
    let whole = statement(conditions.hits(&format!("{CLASS} = {class}"), None));
    // Nothing else is between this class and the one before.
    let between = format!("{CLASS} > {class} AND {CLASS} < {class} + 1");
    let between = statement(conditions.hits(&between, None));
    let mut found: Vec<Request> = Vec::new();
    let mut above = f64::INFINITY;
    while found.len() < limit {
        let next: Option<f64> = below.query_row([above], |row| row.get(0)).optional()?;
        let Some(next) = next.filter(|next| *next >= lowest) else {
            break;
        };
        above = next.floor();
        conditions.set_last(above);
        let mut of_class = select(source, conditions, &whole)?;
        if next > above {
            of_class.extend(select(source, conditions, &between)?);
            of_class.sort_by_key(|row| Reverse((row.latency_us, row.id)));
        }
        found.extend(of_class);
    }
    found.truncate(limit);
    Ok(found)
}
