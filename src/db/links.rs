//! Links the requests of one operation, in the transaction that writes them.
//!
//! A call that asks its client for input takes several requests, its legs: each leg
//! except the last is answered with a state, which the client sends back with the
//! next leg. The file holds a keyed hash of the state in the answer (`state_out`)
//! and of the state in the next request (`state_in`). Caller, method and target are
//! part of the hash, so equal hashes mean the same state, the same caller and the
//! same tool, and one index look-up finds all operations that a leg can belong to.
//! If there are two or more, the leg is not linked: a wrong link is worse than
//! none.
//!
//! Two recorders of one file may commit a leg before the leg that it follows. So
//! each new state is also compared with the [legs](late) that already sent it back.

use rusqlite::{Connection, Result};

use super::keyed_hash::KeyedHash;
use crate::event::{EndReason, Leg, RequestEvent, StateDigest};

/// SQL for whether a row is the end of its operation.
macro_rules! is_final {
    () => {
        "(end_reason IS NULL OR end_reason NOT IN ('input_required', 'task'))"
    };
}

mod caller;
mod late;
mod numbers;
mod search;

pub(super) use caller::Caller;
pub(super) use late::LateLegs;
#[cfg(feature = "outbox")]
pub(super) use numbers::number_legs;
use search::Search;

/// The kept bytes of a keyed hash.
pub(super) type StateHash = [u8; 8];

/// The most rows with one hash that are read. If there are more, the state does not
/// distinguish operations.
const SAME_STATE: i64 = 64;

/// The columns of a request that say which operation it belongs to.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) operation_id: Option<String>,
    pub(super) leg: Option<i64>,
    pub(super) operation_us: Option<i64>,
    pub(super) state_in: Option<StateHash>,
    pub(super) state_out: Option<StateHash>,
    /// It sent a state back, and no operation with that state was found.
    pub(super) is_unlinked: bool,
}

impl Place {
    /// Returns the operation of `event`, which has this place, if its answer created a
    /// task.
    pub(super) fn creates_task(&self, event: &RequestEvent) -> Option<&str> {
        let id = self.operation_id.as_deref();
        id.filter(|_| event.end_reason == Some(EndReason::Task))
    }

    /// Returns whether an operation begins with the request.
    pub(super) fn begins_operation(&self) -> bool {
        self.leg.is_none_or(|leg| leg == 1)
    }
}

/// Returns whether the request ends its operation, by its own row.
fn is_final(event: &RequestEvent) -> bool {
    let goes_on = [EndReason::InputRequired, EndReason::Task];
    !event
        .end_reason
        .is_some_and(|reason| goes_on.contains(&reason))
}

/// Returns the place of a request that is about to be written.
pub(super) fn place(
    conn: &Connection,
    key: &KeyedHash,
    event: &RequestEvent,
    leg: &Leg,
    request_id: &str,
) -> Result<Place> {
    let caller = Caller::of(event.session_id.as_deref(), leg.caller.as_ref());
    let hash = |digest: StateDigest| caller.hash(key, event, &digest);
    let mut place = Place {
        state_in: leg.state_in.and_then(hash),
        state_out: leg.state_out.and_then(hash),
        ..Place::default()
    };
    let is_final = is_final(event);
    if let Some(digest) = leg.state_in {
        let found = match place.state_in {
            Some(hash) => Search {
                hash,
                digest,
                proxy: &event.proxy,
                ts: event.ts,
            }
            .only(conn)?,
            None => None,
        };
        if let Some((id, operation)) = found {
            place.leg = Some(operation.last_leg + 1);
            if is_final && operation.final_ts.is_none() {
                let latency_us = event.latency_us.try_into().unwrap_or(i64::MAX);
                place.operation_us = Some(operation.latency_us.saturating_add(latency_us));
            }
            place.operation_id = Some(id);
            return Ok(place);
        }
        place.is_unlinked = true;
    }
    if !is_final {
        place.operation_id = Some(request_id.to_owned());
        place.leg = Some(1);
    }
    Ok(place)
}

#[cfg(test)]
mod tests;
