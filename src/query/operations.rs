//! Calls as clients see them: whole operations with their requests.

use rusqlite::OptionalExtension;

use super::Reader;
use super::error::QueryError;
use super::filter::RequestFilter;
use super::lookup::Lookup;
use super::reader::Source;
use super::record::record;
use super::recorded::Recorded;
use super::request::Request;
use super::requests::{Position, first_requests};
use crate::event::{EndReason, Outcome, TaskStatus};

/// The most requests that are read of one operation.
const LEGS: i64 = 1_000;

/// One call as its client sees it, with all its requests.
///
/// A server that needs input answers `input_required`, and the client calls again. A
/// server may also answer with a task, which ends later.
///
/// `R` is the type of its requests.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Operation<R = Request> {
    /// The `request_id` of its first request.
    pub operation_id: String,
    /// How many rounds it took, or whether it was a task.
    pub kind: OperationKind,
    /// When its first request was received, in unix milliseconds.
    pub ts: i64,
    /// When it ended, in unix milliseconds; `None` while it is open.
    pub ended_ts: Option<i64>,
    /// Its outcome. It is not final while the operation is open.
    pub outcome: Outcome,
    /// The time from its first request to its end, in microseconds.
    pub wall_us: Option<i64>,
    /// The latencies of its requests together, in microseconds. A task has none.
    pub server_us: Option<i64>,
    /// The time that the client took between its requests, in microseconds.
    pub client_us: Option<i64>,
    /// Its task, if it has one.
    pub task: Option<Task>,
    /// Its requests, first to last; at most 1,000.
    pub legs: Vec<OperationLeg<R>>,
}

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OperationKind {
    /// One request.
    Single,
    /// Several rounds of requests, because the server asked for input.
    MultiRound,
    /// A task.
    Task,
}

/// One request of an operation.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct OperationLeg<R = Request> {
    /// The time that the client took, from the answer to the previous request to this one, in
    /// microseconds. `None` for the first request.
    pub client_us: Option<i64>,
    /// The request.
    #[serde(flatten)]
    pub request: R,
}

record! {
    /// The task of an operation: one row of `tasks`.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct Task {
        /// Its id.
        pub task_id: String,
        /// Its newest status.
        pub status: Option<Recorded<TaskStatus>>,
        /// When this status was seen first, in unix milliseconds.
        pub updated_ts: i64,
        /// When a final status was seen, in unix milliseconds.
        pub ended_ts: Option<i64>,
        /// How it ended.
        pub outcome: Option<Outcome>,
        /// The JSON-RPC code of its error.
        pub error_code: Option<String>,
        /// The text of its error.
        pub error_msg: Option<String>,
        /// How many requests asked for its status.
        pub polls: i64,
    }
}

impl Reader {
    /// Returns the operation of the request whose id is, or begins with, `id`. Any request
    /// of the operation finds it.
    ///
    /// A poll of a task is an operation by itself.
    pub fn find_operation(&self, id: &str) -> Result<Lookup<Operation>, QueryError> {
        match self.find_request(id)? {
            Lookup::One(request) => self
                .read(|source| Operation::of(source, request.clone()))
                .map(Lookup::One),
            Lookup::Several(ids) => Ok(Lookup::Several(ids)),
            Lookup::Nothing => Ok(Lookup::Nothing),
        }
    }

    /// Returns the newest `limit` operations that the filter takes, newest first. With a
    /// position, it returns those that began before that position.
    ///
    /// [`RequestFilter::outcomes`] are outcomes of the whole operation. All other conditions
    /// are about its first request. An operation whose first request was removed is left out.
    pub fn operations(
        &self,
        filter: &RequestFilter,
        limit: usize,
        before: Option<Position>,
    ) -> Result<Vec<Operation>, QueryError> {
        self.read(|source| {
            let first = first_requests(source, filter, limit, before)?.into_iter();
            first.map(|first| Operation::of(source, first)).collect()
        })
    }
}

impl<R: AsRef<Request>> Operation<R> {
    /// Returns the place of its first request in the order of [`Reader::requests`].
    pub fn position(&self) -> Option<Position> {
        let first = self.legs.first()?;
        Some(first.request.as_ref().position())
    }
}

