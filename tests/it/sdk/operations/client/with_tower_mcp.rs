//! The client built with tower-mcp.

use std::collections::HashMap;

use async_trait::async_trait;
use tower_mcp::client::{SubscriptionHandle, TaskAwareCallToolOutcome};
use tower_mcp::protocol::{InputResponse, InputResponses, SubscriptionFilter};
use tower_mcp::{
    CallToolResult, ClientHandler, ElicitAction, ElicitRequestParams, ElicitResult,
    HttpClientTransport, JsonRpcError, McpClient,
};

use super::{Answer, NAME, Say, VERSION};
use crate::sdk::operations::server::WHO;

pub(in crate::sdk::operations) struct Caller {
    client: McpClient,
}

impl Caller {
    pub(super) async fn connect(url: &str) -> Self {
        let caller = Self::open(url).await;
        let discovered = caller.client.discover(NAME, VERSION).await;
        discovered.expect("a server of 2026-07-28");
        caller
    }

    /// Opens a session by 2025-11-25.
    pub(in crate::sdk::operations) async fn in_session(url: &str) -> Self {
        let caller = Self::open(url).await;
        let initialized = caller.client.initialize(NAME, VERSION).await;
        initialized.expect("a server of 2025-11-25");
        caller
    }

    async fn open(url: &str) -> Self {
        let client = McpClient::builder()
            .with_elicitation()
            .with_tasks()
            .connect(HttpClientTransport::new(url), Agreeing)
            .await
            .expect("a transport that starts");
        Self { client }
    }

    pub(super) async fn call(&self, tool: &str) -> Answer {
        let result = self.client.call_tool(tool, serde_json::json!({})).await;
        complete(&result.expect("a result"))
    }

    pub(super) async fn send(&self, tool: &str, retry: Option<(&str, Say)>) -> Answer {
        let (answers, state) = match retry {
            Some((state, say)) => (Some(said(say)), Some(state.to_owned())),
            None => (None, None),
        };
        let arguments = serde_json::json!({});
        let call = self
            .client
            .call_tool_once_task_aware(tool, arguments, answers, state);
        match call.await.expect("an answer") {
            TaskAwareCallToolOutcome::Complete(result) => complete(&result),
            TaskAwareCallToolOutcome::InputRequired(asked) => {
                Answer::Question(asked.request_state.expect("a state"))
            }
            TaskAwareCallToolOutcome::Task(created) => Answer::Task(created.task.metadata.task_id),
            other => panic!("{other:?}"),
        }
    }

    /// Calls the tool as a task, as 2025-11-25 has it. Returns the id of the task.
    pub(in crate::sdk::operations) async fn call_as_task(&self, tool: &str) -> String {
        let arguments = serde_json::json!({});
        let created = self.client.call_tool_as_task(tool, arguments, None).await;
        created.expect("a task").task.task_id
    }

    pub(in crate::sdk::operations) async fn poll(&self, task: &str) -> String {
        let task = self.client.task_get(task).await.expect("a task");
        let status = serde_json::to_value(task.status).expect("a name");
        status.as_str().expect("a name").to_owned()
    }

    pub(in crate::sdk::operations) async fn update(&self, task: &str) {
        let update = self.client.task_update(task, said(Say::Yes));
        update.await.expect("a task");
    }

    pub(super) async fn cancel(&self, task: &str) {
        self.client.task_cancel(task, None).await.expect("a task");
    }

    /// Listens for what the server says of the task.
    pub(in crate::sdk::operations) async fn listen(&self, task: &str) -> SubscriptionHandle {
        let filter = SubscriptionFilter {
            task_ids: Some(vec![task.to_owned()]),
            ..SubscriptionFilter::default()
        };
        let listening = self.client.listen_subscriptions(filter).await;
        let mut listening = listening.expect("a stream");
        let accepted = listening.acknowledged().await.expect("an acknowledgment");
        assert_eq!(accepted.task_ids, Some(vec![task.to_owned()]));
        listening
    }
}

fn complete(result: &CallToolResult) -> Answer {
    if result.is_error {
        Answer::ToolError
    } else {
        Answer::Done
    }
}

fn said(say: Say) -> InputResponses {
    let action = match say {
        Say::Yes => ElicitAction::Accept,
        Say::No => ElicitAction::Decline,
    };
    let said = ElicitResult {
        action,
        content: None,
        meta: None,
    };
    [(WHO.to_owned(), InputResponse::Elicit(said))].into()
}

/// Accepts every question of the server.
struct Agreeing;

#[async_trait]
impl ClientHandler for Agreeing {
    async fn handle_elicit(&self, _: ElicitRequestParams) -> Result<ElicitResult, JsonRpcError> {
        Ok(ElicitResult::accept(HashMap::new()))
    }
}
