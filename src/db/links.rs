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
//! each new state is also compared with the legs that already sent it back. This
//! may link a leg later, or show that an earlier link was one of two possible ones,
//! which is then undone.

use rusqlite::{Connection, OptionalExtension, Result, params};

use super::keyed_hash::KeyedHash;
use super::rollup;
use crate::event::{CallerDigest, EndReason, Leg, RequestEvent, StateDigest, StateKind};

/// The kept bytes of a keyed hash.
pub(super) type StateHash = [u8; 8];

/// How long an operation accepts legs after its end, in milliseconds, because the
/// network may deliver a request again.
const ENDED_MS: i64 = 3_600_000;

/// The most rows with one hash that are read. If there are more, the state does not
/// distinguish operations.
const SAME_STATE: usize = 64;

/// The most legs of an operation.
const LEGS: i64 = 1_000;

/// SQL for whether a row is the end of its operation.
macro_rules! is_final {
    () => {
        "(end_reason IS NULL OR end_reason NOT IN ('input_required', 'task'))"
    };
}

/// The newest operations with this state in an answer: [`SAME_STATE`] and one more.
const GIVERS: &str = "SELECT operation_id FROM requests WHERE state_out = ?1 AND proxy = ?2
     ORDER BY id DESC LIMIT 65";

/// The legs of an operation, except the row ?2: [`LEGS`] at most.
const OPERATION: &str = concat!(
    "SELECT count(*), total(latency_us),
         min(CASE WHEN ",
    is_final!(),
    " THEN ts END), min(CASE WHEN ",
    is_final!(),
    " THEN ts + latency_us / 1000 END),
         (SELECT ended_ts FROM tasks WHERE operation_id = ?1), coalesce(max(leg), 0)
     FROM (SELECT ts, latency_us, end_reason, leg FROM requests
         WHERE operation_id = ?1 AND id IS NOT ?2 LIMIT 1000)"
);

/// The requests that sent a state back and were received at ?3 or later, among the
/// newest [`SAME_STATE`] rows that sent it. So the time does not grow with the number
/// of rows that share a state.
const WAITING: &str = "SELECT id, request_id, ts FROM (
         SELECT id, request_id, ts, proxy FROM requests
         WHERE state_in = ?1 ORDER BY id DESC LIMIT 64)
     WHERE proxy = ?2 AND ts >= ?3 ORDER BY ts, id";

/// Removes a row from its operation.
const DETACH: &str = concat!(
    "UPDATE requests SET operation_us = NULL, operation_id = CASE WHEN ",
    is_final!(),
    " THEN NULL ELSE request_id END, leg = CASE WHEN ",
    is_final!(),
    " THEN NULL ELSE 1 END WHERE id = ?1"
);

/// The legs of an operation, in order.
const ORDERED: &str = concat!(
    "SELECT id, latency_us, ",
    is_final!(),
    " FROM requests WHERE operation_id = ?1 ORDER BY request_id <> ?1, ts, id"
);

/// Prefix of a session id that this crate derived. It does not identify the caller,
/// because each layer derives its own.
const DERIVED: &str = "derived:";

