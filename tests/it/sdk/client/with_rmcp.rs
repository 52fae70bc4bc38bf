//! The client built with rmcp.

use std::sync::Arc;

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest, ElicitRequestParams,
    ElicitResult, ElicitationAction, ErrorData, GetPromptRequestParams, Implementation,
    PingRequest, ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
    SubscriptionFilter,
};
use rmcp::service::{NotificationContext, RequestContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceError};
use tokio::sync::Notify;

use super::{NAME, VERSION};
use crate::sdk::step::{Era, Reply, Step};

pub(crate) struct Guest {
    client: RunningService<RoleClient, Agreeing>,
    pub(super) heard: Arc<Notify>,
}

impl Guest {
    pub(super) async fn connect(era: Era, url: &str) -> Self {
        let lifecycle = match era {
            Era::Legacy => ClientLifecycleMode::Initialize,
            Era::Modern => ClientLifecycleMode::Discover {
                preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            },
        };
        let transport = StreamableHttpClientTransport::from_uri(url);
        let heard = Arc::<Notify>::default();
        let agreeing = Agreeing {
            heard: heard.clone(),
        };
        let client = agreeing.serve_with_lifecycle(transport, lifecycle).await;
        Self {
            client: client.expect("a server that speaks this revision"),
            heard,
        }
    }

    pub(super) async fn take(&self, step: Step) -> Reply {
        let client = &self.client;
        let result = match step {
            Step::Ping => {
                let ping = ClientRequest::PingRequest(PingRequest::default());
                client.send_request(ping).await.map(drop)
            }
            Step::ListTools => client.list_tools(None).await.map(drop),
            Step::CallTool(name) => {
                match client.call_tool(CallToolRequestParams::new(name)).await {
                    Ok(result) if result.is_error == Some(true) => return Reply::ToolError,
                    result => result.map(drop),
                }
            }
            Step::ListResources => client.list_resources(None).await.map(drop),
            Step::ReadResource(uri) => {
                let read = ReadResourceRequestParams::new(uri);
                client.read_resource(read).await.map(drop)
            }
            Step::ListPrompts => client.list_prompts(None).await.map(drop),
            Step::GetPrompt(name) => {
                let get = GetPromptRequestParams::new(name);
                client.get_prompt(get).await.map(drop)
            }
        };
        match result {
            Ok(()) => Reply::Result,
            Err(ServiceError::McpError(error)) => Reply::Error {
                code: error.code.0,
                message: error.message.into_owned(),
            },
            Err(error) => panic!("{step:?}: {error}"),
        }
    }

    pub(super) async fn listen(&self) {
        let changes = SubscriptionFilter::builder().tools_list_changed().build();
        // Returns when the server has acknowledged the stream.
        let listening = self.client.listen(changes).await;
        let mut listening = listening.expect("a stream of changes");
        listening.cancel().await.expect("a stream that closes");
    }

    pub(super) async fn close(self) {
        self.client.cancel().await.expect("a clean end");
    }
}

/// Accepts every question of the server.
struct Agreeing {
    heard: Arc<Notify>,
}

impl ClientHandler for Agreeing {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(capabilities, Implementation::new(NAME, VERSION))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let answer = serde_json::json!({ "confirm": true });
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(answer))
    }

    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.heard.notify_one();
    }
}
