//! The table `tasks`: how operations ended that a server answered with a task.
//!
//! The request that creates a task is a leg of its operation. Later sightings of
//! the task, in answers to `tasks/*` and in notifications, change only the row in
//! `tasks`: these requests are operations by themselves.
//!
//! A sighting may precede the task: a notification on another stream, or an answer
//! that another recorder commits first. It is kept in memory for an hour.

use std::collections::VecDeque;

use rusqlite::{Connection, OptionalExtension, Result, named_params, params};

use super::keyed_hash::KeyedHash;
use super::links::Caller;
use super::stored_ids::StoredIds;
use crate::event::{
    Leg, Outcome, RequestEvent, RequestStatus, TaskOutcome, TaskStatus, TaskStatusEvent,
};

/// The most tasks with one id that are read. A server may use one id for all tasks.
const SAME_ID: i64 = 64;

/// The most sightings of unknown tasks that are kept.
const UNKNOWN: usize = 1_000;

/// How long they are kept, in milliseconds.
const UNKNOWN_MS: i64 = 3_600_000;

/// The content of a message about a task.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) proxy: Box<str>,
    /// The session that the client names, in its stored form.
    pub(super) session_id: Option<Box<str>>,
    /// The caller, as in `sessions.caller`.
    pub(super) caller: Option<Box<str>>,
    /// Whether the caller is one user, so that the task may be of another session.
    pub(super) is_one_user: bool,
    /// The id, in its stored form.
    pub(super) task_id: Box<str>,
    /// When the message passed, in unix milliseconds.
    pub(super) ts: i64,
    pub(super) is_poll: bool,
    pub(super) status: Option<TaskStatus>,
    /// How the task ended, if the message holds its result or its error.
    pub(super) outcome: Option<TaskOutcome>,
}

impl Sighting {
    /// Returns the sighting in a notification.
    pub(super) fn notified(event: &TaskStatusEvent, ids: StoredIds<'_>) -> Self {
        let caller = event.caller.as_ref();
        Self {
            proxy: (&*event.proxy).into(),
            session_id: named_session(event.session_id.as_deref(), ids),
            caller: caller.map(|caller| ids.keyed_hash.caller(caller).into()),
            is_one_user: caller.is_some_and(|caller| caller.has_credential),
            task_id: ids.session_ids.stored_task(&event.task_id),
            ts: event.ts,
            is_poll: false,
            status: Some(event.status),
            outcome: event.outcome.clone(),
        }
    }

    /// Returns the sighting in the answer to a request; `None` if the answer is not
    /// about an existing task.
    pub(super) fn answered(
        event: &RequestEvent,
        leg: &Leg,
        task_id: Box<str>,
        ids: StoredIds<'_>,
    ) -> Option<Self> {
        let is_answered = event.status == RequestStatus::Ok && event.end_reason.is_none();
        let (status, outcome) = match &*event.method {
            // This request waits for the end of the task, and its answer is the result.
            "tasks/result" if is_answered => {
                let (status, tool_error) = match event.tool_error {
                    true => (TaskStatus::Failed, true),
                    false => (TaskStatus::Completed, false),
                };
                let outcome = TaskOutcome {
                    tool_error,
                    ..TaskOutcome::default()
                };
                (Some(status), Some(outcome))
            }
            _ => (leg.task_status, leg.task_outcome.clone()),
        };
        let is_poll = event.method == "tasks/get";
        let latency_ms = i64::try_from(event.latency_us / 1000).unwrap_or(i64::MAX);
        let caller = leg.caller.as_ref();
        (is_poll || status.is_some()).then(|| Self {
            proxy: (&*event.proxy).into(),
            session_id: named_session(event.session_id.as_deref(), ids),
            caller: caller.map(|caller| ids.keyed_hash.caller(caller).into()),
            is_one_user: caller.is_some_and(|caller| caller.has_credential),
            task_id,
            ts: event.ts.saturating_add(latency_ms),
            is_poll,
            status,
            outcome,
        })
    }
}

/// Returns the session that a client named, in its stored form.
fn named_session(session_id: Option<&str>, ids: StoredIds<'_>) -> Option<Box<str>> {
    match Caller::of(session_id, None) {
        Caller::Session(id) => Some(ids.session_ids.stored(id).into()),
        Caller::Digest(_) | Caller::Unknown => None,
    }
}

/// Adds the task that the answer to `event` created. The first task of an operation
/// stays.
pub(super) fn create(
    conn: &Connection,
    key: &KeyedHash,
    operation_id: &str,
    task_id: &str,
    event: &RequestEvent,
    leg: &Leg,
) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO tasks (operation_id, task_id, caller, status, updated_ts)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (operation_id) DO NOTHING",
    )?
    .execute(params![
        operation_id,
        task_id,
        leg.caller.as_ref().map(|caller| key.caller(caller)),
        leg.task_status.map(TaskStatus::as_str),
        event.ts,
    ])
    .map(drop)
}

