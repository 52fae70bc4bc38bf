//! One request, by its id or its row.

use tower_mcp_store::query::{Lookup, Window};

use super::snapshot::Snapshot;
use super::statement::Statement;
use super::{FleetReader, FleetRequest, NAMED, one, select};
use crate::error::PostgresError;

/// How far the time of a request may be from the one in its id, in milliseconds.
const NEAR: i64 = 3_600_000;

impl FleetReader {
    /// Returns the request of the file `store_id` whose row has this number.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn request(
        &mut self,
        store_id: &str,
        id: i64,
    ) -> Result<Option<FleetRequest>, PostgresError> {
        let mut statement = Statement::new();
        let (store, row) = (statement.bind(store_id), statement.bind(id));
        statement.add(&format!("requests.store_id = {store}::uuid AND id = {row}"));
        Ok(select(&self.snapshot()?, statement, "")?.pop())
    }

    /// Returns the request whose id is, or begins with, `id`.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn find_request(&mut self, id: &str) -> Result<Lookup<FleetRequest>, PostgresError> {
        let snapshot = self.snapshot()?;
        let id = id.to_ascii_lowercase();
        if let Some(window) = times(&id) {
            let found = beginning(&snapshot, &id, Some(window))?;
            if !found.is_empty() {
                return Ok(one(found, &id, |found| &found.request.request_id));
            }
        }
        let found = beginning(&snapshot, &id, None)?;
        Ok(one(found, &id, |found| &found.request.request_id))
    }
}

/// Returns the first requests whose ids begin with `id`.
fn beginning(
    snapshot: &Snapshot<'_>,
    id: &str,
    window: Option<Window>,
) -> Result<Vec<FleetRequest>, PostgresError> {
    let mut statement = Statement::new();
    statement.add_beginning("request_id", id);
    if let Some(window) = window {
        statement.add_window("ts", window);
    }
    let order = format!("ORDER BY request_id LIMIT {NAMED}");
    select(snapshot, statement, &order)
}

/// Returns the times near the one with which a UUID of version 7 begins; `None` for other ids,
/// and for a beginning that ends before the version. So one or two partitions are searched
/// instead of all.
fn times(id: &str) -> Option<Window> {
    let (time, rest) = (id.get(..8)?, id.get(8..)?.strip_prefix('-')?);
    let (low, rest) = (rest.get(..4)?, rest.get(4..)?);
    rest.strip_prefix("-7")?;
    let time = i64::from_str_radix(&format!("{time}{low}"), 16).ok()?;
    Some(Window {
        since: time - NEAR,
        until: time + NEAR,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_known_from_the_version_of_the_id_on() {
        let time = 0x0193_a1b2_c3d4;
        for id in ["0193a1b2-c3d4-7", "0193a1b2-c3d4-7000-8000-000000000001"] {
            let window = times(id).unwrap();
            assert_eq!(
                (window.since, window.until),
                (time - NEAR, time + NEAR),
                "{id}"
            );
        }
        for id in [
            "",
            "0193a1b2-c3d4-",
            "0193a1b2-c3d4-4000-8000-000000000001",
            "a name",
        ] {
            assert_eq!(times(id), None, "{id}");
        }
    }
}
