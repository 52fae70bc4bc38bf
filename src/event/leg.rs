use super::{CallerDigest, TaskId, TaskOutcome, TaskStatus};

/// What makes a request a part of an operation that takes several requests: a call that
/// asks its client for input, or a task.
///
/// ```
/// use tower_mcp_store::event::{Leg, StateDigest, StateKind};
/// use tower_mcp_store::{EndReason, RequestEvent, RequestStatus};
/// # fn sha256(_: &str) -> [u8; 32] { [0; 32] }
///
/// let mut leg = Leg::default();
/// leg.state_out = Some(StateDigest::new(StateKind::State, sha256("opaque state")));
/// let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
/// event.end_reason = Some(EndReason::InputRequired);
/// event.leg = Some(Box::new(leg));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Leg {
    /// The caller. Requests are linked by it where there is no session id of the
    /// client's, and tasks also across the sessions of one user.
    pub caller: Option<CallerDigest>,
    /// The state that the request brings back.
    pub state_in: Option<StateDigest>,
    /// The state that the answer gives.
    pub state_out: Option<StateDigest>,
    /// The task that the answer creates, or that a `tasks/*` request names.
    pub task_id: Option<TaskId>,
    /// The status of the task, as the answer says.
    pub task_status: Option<TaskStatus>,
    /// How the task ended, as the answer to `tasks/get` or `tasks/result` says. It is not
    /// the outcome of the request itself.
    pub task_outcome: Option<TaskOutcome>,
}

impl Leg {
    /// Returns the bytes of memory that it takes.
    pub(crate) fn size(&self) -> usize {
        // Without `..`, so that the compiler finds a new field.
        let Self {
            caller: _,
            state_in: _,
            state_out: _,
            task_id,
            task_status: _,
            task_outcome,
        } = self;
        size_of::<Self>()
            + task_id.as_ref().map_or(0, TaskId::heap)
            + task_outcome.as_ref().map_or(0, TaskOutcome::heap)
    }
}

/// The SHA-256 of what a request brings back, or of what its answer gives, so that the
/// client can call again with the input. The file holds a keyed hash of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct StateDigest {
    /// What was hashed.
    pub kind: StateKind,
    /// The hash.
    pub sha256: [u8; 32],
}

impl StateDigest {
    /// Returns the digest with this hash.
    pub const fn new(kind: StateKind, sha256: [u8; 32]) -> Self {
        Self { kind, sha256 }
    }
}

/// What a [`StateDigest`] is the hash of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateKind {
    /// `requestState`: the string without its escapes, or the bytes of any other value.
    State,
    /// The set of keys of `inputRequests` or `inputResponses`, whatever their order.
    Keys,
}
