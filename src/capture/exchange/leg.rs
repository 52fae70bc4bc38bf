//! The parts of a request and its answer that link them with an operation.
//!
//! Only a call that asks its client for input, or that is answered with a task,
//! takes several requests. Any other request has no [`Leg`] and costs no allocation
//! for one.

use super::outcome::Outcome;
use crate::event::{
    EndReason, Leg, StateDigest, StateKind, TaskId, TaskOutcome, TaskStatus,
    URL_ELICITATION_REQUIRED,
};
use crate::wire::{Field, Message};

/// The meaning of the members of a request and its result, which depends on the
/// method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The server may ask for input, and the client then sends the request again with
    /// the input.
    MayAsk,
    /// The request names a task, and the result describes it. Members that look like
    /// those of a call belong to the task.
    DescribesTask,
    /// The request names a task, and the result is the result of that task.
    YieldsTask,
    Other,
}

impl Role {
    fn of(method: &str) -> Self {
        match method {
            "tools/call" | "prompts/get" | "resources/read" => Self::MayAsk,
            "tasks/get" | "tasks/update" | "tasks/cancel" => Self::DescribesTask,
            "tasks/result" => Self::YieldsTask,
            _ => Self::Other,
        }
    }
}

/// Returns the leg of a request: the state that it sends back, or the task that it
/// names.
pub(super) fn of_request(method: &str, message: &Message) -> Option<Box<Leg>> {
    let mut leg = Leg::default();
    match Role::of(method) {
        Role::MayAsk => leg.state_in = state(message, Field::RequestState, Field::InputResponses),
        Role::DescribesTask | Role::YieldsTask => leg.task_id = task_id(message, Field::TaskId),
        Role::Other => {}
    }
    let says_something = leg.state_in.is_some() || leg.task_id.is_some();
    says_something.then(|| Box::new(leg))
}

/// Returns the leg of a result, before the method is considered; see [`fit`].
pub(super) fn of_result(message: &Message, end_reason: Option<EndReason>) -> Option<Box<Leg>> {
    let flat_or_nested = |flat, nested| task_status(message, flat).or(task_status(message, nested));
    let task_status = flat_or_nested(Field::ResultTaskStatus, Field::CreatedTaskStatus);
    let mut leg = Leg::default();
    match end_reason {
        Some(EndReason::InputRequired) => {
            leg.state_out = state(message, Field::ResultRequestState, Field::InputRequests);
        }
        Some(EndReason::Task) => {
            let nested = || task_id(message, Field::CreatedTaskId);
            leg.task_id = task_id(message, Field::ResultTaskId).or_else(nested);
        }
        _ if task_status.is_none() => return None,
        _ => {}
    }
    leg.task_status = task_status;
    leg.task_outcome = task_status.and_then(|status| {
        let said = [Field::TaskResult, Field::TaskError];
        let error = [Field::TaskErrorCode, Field::TaskErrorMessage];
        task_outcome(message, status, said, Field::TaskIsError, error)
    });
    Some(Box::new(leg))
}

/// Removes from the outcome of an answered request the members that have no meaning
/// for its method.
pub(super) fn fit(method: &str, outcome: &mut Outcome) {
    let Outcome {
        end_reason, leg, ..
    } = outcome;
    let goes_on = matches!(end_reason, Some(EndReason::InputRequired | EndReason::Task));
    if leg.is_none() && !goes_on {
        return;
    }
    let creates_task = *end_reason == Some(EndReason::Task);
    match (Role::of(method), leg.as_deref_mut()) {
        (Role::MayAsk | Role::Other, Some(_)) if creates_task => {}
        (Role::MayAsk, Some(leg)) if goes_on => {
            leg.task_status = None;
            leg.task_outcome = None;
        }
        (Role::MayAsk | Role::Other, _) => outcome.leg = None,
        // The task continues; the request does not.
        (Role::DescribesTask, leg) => {
            *end_reason = None;
            if let Some(leg) = leg {
                leg.state_out = None;
                leg.task_id = None;
            }
        }
        (Role::YieldsTask, _) => {
            end_reason.take_if(|_| creates_task);
            outcome.leg = None;
        }
    }
}

/// Returns the leg of a request that ended in this way, and takes the leg of the
/// answer out of the outcome. A call whose user has to open a URL first
/// (2025-11-25) has no leg, because the call that follows does not refer to it.
pub(super) fn joined(request: Option<Box<Leg>>, outcome: &mut Outcome) -> Option<Box<Leg>> {
    match (request, outcome.leg.take()) {
        (Some(_), _) if outcome.error_code.as_deref() == Some(URL_ELICITATION_REQUIRED) => None,
        (Some(mut leg), Some(answer)) => {
            let Leg {
                caller: _,
                state_in: _,
                state_out,
                task_id,
                task_status,
                task_outcome,
            } = *answer;
            leg.state_out = state_out;
            leg.task_id = task_id.or(leg.task_id);
            leg.task_status = task_status;
            leg.task_outcome = task_outcome;
            Some(leg)
        }
        (request, answer) => request.or(answer),
    }
}

/// Returns the digest of a state, or else of the keys of the input requests or
/// responses.
fn state(message: &Message, state: Field, keys: Field) -> Option<StateDigest> {
    let of = |kind, field| Some(StateDigest::new(kind, message.digest(field)?));
    of(StateKind::State, state).or_else(|| of(StateKind::Keys, keys))
}

pub(super) fn task_id(message: &Message, field: Field) -> Option<TaskId> {
    Some(TaskId {
        text: message.text(field)?.into(),
        sha256: message.digest(field)?,
    })
}

pub(super) fn task_status(message: &Message, field: Field) -> Option<TaskStatus> {
    TaskStatus::of(message.text(field)?)
}

/// Returns how a task of this status ended, if the message holds its result or error
/// in one of the fields `said`.
pub(super) fn task_outcome(
    message: &Message,
    status: TaskStatus,
    said: [Field; 2],
    is_error: Field,
    error: [Field; 2],
) -> Option<TaskOutcome> {
    let is_said = said.into_iter().any(|field| message.is_object(field));
    (status.is_final() && is_said).then(|| {
        let [error_code, error_msg] = error.map(|field| message.text(field).map(Into::into));
        TaskOutcome {
            tool_error: message.is_true(is_error),
            error_code,
            error_msg,
        }
    })
}
