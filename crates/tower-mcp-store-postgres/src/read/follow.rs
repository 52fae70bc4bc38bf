//! Requests as they are shipped.

use std::collections::BTreeMap;
use std::time::Duration;

use tower_mcp_store::query::{RequestFilter, Value};

use super::snapshot::Snapshot;
use super::statement::Statement;
use super::{FleetReader, FleetRequest, Handles, conditions, newest, select_from};
use crate::backoff::Backoff;
use crate::error::PostgresError;
use crate::target::Target;

/// How often to look for new rows, which shippers write about twice a second.
const POLL: Duration = Duration::from_secs(1);

/// The most rows that one poll returns, if there are not more files.
const BATCH: usize = 1_000;

/// The number of the last row of each file that a reader sees. A shipper that was killed before
/// it confirmed a batch goes back to the row before it, until it writes the batch again.
const LAST: &str = "SELECT store_id::text, greatest(shipped_to, (
        SELECT max(id) FROM requests WHERE requests.store_id = sources.store_id
    )) FROM sources";

/// A shipper sets `shipped_to` in the transaction that adds the rows up to this number.
const SHIPPED_TO: &str = "SELECT store_id::text, shipped_to FROM sources";

/// Reads requests of all files as they are shipped; see [`FleetReader::follow`].
///
/// It has a place in each file, and files that are new begin at their first row. A file is
/// shipped in the order of its rows, so no row is missed and none comes twice. After
/// `mcp-store ship --rewind` of a file that was restored from a copy, rows whose numbers it has
/// passed are missing.
#[derive(Debug)]
pub struct FleetFollower {
    target: Target,
    /// `None` after the connection was lost.
    reader: Option<FleetReader>,
    filter: RequestFilter,
    limit: usize,
    /// The number of the last row of each file that was examined; `None` before the first poll.
    places: Option<BTreeMap<String, i64>>,
    backoff: Backoff,
    pause: Duration,
}

impl FleetFollower {
    pub(super) fn new(reader: FleetReader, filter: RequestFilter, limit: usize) -> Self {
        Self {
            target: reader.target.clone(),
            reader: Some(reader),
            filter,
            limit,
            places: None,
            backoff: Backoff::default(),
            pause: Duration::ZERO,
        }
    }

    /// Returns the requests that were shipped since the last call, oldest first. The first call
    /// returns the newest ones.
    ///
    /// It returns about 1,000 rows at most; the next call returns the rest. After an error, the
    /// next call connects again, and continues where the last one succeeded. It blocks like the
    /// functions of [`FleetReader`].
    ///
    /// # Errors
    ///
    /// If the database does not answer. After an error of the kind
    /// [`Connection`](crate::PostgresErrorKind::Connection) another call may succeed.
    pub fn poll(&mut self) -> Result<Vec<FleetRequest>, PostgresError> {
        match self.connect_and_read() {
            Ok(found) => {
                self.backoff.reset();
                self.pause = if found.is_empty() {
                    POLL
                } else {
                    Duration::ZERO
                };
                Ok(found)
            }
            Err(error) => {
                self.pause = self.backoff.next();
                Err(error)
            }
        }
    }

    /// Returns how long to wait before the next poll: a second if the last one found nothing,
    /// and half a second to a minute after an error.
    pub fn pause(&self) -> Duration {
        self.pause
    }

    /// Returns short names for the requests of the files that the last poll found.
    pub fn handles(&self) -> Handles {
        Handles::new(
            self.places
                .iter()
                .flatten()
                .map(|(id, _)| id.clone())
                .collect(),
        )
    }

    fn connect_and_read(&mut self) -> Result<Vec<FleetRequest>, PostgresError> {
        // After an error the connection is dropped.
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => FleetReader::open(&self.target)?,
        };
        let found = self.read(&reader.snapshot()?)?;
        self.reader = Some(reader);
        Ok(found)
    }

    fn read(&mut self, snapshot: &Snapshot<'_>) -> Result<Vec<FleetRequest>, PostgresError> {
        let Some(places) = &mut self.places else {
            let mut found = newest(snapshot, &self.filter, self.limit)?;
            found.reverse();
            self.places = Some(files(snapshot, LAST)?);
            return Ok(found);
        };
        let mut parts = Vec::new();
        for (store_id, to) in files(snapshot, SHIPPED_TO)? {
            let after = *places.entry(store_id.clone()).or_default();
            if after < to {
                parts.push(Part {
                    store_id,
                    after,
                    to,
                });
            }
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let limit = (BATCH / parts.len()).max(1);
        let found = shipped(snapshot, &self.filter, &parts, limit)?;
        for Part { store_id, to, .. } in parts {
            let of_file = found.iter().filter(|found| found.store_id == store_id);
            let last = match of_file.clone().count() < limit {
                true => to,
                false => of_file.map(|found| found.request.id).max().unwrap_or(to),
            };
            places.insert(store_id, last);
        }
        Ok(found)
    }
}

/// The rows of a file that were not examined.
struct Part {
    store_id: String,
    after: i64,
    to: i64,
}

/// Returns a number for each file.
fn files(snapshot: &Snapshot<'_>, sql: &str) -> Result<BTreeMap<String, i64>, PostgresError> {
    let mut found = BTreeMap::new();
    snapshot.each(sql, &Statement::new(), |values| {
        if let [Value::Text(store_id), Value::Integer(number)] = values {
            found.insert(store_id.clone(), *number);
        }
    })?;
    Ok(found)
}

/// Returns the first `limit` requests of each part, oldest first.
fn shipped(
    snapshot: &Snapshot<'_>,
    filter: &RequestFilter,
    parts: &[Part],
    limit: usize,
) -> Result<Vec<FleetRequest>, PostgresError> {
    let mut statement = conditions::of(filter, snapshot)?;
    statement.add("store_id = part.store::uuid AND id > part.after AND id <= part.last");
    let conditions = statement.conditions();
    let stores: Vec<String> = parts.iter().map(|part| part.store_id.clone()).collect();
    let [after, to] = [|part: &Part| part.after, |part: &Part| part.to]
        .map(|number| parts.iter().map(number).collect::<Vec<i64>>());
    let (stores, after, to) = (
        statement.bind(stores),
        statement.bind(after),
        statement.bind(to),
    );
    let limit = statement.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let from = format!(
        "unnest({stores}, {after}, {to}) AS part (store, after, last), LATERAL (
             SELECT * FROM requests {conditions} ORDER BY id LIMIT {limit}
         ) AS requests ORDER BY ts, id, requests.store_id"
    );
    select_from(snapshot, &statement, &from)
}
