//! Finds the operation that gave a state.

use rusqlite::{Connection, Result, params};

use super::{SAME_STATE, StateHash};
use crate::event::{StateDigest, StateKind};

/// How long an operation accepts legs after its end, in milliseconds, because the
/// network may deliver a request again.
const ENDED_MS: i64 = 3_600_000;

/// The most legs of an operation.
const LEGS: i64 = 1_000;

/// The newest operations with the state ?1 in an answer, ?3 at most.
const GIVERS: &str = "SELECT operation_id FROM requests WHERE state_out = ?1 AND proxy = ?2
     ORDER BY id DESC LIMIT ?3";

/// The legs of an operation, except the row ?2: ?3 at most.
const OPERATION: &str = concat!(
    "SELECT count(*), total(latency_us),
         min(CASE WHEN ",
    is_final!(),
    " THEN ts END), min(CASE WHEN ",
    is_final!(),
    " THEN ts + latency_us / 1000 END),
         (SELECT ended_ts FROM tasks WHERE operation_id = ?1), coalesce(max(leg), 0)
     FROM (SELECT ts, latency_us, end_reason, leg FROM requests
         WHERE operation_id = ?1 AND id IS NOT ?2 LIMIT ?3)"
);

/// Finds the operations that a leg may belong to.
pub(super) struct Search<'s> {
    pub(super) hash: StateHash,
    pub(super) digest: StateDigest,
    pub(super) proxy: &'s str,
    /// When the leg was received.
    pub(super) ts: i64,
}

impl Search<'_> {
    /// Returns the operation, if there is exactly one.
    pub(super) fn only(&self, conn: &Connection) -> Result<Option<(String, Operation)>> {
        self.only_but(conn, None, None)
    }

    /// Like [`only`](Self::only), without the operation `except`, and as if the row
    /// `leg` were not written yet.
    pub(super) fn only_but(
        &self,
        conn: &Connection,
        except: Option<&str>,
        leg: Option<i64>,
    ) -> Result<Option<(String, Operation)>> {
        let mut givers = conn.prepare_cached(GIVERS)?;
        // One more shows that there are too many.
        let mut rows = givers.query(params![self.hash, self.proxy, SAME_STATE + 1])?;
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
pub(super) struct Operation {
    legs: i64,
    /// The number of the last one. It is more than `legs` if the first ones were removed.
    pub(super) last_leg: i64,
    /// The sum of their latencies, in microseconds.
    pub(super) latency_us: i64,
    /// When the first final leg was received, or when its task ended.
    pub(super) final_ts: Option<i64>,
    /// When that leg was answered or its task ended.
    ended_ts: Option<i64>,
}

impl Operation {
    /// Reads the operation, without the row `except`.
    fn read(conn: &Connection, id: &str, except: Option<i64>) -> Result<Self> {
        let mut legs = conn.prepare_cached(OPERATION)?;
        legs.query_row(params![id, except, LEGS], |row| {
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
