//! The client built with rmcp.

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities,
    ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction, ErrorData, GetTaskParams,
    Implementation, ProtocolVersion, UpdateTaskParams,
};
use rmcp::service::{RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Value, json};

use super::{Answer, NAME, Say, VERSION};
use crate::sdk::operations::server::WHO;

pub(in crate::sdk::operations) struct Caller {
    client: RunningService<RoleClient, Agreeing>,
}

impl Caller {
    pub(super) async fn connect(url: &str) -> Self {
        let transport = StreamableHttpClientTransport::from_uri(url);
        let lifecycle = ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        };
        let client = Agreeing.serve_with_lifecycle(transport, lifecycle).await;
        Self {
            client: client.expect("a server of this revision"),
        }
    }

    pub(super) async fn call(&self, tool: &'static str) -> Answer {
        let params = CallToolRequestParams::new(tool);
        complete(&self.client.call_tool(params).await.expect("a result"))
    }

    pub(super) async fn send(&self, tool: &'static str, retry: Option<(&str, Say)>) -> Answer {
        let mut params = CallToolRequestParams::new(tool);
        if let Some((state, say)) = retry {
            params.request_state = Some(state.to_owned());
            params.input_responses = Some([(WHO.to_owned(), said(say))].into());
        }
        match self.client.call_tool_once(params).await.expect("an answer") {
            CallToolResponse::Complete(result) => complete(&result),
            CallToolResponse::InputRequired(asked) => {
                Answer::Question(asked.request_state.expect("a state"))
            }
            CallToolResponse::Task(created) => Answer::Task(created.task.task_id),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn poll(&self, task: &str) -> String {
        let result = self.client.get_task(GetTaskParams::new(task)).await;
        let status = result.expect("a task").task.status();
        let status = serde_json::to_value(status).expect("a name");
        status.as_str().expect("a name").to_owned()
    }

    pub(super) async fn update(&self, task: &str) {
        let answers = [(WHO.to_owned(), said(Say::Yes))].into();
        let update = UpdateTaskParams::new(task, answers);
        self.client.update_task(update).await.expect("a task");
    }

    pub(super) async fn cancel(&self, task: &str) {
        let cancel = CancelTaskParams::new(task);
        self.client.cancel_task(cancel).await.expect("a task");
    }
}

fn complete(result: &CallToolResult) -> Answer {
    if result.is_error == Some(true) {
        Answer::ToolError
    } else {
        Answer::Done
    }
}

fn said(say: Say) -> Value {
    match say {
        Say::Yes => json!({"action": "accept", "content": {}}),
        Say::No => json!({"action": "decline"}),
    }
}

/// Accepts every question of the server.
struct Agreeing;

impl ClientHandler for Agreeing {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder()
            .enable_elicitation()
            .enable_tasks()
            .build();
        ClientConfig::new(capabilities, Implementation::new(NAME, VERSION))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({})))
    }
}
