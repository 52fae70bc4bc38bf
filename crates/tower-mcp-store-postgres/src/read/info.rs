//! The contents of the database.

use std::collections::BTreeMap;

use tower_mcp_store::query::Value;

use super::snapshot::Snapshot;
use super::statement::Statement;
use crate::error::PostgresError;

/// What the database has, over all files.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FleetInfo {
    /// The version of its tables.
    pub fleet_schema_version: i64,
    /// The number of requests.
    pub requests: i64,
    /// When the oldest request was received, in unix milliseconds.
    pub oldest_ts: Option<i64>,
    /// When the newest request was received, in unix milliseconds.
    pub newest_ts: Option<i64>,
    /// The number of sessions. A session of several files counts once.
    pub sessions: i64,
    /// The number of sessions that have not ended.
    pub active_sessions: i64,
    /// The number of spans of time in which requests were lost.
    pub losses: i64,
    /// The number of lost requests, as far as it is known.
    pub dropped: i64,
    /// The files, the one that was shipped last first.
    pub stores: Vec<FleetStore>,
}

/// A file that was shipped.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FleetStore {
    /// Its id.
    pub store_id: String,
    /// The place of its newest writer.
    pub instance: Option<String>,
    /// The release that opened it last for recording.
    pub writer_version: Option<String>,
    /// The id of the newest request that was shipped.
    pub shipped_to: i64,
    /// When its shipper was last heard of, in unix milliseconds by its clock.
    pub seen_at: i64,
    /// How far the clock of its shipper was ahead of that of the database, in milliseconds.
    pub clock_ahead_ms: i64,
    /// The fingerprints of the keys of its keyed hashes, the newest last.
    pub key_fingerprints: Vec<String>,
}

impl FleetInfo {
    /// Returns whether all files have the same newest key. If not, a call whose requests
    /// reached several replicas is not recognised as one, and a session or caller whose id is
    /// hashed has a different id in each file.
    pub fn has_one_key(&self) -> bool {
        with_another_key(&self.stores).is_empty()
    }
}

/// Returns the files whose newest key differs from that of most files, or that have no key.
pub(super) fn with_another_key(stores: &[FleetStore]) -> Vec<&FleetStore> {
    if stores.len() < 2 {
        return Vec::new();
    }
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for key in stores
        .iter()
        .filter_map(|store| store.key_fingerprints.last())
    {
        *counts.entry(key).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    let most = most.map(|(key, _)| key);
    stores
        .iter()
        .filter(|store| most.is_none() || store.key_fingerprints.last() != most)
        .collect()
}

pub(super) fn read(snapshot: &Snapshot<'_>) -> Result<FleetInfo, PostgresError> {
    let counts = snapshot.row(
        "SELECT (SELECT version FROM mcp_store_meta), r.count, r.oldest, r.newest, s.count,
             s.active, l.count, l.dropped
         FROM (SELECT count(*), min(ts) AS oldest, max(ts) AS newest FROM requests) AS r,
             (SELECT count(*), count(*) FILTER (WHERE ended_at IS NULL) AS active
              FROM sessions) AS s,
             (SELECT count(*), mcp_store_bounded(sum(dropped)) AS dropped FROM losses) AS l",
        &Statement::new(),
    )?;
    let count = |at| number(&counts, at).unwrap_or_default();
    Ok(FleetInfo {
        fleet_schema_version: count(0),
        requests: count(1),
        oldest_ts: number(&counts, 2),
        newest_ts: number(&counts, 3),
        sessions: count(4),
        active_sessions: count(5),
        losses: count(6),
        dropped: count(7),
        stores: stores(snapshot)?,
    })
}

pub(super) fn stores(snapshot: &Snapshot<'_>) -> Result<Vec<FleetStore>, PostgresError> {
    // A fingerprint is hexadecimal digits, so no comma is part of one.
    let sql = "SELECT store_id::text, instance, writer_version, shipped_to, seen_at,
             clock_ahead_ms, array_to_string(key_fingerprints, ',')
         FROM sources ORDER BY seen_at DESC, store_id";
    let mut stores = Vec::new();
    snapshot.each(sql, &Statement::new(), |values| {
        let count = |at| number(values, at).unwrap_or_default();
        let keys = text(values, 6).unwrap_or_default();
        let keys = keys.split(',').filter(|key| !key.is_empty());
        stores.push(FleetStore {
            store_id: text(values, 0).unwrap_or_default(),
            instance: text(values, 1),
            writer_version: text(values, 2),
            shipped_to: count(3),
            seen_at: count(4),
            clock_ahead_ms: count(5),
            key_fingerprints: keys.map(str::to_owned).collect(),
        });
    })?;
    Ok(stores)
}

fn number(values: &[Value], at: usize) -> Option<i64> {
    match values.get(at) {
        Some(Value::Integer(number)) => Some(*number),
        _ => None,
    }
}

fn text(values: &[Value], at: usize) -> Option<String> {
    match values.get(at) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(id: &str, keys: &[&str]) -> FleetStore {
        FleetStore {
            store_id: id.to_owned(),
            instance: None,
            writer_version: None,
            shipped_to: 0,
            seen_at: 0,
            clock_ahead_ms: 0,
            key_fingerprints: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    #[test]
    fn files_with_another_newest_key_than_most_or_none_are_named() {
        let all = [
            store("a", &["1"]),
            store("b", &["1", "2"]),
            store("c", &["2"]),
            store("d", &[]),
        ];
        for (stores, expected) in [
            (&all[..], ["a", "d"].as_slice()),
            (&all[1..3], &[]),
            (&all[3..], &[]),
            (&[all[3].clone(), all[3].clone()], &["d", "d"]),
        ] {
            let found = with_another_key(stores).into_iter();
            let found: Vec<&str> = found.map(|store| &*store.store_id).collect();
            assert_eq!(found, expected);
        }
    }
}
