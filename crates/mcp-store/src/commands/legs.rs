//! Requests of one operation, shown together.

use std::collections::HashMap;

use tower_mcp_store::query::{Operation, Request};

use crate::time;

/// The mark before the method of a request that continues an operation.
const CONTINUES: &str = "↳ ";

/// Moves each request that continues an operation behind the one before it, if both are
/// in `rows`.
pub(crate) fn group<T>(rows: &mut [T], request: impl Fn(&T) -> &Request) {
    let mut first: HashMap<String, (i64, i64)> = HashMap::new();
    for row in rows.iter().map(&request) {
        if let Some(operation) = &row.operation_id {
            let place = (row.ts, row.id);
            let earliest = first.entry(operation.clone()).or_insert(place);
            *earliest = place.min(*earliest);
        }
    }
    rows.sort_by_key(|row| {
        let row = request(row);
        let operation = row.operation_id.as_ref();
        let begun = operation.and_then(|operation| first.get(operation));
        (*begun.unwrap_or(&(row.ts, row.id)), row.leg, row.id)
    });
}

/// Returns the method, with a mark if the request continues an operation.
pub(crate) fn method(row: &Request) -> String {
    match row.leg {
        Some(leg) if leg > 1 => format!("{CONTINUES}{}", row.method),
        _ => row.method.clone(),
    }
}

/// Returns the time that the client took before a request of an operation, in words.
pub(crate) fn pause(client_us: Option<i64>) -> String {
    client_us.map_or("-".to_owned(), time::latency)
}

/// Returns how many requests an operation took, and how many polls its task.
pub(crate) fn size<R>(operation: &Operation<R>) -> String {
    let polls = operation.task.as_ref().map_or(0, |task| task.polls);
    let legs = operation.legs.len();
    match polls {
        0 => legs.to_string(),
        polls => format!("{legs} + {polls} polls"),
    }
}
