use std::borrow::Cow;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::CallerDigest;
use super::DEFAULT_PROXY;
use super::session_id::bounded_id_of;
use super::text_len;
use crate::clock;

/// How many characters of the id of a task are kept.
const ID_CHARS: usize = 256;

/// The id of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TaskId {
    /// The first 256 characters.
    pub text: Box<str>,
    /// The SHA-256 of the whole id. Two ids are the same if their hashes are.
    pub sha256: [u8; 32],
}

impl TaskId {
    /// Returns the id. It keeps the first 256 characters and a hash of the whole.
    pub fn new(id: &str) -> Self {
        let end = id.char_indices().nth(ID_CHARS);
        let (text, _) = id.split_at(end.map_or(id.len(), |(end, _)| end));
        Self {
            text: text.into(),
            sha256: Sha256::digest(id).into(),
        }
    }

    /// Returns the id as the file holds it. Two ids are the same if their results are.
    pub(crate) fn bounded(&self) -> Cow<'_, str> {
        bounded_id_of(&self.text, &self.sha256)
    }

    /// Returns whether the text is only the beginning of the id.
    pub(crate) fn was_cut(&self) -> bool {
        matches!(self.bounded(), Cow::Owned(_))
    }

    /// Returns how many bytes it takes on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.text.len()
    }
}

/// The status of a task, as stored in `requests.task_status` and `tasks.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskStatus {
    /// The server works on the task.
    Working,
    /// The server waits for input from the client.
    InputRequired,
    /// The task has a result, which may say that the tool failed.
    Completed,
    /// The task has an error.
    Failed,
    /// The task was cancelled.
    Cancelled,
}

impl TaskStatus {
    /// Every status that this release knows.
    pub const ALL: [Self; 5] = [
        Self::Working,
        Self::InputRequired,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Returns the text in the file, which is the same as in the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the status with this text, if this release knows it.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Returns whether no other status follows.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// How a task ended, as a message about the task says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TaskOutcome {
    /// Whether `isError` of the task's result is true.
    pub tool_error: bool,
    /// The JSON-RPC error code of the task's error, as text.
    pub error_code: Option<Box<str>>,
    /// The text of the task's error, at most 512 characters.
    pub error_msg: Option<Box<str>>,
}

impl TaskOutcome {
    /// Returns how many bytes it takes on the heap.
    pub(crate) fn heap(&self) -> usize {
        let texts = [&self.error_code, &self.error_msg];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }
}

/// What a notification says about a task.
///
/// Make it with [`new`](Self::new) and set the fields that are known.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskStatusEvent {
    /// When the notification passed, in unix milliseconds.
    pub ts: i64,
    /// The name of the server that sent it.
    pub proxy: Arc<str>,
    /// The MCP session of the stream, as the client named it.
    pub session_id: Option<Arc<str>>,
    /// The caller of the stream. The writer links the task by it if there is no session id,
    /// or if the user has several sessions.
    pub caller: Option<CallerDigest>,
    /// The task.
    pub task_id: TaskId,
    /// Its status.
    pub status: TaskStatus,
    /// How it ended, if the notification says so.
    pub outcome: Option<TaskOutcome>,
}

impl TaskStatusEvent {
    /// Returns a notification that passes now and is about a task of the server `default`. All
    /// optional fields are `None`.
    pub fn new(task_id: TaskId, status: TaskStatus) -> Self {
        Self {
            ts: clock::unix_ms(),
            proxy: DEFAULT_PROXY.into(),
            session_id: None,
            caller: None,
            task_id,
            status,
            outcome: None,
        }
    }

    /// Returns about how many bytes of memory its texts take.
    pub(crate) fn heap(&self) -> usize {
        // There is no `..`, so that a new field does not compile before it is added here.
        let Self {
            ts: _,
            proxy,
            session_id,
            caller: _,
            task_id,
            status: _,
            outcome,
        } = self;
        proxy.len()
            + text_len(session_id)
            + task_id.heap()
            + outcome.as_ref().map_or(0, TaskOutcome::heap)
    }
}

#[cfg(test)]
mod tests {
    use super::TaskId;

    #[test]
    fn id_of_a_task_is_cut_to_256_characters_and_hashed_whole() {
        let [a, b] = ["a", "b"].map(|last| TaskId::new(&("é".repeat(256) + last)));
        assert_eq!(&*a.text, "é".repeat(256));
        assert_eq!(a.text, b.text);
        assert_ne!(a, b);
        assert_eq!(&*TaskId::new("task-1").text, "task-1");
    }
}