/// The caller of a request, as far as it matters for links.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller<'e> {
    /// The session that the client names.
    Session(&'e str),
    Digest(&'e CallerDigest),
    Unknown,
}

impl<'e> Caller<'e> {
    pub(super) fn of(session_id: Option<&'e str>, digest: Option<&'e CallerDigest>) -> Self {
        match (session_id, digest) {
            (Some(id), _) if !id.starts_with(DERIVED) => Self::Session(id),
            (_, Some(digest)) => Self::Digest(digest),
            (_, None) => Self::Unknown,
        }
    }

    /// Returns whether no two users share it, so that sets of keys link as well.
    fn is_one_user(self) -> bool {
        match self {
            Self::Session(_) => true,
            Self::Digest(digest) => digest.has_credential,
            Self::Unknown => false,
        }
    }
}

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
    let hash = |digest: StateDigest| hash(key, caller, event, &digest);
    let mut place = Place {
        state_in: leg.state_in.and_then(hash),
        state_out: leg.state_out.and_then(hash),
        ..Place::default()
    };
    let is_final = is_final(event);
    if let Some(digest) = leg.state_in {
        let found = match place.state_in {
            Some(hash) => Query {
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

/// Returns the requests that sent back the state of `event` and were written before
/// it.
pub(super) fn waiting(
    conn: &Connection,
    event: &RequestEvent,
    place: &Place,
) -> Result<Vec<Waiting>> {
    match place.state_out {
        Some(hash) => Waiting::read(conn, hash, event),
        None => Ok(Vec::new()),
    }
}

/// Links the `waiting` requests of `event` at `place`, if they can belong to no
/// other operation. Call it after the event's row was written.
pub(super) fn link_waiting(
    conn: &Connection,
    event: &RequestEvent,
    leg: &Leg,
    place: &Place,
    waiting: &[Waiting],
) -> Result<()> {
    let (Some(hash), Some(digest), Some(own)) =
        (place.state_out, leg.state_out, &place.operation_id)
    else {
        return Ok(());
    };
    for row in waiting {
        // The row is read again, because an earlier iteration may have moved it.
        let Some(at) = Standing::read(conn, row.id)? else {
            continue;
        };
        if at.operation_id.as_ref() == Some(own) {
            continue;
        }
        let query = Query {
            hash,
            digest,
            proxy: &event.proxy,
            ts: row.ts,
        };
        let heads_own = at.operation_id.as_ref() == Some(&row.request_id);
        let except = heads_own.then_some(&*row.request_id);
        let found = query.only_but(conn, except, Some(row.id))?;
        let found = found.map(|(operation_id, _)| operation_id);
        let is_linked = at.operation_id.is_some() && !heads_own;
        if is_linked && found != at.operation_id {
            // When the writer linked the row, it did not know that `own` gave the same
            // state, or that the other operation had ended.
            detach(conn, &at)?;
        }
        if found.as_ref() == Some(own) {
            match Standing::read(conn, row.id)?.and_then(|at| at.operation_id) {
                None => attach(conn, row.id, own)?,
                Some(id) if id == row.request_id => merge(conn, &id, own)?,
                Some(_) => {}
            }
        }
    }
    Ok(())
}

/// Finds the operations that a leg may belong to.
struct Query<'q> {
    hash: StateHash,
    digest: StateDigest,
    proxy: &'q str,
    /// When the leg was received.
    ts: i64,
}

impl Query<'_> {
    /// Returns the operation, if there is exactly one.
    fn only(&self, conn: &Connection) -> Result<Option<(String, Operation)>> {
        self.only_but(conn, None, None)
    }

    /// Like [`only`](Self::only), without the operation `except`, and as if the row
    /// `leg` were not written yet.
    fn only_but(
        &self,
        conn: &Connection,
        except: Option<&str>,
        leg: Option<i64>,
    ) -> Result<Option<(String, Operation)>> {
        let mut givers = conn.prepare_cached(GIVERS)?;
        let mut rows = givers.query(params![self.hash, self.proxy])?;
        let (mut seen, mut looked_at) = (Vec::<String>::new(), 0);
        let mut found = None;
        while let Some(row) = rows.next()? {
            looked_at += 1;
            if looked_at > SAME_STATE {
                return Ok(None);
            }
            let Some(id) = row.get::<_, Option<String>>(0)? else {
                continue;
            };
            if except == Some(&*id) || seen.contains(&id) {
                continue;
            }
            let operation = Operation::read(conn, &id, leg)?;
            seen.push(id.clone());
            if !self.takes(&operation) {
                continue;
            }
            if found.is_some() || operation.legs >= LEGS {
                return Ok(None);
            }
            found = Some((id, operation));
        }
        Ok(found)
    }

    /// Returns whether the leg may belong to the operation.
    fn takes(&self, operation: &Operation) -> bool {
        match self.digest.kind {
            // A state identifies its operation, even if the network delivers a leg again after
            // the end.
            StateKind::State => operation
                .ended_ts
                .is_none_or(|ended| ended >= self.ts.saturating_sub(ENDED_MS)),
            // A set of keys identifies it only among the open ones.
            StateKind::Keys => operation.final_ts.is_none_or(|began| began > self.ts),
        }
    }
}

/// The legs of an operation.
struct Operation {
    legs: i64,
    /// The number of the last one. It is more than `legs` if the first ones were removed.
    last_leg: i64,
    /// The sum of their latencies, in microseconds.
    latency_us: i64,
    /// When the first final leg was received, or when its task ended.
    final_ts: Option<i64>,
    /// When that leg was answered or its task ended.
    ended_ts: Option<i64>,
}

impl Operation {
    /// Reads the operation, without the row `except`.
    fn read(conn: &Connection, id: &str, except: Option<i64>) -> Result<Self> {
        let mut legs = conn.prepare_cached(OPERATION)?;
        legs.query_row(params![id, except], |row| {
            let task_ended_ts: Option<i64> = row.get(4)?;
            Ok(Self {
                legs: row.get(0)?,
                last_leg: row.get(5)?,
                latency_us: row.get::<_, f64>(1)? as i64,
                final_ts: row.get::<_, Option<i64>>(2)?.or(task_ended_ts),
                ended_ts: row.get::<_, Option<i64>>(3)?.or(task_ended_ts),
            })
        })
    }
}

/// A row that sent a state back, and that was written before the row with that
/// state in its answer.
pub(super) struct Waiting {
    id: i64,
    request_id: String,
    ts: i64,
}

impl Waiting {
    /// Returns the requests that may answer the state of `event`, because they were
    /// received later. Requests that are already counted in a cell are left out.
    fn read(conn: &Connection, hash: StateHash, event: &RequestEvent) -> Result<Vec<Self>> {
        let mut waiting = conn.prepare_cached(WAITING)?;
        let values = params![hash, event.proxy, event.ts];
        let rows = waiting.query_map(values, |row| {
            Ok(Self {
                id: row.get(0)?,
                request_id: row.get(1)?,
                ts: row.get(2)?,
            })
        })?;
        let rows = rows.collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(rows);
        }
        let rolled_up_to = rollup::rolled_up_to(conn)?;
        Ok(rows
            .into_iter()
            .filter(|row| row.id > rolled_up_to)
            .collect())
    }
}

/// The current state of a row.
struct Standing {
    operation_id: Option<String>,
    leg: Option<i64>,
    ts: i64,
}

impl Standing {
    fn read(conn: &Connection, id: i64) -> Result<Option<Self>> {
        let mut standing =
            conn.prepare_cached("SELECT operation_id, leg, ts FROM requests WHERE id = ?1")?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Self {
                operation_id: row.get(0)?,
                leg: row.get(1)?,
                ts: row.get(2)?,
            })
        };
        standing.query_row([id], read).optional()
    }
}

