//! Notifications of a server about a task.

use std::sync::Arc;

use super::leg::{task_id, task_outcome, task_status};
use crate::capture::context::Context;
use crate::clock;
use crate::event::{CallerDigest, TaskId, TaskOutcome, TaskStatus, TaskStatusEvent};
use crate::wire::{Field, Kind, Message};

/// A notification about a task.
#[derive(Debug)]
pub(in crate::capture) struct TaskNotice {
    task_id: TaskId,
    status: TaskStatus,
    outcome: Option<TaskOutcome>,
}

impl TaskNotice {
    /// Returns the notice in a message, if it is such a notification with a known
    /// status.
    pub(in crate::capture) fn of(message: &Message) -> Option<Self> {
        let method = message.text(Field::Method)?;
        // The extension of 2026-07-28, and 2025-11-25.
        let is_about_task = matches!(method, "notifications/tasks" | "notifications/tasks/status");
        if !is_about_task || message.kind() != Kind::Notification {
            return None;
        }
        let status = task_status(message, Field::NotifiedTaskStatus)?;
        let said = [Field::NotifiedResult, Field::NotifiedError];
        let error = [Field::NotifiedErrorCode, Field::NotifiedErrorMessage];
        Some(Self {
            task_id: task_id(message, Field::TaskId)?,
            status,
            outcome: task_outcome(message, status, said, Field::NotifiedIsError, error),
        })
    }

    /// Returns the event of a notification that arrives now, on a stream of this
    /// session and caller.
    pub(in crate::capture) fn event(
        self,
        cx: &Context,
        session_id: Option<Arc<str>>,
        caller: Option<CallerDigest>,
    ) -> TaskStatusEvent {
        let Self {
            task_id,
            status,
            mut outcome,
        } = self;
        if let (Some(outcome), false) = (&mut outcome, cx.config.error_text) {
            outcome.error_msg = None;
        }
        TaskStatusEvent {
            ts: clock::unix_ms(),
            proxy: cx.config.proxy.clone(),
            session_id,
            caller,
            task_id,
            status,
            outcome,
        }
    }
}