impl Operation {
    /// Reads the operation of a request.
    fn of(source: &Source<'_>, request: Request) -> rusqlite::Result<Self> {
        let Some(id) = request.operation_id.clone() else {
            return Ok(Self::single(request));
        };
        let columns = Request::COLUMNS;
        let legs: Vec<Request> = source
            .conn
            .prepare_cached(&format!(
                "SELECT {columns} FROM requests WHERE operation_id = ?1 ORDER BY leg, id
                 LIMIT {LEGS}"
            ))?
            .query_map([&id], Request::from_row)?
            .collect::<rusqlite::Result<_>>()?;
        let task = source
            .conn
            .prepare_cached(&format!(
                "SELECT {} FROM tasks WHERE operation_id = ?1",
                Task::COLUMNS
            ))?
            .query_row([&id], Task::from_row)
            .optional()?;
        Ok(Self::whole(id, legs, task))
    }

    /// Makes an operation of one request.
    fn single(request: Request) -> Self {
        let outcome = request.outcome();
        let is_stream =
            request.end_reason.as_ref().and_then(Recorded::known) == Some(EndReason::StreamEnd);
        let time = (outcome.is_final() && !is_stream).then_some(request.latency_us);
        Self {
            operation_id: request.request_id.clone(),
            kind: match outcome {
                Outcome::Working => OperationKind::Task,
                _ => OperationKind::Single,
            },
            ts: request.ts,
            ended_ts: outcome.is_final().then(|| answered_ts(&request)),
            outcome,
            wall_us: time,
            server_us: time,
            client_us: time.map(|_| 0),
            task: None,
            legs: vec![OperationLeg {
                client_us: None,
                request,
            }],
        }
    }

    /// Makes an operation of several requests, or of one that created a task.
    fn whole(operation_id: String, requests: Vec<Request>, task: Option<Task>) -> Self {
        let ts = requests.first().map_or(0, |first| first.ts);
        let begun = requests.first().map(Request::outcome);
        let last = requests.iter().find(|leg| leg.operation_us.is_some());
        let (kind, ended_ts, outcome) = match (&task, begun) {
            (Some(task), _) => {
                let outcome = task.outcome.filter(|_| task.ended_ts.is_some());
                (OperationKind::Task, task.ended_ts, outcome)
            }
            (None, Some(Outcome::Working)) => (OperationKind::Task, None, None),
            (None, _) => {
                let outcome = last.map(Request::outcome).or(begun);
                (OperationKind::MultiRound, last.map(answered_ts), outcome)
            }
        };
        let server_us = last.and_then(|last| last.operation_us);
        let server_us = server_us.filter(|_| kind == OperationKind::MultiRound);
        let wall_us = match (kind, last) {
            (OperationKind::Task, _) => ended_ts.map(|ended| between(ts, ended)),
            (_, last) => last.map(|last| {
                let wall = between(ts, last.ts).saturating_add(last.latency_us);
                wall.max(server_us.unwrap_or(0))
            }),
        };
        let client_us = wall_us.zip(server_us).map(|(wall, server)| wall - server);
        Self {
            operation_id,
            kind,
            ts,
            ended_ts,
            outcome: outcome.unwrap_or(Outcome::Working),
            wall_us,
            server_us,
            client_us,
            legs: OperationLeg::all(requests),
            task,
        }
    }
}

impl<R: AsRef<Request>> OperationLeg<R> {
    /// Makes the legs of an operation from its requests, first to last.
    pub(super) fn all(requests: Vec<R>) -> Vec<Self> {
        let mut previous: Option<(i64, i64)> = None;
        let legs = requests.into_iter().map(|request| {
            let of = request.as_ref();
            let client_us = previous
                .map(|(ts, latency_us)| between(ts, of.ts).saturating_sub(latency_us).max(0));
            previous = Some((of.ts, of.latency_us));
            Self { client_us, request }
        });
        legs.collect()
    }
}

/// Returns when a request was answered.
fn answered_ts(request: &Request) -> i64 {
    request.ts.saturating_add(request.latency_us / 1000)
}

/// Returns the microseconds between two moments in milliseconds.
fn between(from: i64, to: i64) -> i64 {
    to.saturating_sub(from).saturating_mul(1000).max(0)
}