/// Makes a row without an operation a leg of `operation`.
fn attach(conn: &Connection, row: i64, operation: &str) -> Result<()> {
    conn.prepare_cached("UPDATE requests SET operation_id = ?2 WHERE id = ?1")?
        .execute(params![row, operation])?;
    count_operation(conn, row, -1)?;
    number_legs(conn, operation)
}

/// Moves the legs of an operation, whose first leg turned out to be a later one, to
/// another operation.
fn merge(conn: &Connection, from: &str, into: &str) -> Result<()> {
    let head = "SELECT id FROM requests WHERE request_id = ?1";
    if let Some(head) = conn.query_row(head, [from], |row| row.get(0)).optional()? {
        count_operation(conn, head, -1)?;
    }
    for change in [
        "UPDATE requests SET operation_id = ?2 WHERE operation_id = ?1",
        "UPDATE OR IGNORE tasks SET operation_id = ?2 WHERE operation_id = ?1",
    ] {
        conn.prepare_cached(change)?.execute([from, into])?;
    }
    conn.prepare_cached("DELETE FROM tasks WHERE operation_id = ?1")?
        .execute([from])?;
    number_legs(conn, into)
}

/// Removes a leg and all legs after it from their operation, because the later ones
/// may not belong there either. Those that were received later count as well: if rows
/// are committed out of order, they can have a lower number.
fn detach(conn: &Connection, at: &Standing) -> Result<()> {
    let Standing {
        operation_id: Some(operation),
        leg: Some(leg),
        ts,
    } = at
    else {
        return Ok(());
    };
    let mut later = conn.prepare_cached(
        "SELECT id, request_id, task_id FROM requests
         WHERE operation_id = ?1 AND request_id <> ?1 AND (leg >= ?2 OR ts >= ?3)",
    )?;
    let rows = later.query_map(params![operation, leg, ts], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let rows: Vec<(i64, String, Option<String>)> = rows.collect::<Result<_>>()?;
    for (id, request_id, task_id) in rows {
        conn.prepare_cached(DETACH)?.execute([id])?;
        conn.prepare_cached(
            "UPDATE OR IGNORE tasks SET operation_id = ?2
             WHERE operation_id = ?1 AND task_id = ?3",
        )?
        .execute(params![operation, request_id, task_id])?;
        count_operation(conn, id, 1)?;
    }
    number_legs(conn, operation)
}

/// Numbers the legs by time, and stores the sum of their latencies in the first
/// final one.
fn number_legs(conn: &Connection, operation: &str) -> Result<()> {
    let mut legs = conn.prepare_cached(ORDERED)?;
    let rows = legs.query_map([operation], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let rows: Vec<(i64, i64, bool)> = rows.collect::<Result<_>>()?;
    let mut number = conn.prepare_cached(
        "UPDATE requests SET leg = ?2, operation_us = ?3 WHERE id = ?1
         AND (leg IS NOT ?2 OR operation_us IS NOT ?3)",
    )?;
    let (mut sum, mut has_ended) = (0_i64, false);
    for (leg, (id, latency_us, is_final)) in (1_i64..).zip(rows) {
        sum = sum.saturating_add(latency_us);
        let ends = is_final && !has_ended;
        has_ended |= is_final;
        number.execute(params![id, leg, ends.then_some(sum)])?;
    }
    Ok(())
}

/// Adds `change` to the operations of the row's session.
fn count_operation(conn: &Connection, row: i64, change: i64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE sessions SET operations = operations + ?2
         WHERE session_id = (SELECT session_id FROM requests WHERE id = ?1)",
    )?
    .execute([row, change])
    .map(drop)
}

/// Returns the keyed hash of a state; `None` for a set of keys whose caller may be
/// several users.
fn hash(
    key: &KeyedHash,
    caller: Caller<'_>,
    event: &RequestEvent,
    digest: &StateDigest,
) -> Option<StateHash> {
    let kind: &[u8] = match digest.kind {
        StateKind::State => b"state",
        StateKind::Keys if caller.is_one_user() => b"keys",
        StateKind::Keys => return None,
    };
    let (caller_kind, caller): (&[u8], &[u8]) = match caller {
        Caller::Session(id) => (b"session", id.as_bytes()),
        Caller::Digest(digest) => (b"caller", &digest.sha256),
        Caller::Unknown => (b"", b""),
    };
    let tool = event.tool.as_deref().unwrap_or_default();
    let target = event.target.as_deref().unwrap_or_default();
    let parts: [&[u8]; 8] = [
        b"operation",
        kind,
        caller_kind,
        caller,
        event.method.as_bytes(),
        tool.as_bytes(),
        target.as_bytes(),
        &digest.sha256,
    ];
    Some(key.of(&parts))
}

#[cfg(test)]
mod tests;
