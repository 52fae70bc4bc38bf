//! Which index a query of requests uses.
//!
//! `docs/queries.md` describes the paths and what they cost.

use super::conditions::Conditions;
use super::filter::RequestFilter;
use super::reader::Source;
use super::session_requests::{Latest, SessionRequests, Sessions};
use crate::db::row::number;

/// How many of the newest entries of each index are compared. A condition with fewer
/// is selective enough.
const PROBED_ENTRIES: i64 = 250;

/// The number of requests from which on a session is read by time. The index of
/// sessions is not ordered by time, so it finds the newest only by reading all.
const LONG_SESSION: i64 = 5_000;

/// The most rows of a condition that cost less than the search by latency.
const FEW_ROWS: i64 = 1_000;

/// Like `FEW_ROWS`, but for index entries: other indexes filter them before the row
/// is read.
const FEW_ENTRIES: i64 = 30_000;

/// Like `FEW_ROWS`, but for the requests of sessions.
const FEW_SESSION_REQUESTS: i64 = 5_000;

/// The path of a query to its rows.
#[derive(Debug)]
pub(super) enum AccessPath {
    /// All rows of the window, newest first.
    Time,
    /// The index of the condition at this place, newest entry first, for each value that
    /// meets it.
    Index(usize),
    /// One session after the other, latest first.
    Sessions(Sessions),
    /// The requests of one trace, which this condition finds.
    Trace(String),
    /// The classes of latency, slowest first.
    LatencyClasses,
    /// The requests of one server by latency, which an index of version 4 orders.
    LatencyOfServer,
}

/// How few of the newest requests of a window meet a condition, fewest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Selectivity {
    /// This many in all, fewer than were probed.
    Few(i64),
    /// As many as were probed, the oldest of them at this time.
    Since(i64),
}

impl Selectivity {
    fn is_few(self) -> bool {
        matches!(self, Self::Few(_))
    }
}

/// Returns tables and conditions that together find all requests that a filter takes. One request
/// may be found by several of them.
pub(super) fn all(
    source: &Source<'_>,
    conditions: &mut Conditions,
) -> rusqlite::Result<Vec<String>> {
    let by_seek = |conditions: &Conditions, seek: &str| {
        format!("requests WHERE {seek} AND {}", conditions.checks())
    };
    Ok(match newest(source, conditions)? {
        AccessPath::Index(place) => conditions.by_index(place),
        AccessPath::Trace(seek) => vec![by_seek(conditions, &seek)],
        AccessPath::Sessions(Sessions::One(session)) => {
            let session = conditions.bind(session);
            vec![by_seek(conditions, &SessionRequests::seek(&session))]
        }
        _ => vec![conditions.by_time()],
    })
}

/// Chooses the path to the newest requests that a filter takes.
pub(super) fn newest(
    source: &Source<'_>,
    conditions: &mut Conditions,
) -> rusqlite::Result<AccessPath> {
    if let Some(seek) = conditions.trace() {
        return Ok(AccessPath::Trace(seek.to_owned()));
    }
    let sessions = conditions.sessions().cloned();
    let mut indexes = conditions.indexes();
    if let (Some((place, _)), None, None) = (indexes.next(), indexes.next(), &sessions) {
        return Ok(AccessPath::Index(place));
    }
    drop(indexes);
    let (selectivity, path) = most_selective(source, conditions, PROBED_ENTRIES)?;
    let Some(sessions) = sessions.filter(|_| !selectivity.is_few()) else {
        return Ok(path);
    };
    let latest = sessions.latest(source, PROBED_ENTRIES)?;
    if let Some(first) = latest.sessions.first()
        && first.count > LONG_SESSION
    {
        conditions.end_at(first.last_seen.saturating_add(1));
        return Ok(most_selective(source, conditions, PROBED_ENTRIES)?.1);
    }
    Ok(match selectivity < of_sessions(&latest) {
        true => path,
        false => AccessPath::Sessions(sessions),
    })
}

