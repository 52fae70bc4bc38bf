use super::{CallerDigest, TaskId, TaskOutcome, TaskStatus};

/// The data by which the writer links a request to the other requests of its operation, for
/// a call that asks its client for input or that is answered with a task.
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
    /// The caller. The writer links requests by it if the client sends no session id, and
    /// tasks also if they are of two sessions of one user.
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
    /// Returns how many bytes of memory the leg takes.
    pub(crate) fn size(&self) -> usize {
        // There is no `..`, so that a new field does not compile before it is added here.
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

/// The SHA-256 of a state: of the one that an answer gives when it asks for input, or of the
/// one that the next request brings back. The file holds a keyed hash of it.
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

/// The kind of data that a [`StateDigest`] is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StateKind {
    /// `requestState`: the string without its escapes, or the bytes of any other value.
    State,
    /// The keys of `inputRequests` or `inputResponses`, in any order.
    Keys,
}
