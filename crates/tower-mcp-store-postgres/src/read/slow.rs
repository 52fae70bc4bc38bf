//! The slowest requests, and the requests of a session around one of them.

use tower_mcp_store::query::RequestFilter;

use super::snapshot::Snapshot;
use super::statement::Statement;
use super::{FleetReader, FleetRequest, conditions, select};
use crate::error::PostgresError;

/// The condition of the index of latencies.
const INDEXED: &str = "latency_us >= 100000";

impl FleetReader {
    /// Returns the slowest `limit` requests that the filter takes, slowest first.
    ///
    /// Streams that stay open as long as the client listens (`stream_end`) are left out. If fewer
    /// requests than `limit` took 100 ms, it reads all requests in the window of the filter.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn slow(
        &mut self,
        filter: &RequestFilter,
        limit: usize,
    ) -> Result<Vec<FleetRequest>, PostgresError> {
        let snapshot = self.snapshot()?;
        let found = slowest(&snapshot, filter, limit, INDEXED)?;
        if found.len() == limit {
            return Ok(found);
        }
        slowest(&snapshot, filter, limit, "true")
    }

    /// Returns a request between its neighbours, by time: at most `count` requests of the same
    /// session, of all files, before it and as many after it.
    ///
    /// # Errors
    ///
    /// If the database does not answer.
    pub fn neighbours(
        &mut self,
        of: &FleetRequest,
        count: usize,
    ) -> Result<Vec<FleetRequest>, PostgresError> {
        let Some(session) = &of.request.session_id else {
            return Ok(vec![of.clone()]);
        };
        let snapshot = self.snapshot()?;
        let beside = |side: &str, order: &str| {
            let mut statement = Statement::new();
            statement.add_equality("session_id", &**session);
            let (ts, id) = (statement.bind(of.request.ts), statement.bind(of.request.id));
            let store = statement.bind(&*of.store_id);
            statement.add(&format!(
                "(ts, id, requests.store_id) {side} ({ts}, {id}, {store}::uuid)"
            ));
            let limit = statement.bind_limit(count);
            let order =
                format!("ORDER BY ts {order}, id {order}, requests.store_id {order} LIMIT {limit}");
            select(&snapshot, statement, &order)
        };
        let mut found = beside("<", "DESC")?;
        found.reverse();
        found.push(of.clone());
        found.extend(beside(">", "ASC")?);
        Ok(found)
    }
}

/// Returns the slowest requests that also meet a condition.
fn slowest(
    snapshot: &Snapshot<'_>,
    filter: &RequestFilter,
    limit: usize,
    condition: &str,
) -> Result<Vec<FleetRequest>, PostgresError> {
    let mut statement = conditions::of(filter, snapshot)?;
    statement.add("end_reason IS DISTINCT FROM 'stream_end'");
    statement.add(condition);
    let limit = statement.bind_limit(limit);
    let order = format!("ORDER BY latency_us DESC, id DESC, requests.store_id DESC LIMIT {limit}");
    select(snapshot, statement, &order)
}