/// Chooses the path to the slowest requests that a filter takes.
pub(super) fn slowest(
    source: &Source<'_>,
    conditions: &Conditions,
    filter: &RequestFilter,
) -> rusqlite::Result<AccessPath> {
    if let Some(seek) = conditions.trace() {
        return Ok(AccessPath::Trace(seek.to_owned()));
    }
    let sessions = conditions.sessions();
    let has_several = conditions.indexes().nth(1).is_some();
    let few = match has_several && sessions.is_none() {
        true => FEW_ENTRIES,
        false => FEW_ROWS,
    };
    let (selectivity, path) = most_selective(source, conditions, few)?;
    if selectivity.is_few() {
        return Ok(path);
    }
    if let Some(sessions) = sessions
        && sessions.latest(source, FEW_SESSION_REQUESTS + 1)?.is_all
    {
        return Ok(AccessPath::Sessions(sessions.clone()));
    }
    Ok(match filter.server_name {
        _ if source.has_all_indexes() => AccessPath::LatencyClasses,
        Some(_) => AccessPath::LatencyOfServer,
        None => path,
    })
}

/// Returns the path through the index whose condition is the most selective, as far as
/// its newest `entries` show.
fn most_selective(
    source: &Source<'_>,
    conditions: &Conditions,
    entries: i64,
) -> rusqlite::Result<(Selectivity, AccessPath)> {
    let mut most = (Selectivity::Since(i64::MAX), AccessPath::Time);
    let mut indexes: Vec<(usize, &[String])> = conditions.indexes().collect();
    // Those with many values take longer, and need not be probed to their end.
    indexes.sort_by_key(|(_, seeks)| seeks.len());
    for (place, seeks) in indexes {
        let selectivity = probe_all(source, conditions, seeks, entries, most.0)?;
        if selectivity < most.0 {
            most = (selectivity, AccessPath::Index(place));
        }
    }
    Ok(most)
}

/// Probes one value of a condition after the other, until they together are less
/// selective than `most`.
fn probe_all(
    source: &Source<'_>,
    conditions: &Conditions,
    seeks: &[String],
    entries: i64,
    most: Selectivity,
) -> rusqlite::Result<Selectivity> {
    let mut all = Selectivity::Few(0);
    for seek in seeks {
        if all >= most {
            break;
        }
        let one = probe(source, conditions, seek, entries)?;
        all = match (all, one) {
            (Selectivity::Few(all), Selectivity::Few(one)) => Selectivity::Few(all + one),
            (Selectivity::Since(all), Selectivity::Since(one)) => Selectivity::Since(all.max(one)),
            (Selectivity::Since(since), _) | (_, Selectivity::Since(since)) => {
                Selectivity::Since(since)
            }
        };
    }
    Ok(all)
}

fn probe(
    source: &Source<'_>,
    conditions: &Conditions,
    seek: &str,
    entries: i64,
) -> rusqlite::Result<Selectivity> {
    // Every bound value must have its parameter in the statement.
    let last = conditions.values().count();
    let sql = format!(
        "SELECT count(*), min(ts) FROM (SELECT ts FROM requests
            WHERE {seek} AND ts >= ?1 AND ts < ?2 AND ?{last} IS ?{last}
            ORDER BY ts DESC LIMIT {entries})"
    );
    source.conn.prepare_cached(&sql)?.query_row(
        rusqlite::params_from_iter(conditions.values()),
        |row| {
            let count = number(row, 0)?;
            Ok(match count < entries {
                true => Selectivity::Few(count),
                false => Selectivity::Since(number(row, 1)?),
            })
        },
    )
}

fn of_sessions(latest: &Latest) -> Selectivity {
    match latest.sessions.last() {
        Some(last) if !latest.is_all => Selectivity::Since(last.last_seen),
        _ => Selectivity::Few(latest.count),
    }
}