/// Applies a sighting to its task. Returns whether the task is known.
pub(super) fn see(conn: &Connection, seen: &Sighting) -> Result<bool> {
    let Some(operation_id) = operation(conn, seen)? else {
        return Ok(false);
    };
    let ended = seen.status.filter(|status| status.is_final());
    let outcome = ended.map(|status| outcome(status, seen.outcome.as_ref()));
    let error = seen.outcome.as_ref();
    // The status of the newest message counts until the task ends. Then the first final
    // status counts, but a message with the result replaces its outcome.
    conn.prepare_cached(
        "UPDATE tasks SET
             polls = polls + :polls,
             status = CASE
                 WHEN :outcome IS NOT NULL AND (ended_ts IS NULL OR :knows) THEN :status
                 WHEN ended_ts IS NULL AND :ts >= updated_ts THEN coalesce(:status, status)
                 ELSE status END,
             outcome = iif(:outcome IS NOT NULL AND (ended_ts IS NULL OR :knows),
                 :outcome, outcome),
             error_code = iif(:outcome IS NOT NULL AND (ended_ts IS NULL OR :knows),
                 :error_code, error_code),
             error_msg = iif(:outcome IS NOT NULL AND (ended_ts IS NULL OR :knows),
                 :error_msg, error_msg),
             ended_ts = iif(:outcome IS NOT NULL, min(coalesce(ended_ts, :ts), :ts), ended_ts),
             updated_ts = max(updated_ts, :ts)
         WHERE operation_id = :operation_id",
    )?
    .execute(named_params! {
        ":operation_id": operation_id,
        ":polls": seen.is_poll,
        ":ts": seen.ts,
        ":status": seen.status.map(TaskStatus::as_str),
        ":knows": seen.outcome.is_some(),
        ":outcome": outcome.map(Outcome::as_str),
        ":error_code": error.and_then(|error| error.error_code.as_deref()),
        ":error_msg": error.and_then(|error| error.error_msg.as_deref()),
    })?;
    Ok(true)
}

/// Returns the newest operation whose task has this id and whose caller is this one.
fn operation(conn: &Connection, seen: &Sighting) -> Result<Option<String>> {
    conn.prepare_cached(
        "SELECT t.operation_id
         FROM (SELECT operation_id, caller FROM tasks WHERE task_id = :task_id
             ORDER BY operation_id DESC LIMIT :limit) AS t
         JOIN requests AS r ON r.request_id = t.operation_id
         WHERE r.proxy = :proxy AND (
             r.session_id = :session_id
             OR (:is_one_user AND t.caller = :caller)
             OR (:session_id IS NULL AND coalesce(r.session_id, 'derived:') GLOB 'derived:*'
                 AND t.caller IS :caller))
         ORDER BY t.operation_id DESC LIMIT 1",
    )?
    .query_row(
        named_params! {
            ":task_id": seen.task_id,
            ":proxy": seen.proxy,
            ":session_id": seen.session_id,
            ":caller": seen.caller,
            ":is_one_user": seen.is_one_user,
            ":limit": SAME_ID,
        },
        |row| row.get(0),
    )
    .optional()
}

/// Returns the outcome of a task with this final status.
fn outcome(status: TaskStatus, said: Option<&TaskOutcome>) -> Outcome {
    if status == TaskStatus::Cancelled {
        return Outcome::Gone;
    }
    // A task of revision 2025-11-25 also fails if its tool does.
    if said.is_some_and(|said| said.tool_error) {
        return Outcome::ToolError;
    }
    if status == TaskStatus::Completed {
        return Outcome::Ok;
    }
    let code = said.and_then(|said| said.error_code.as_deref());
    Outcome::of(RequestStatus::Error, false, None, code, None)
}

/// Sightings of tasks that are not known yet.
#[derive(Debug, Default)]
pub(super) struct Unknown(VecDeque<Sighting>);

impl Unknown {
    pub(super) fn of<'u>(&'u self, task_id: &'u str) -> impl Iterator<Item = &'u Sighting> {
        self.0.iter().filter(move |seen| &*seen.task_id == task_id)
    }

    /// Adds `new`. Removes sightings that are too old, and those of tasks that are
    /// known by now.
    pub(super) fn keep(&mut self, new: Vec<Sighting>, known: &[Box<str>]) {
        self.0.extend(new);
        let newest = self.0.iter().map(|seen| seen.ts).max().unwrap_or_default();
        self.0.retain(|seen| {
            seen.ts >= newest.saturating_sub(UNKNOWN_MS) && !known.contains(&seen.task_id)
        });
        let excess = self.0.len().saturating_sub(UNKNOWN);
        self.0.drain(..excess);
    }
}

#[cfg(test)]
mod tests;
