//! The client built with tower-mcp.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use tower_mcp::client::ServerNotification;
use tower_mcp::protocol::SubscriptionFilter;
use tower_mcp::{
    ClientHandler, ElicitFieldValue, ElicitRequestParams, ElicitResult, Error, HttpClientTransport,
    JsonRpcError, McpClient,
};

use super::{NAME, VERSION};
use crate::sdk::step::{Era, Reply, Step};

pub(crate) struct Guest {
    client: McpClient,
    pub(super) heard: Arc<Notify>,
}

impl Guest {
    pub(super) async fn connect(era: Era, url: &str) -> Self {
        let heard = Arc::<Notify>::default();
        let agreeing = Agreeing {
            heard: heard.clone(),
        };
        let client = McpClient::builder()
            .request_progress()
            .with_elicitation()
            .connect(HttpClientTransport::new(url), agreeing)
            .await
            .expect("a transport that starts");
        let opened = match era {
            Era::Legacy => client.initialize(NAME, VERSION).await.map(drop),
            Era::Modern => client.discover(NAME, VERSION).await.map(drop),
        };
        opened.expect("a server that speaks this revision");
        Self { client, heard }
    }

    pub(super) async fn take(&self, step: Step) -> Reply {
        let client = &self.client;
        let result = match step {
            Step::Ping => client.ping().await,
            Step::ListTools => client.list_tools().await.map(drop),
            Step::CallTool(name) => match client.call_tool(name, serde_json::json!({})).await {
                Ok(result) if result.is_error => return Reply::ToolError,
                result => result.map(drop),
            },
            Step::ListResources => client.list_resources().await.map(drop),
            Step::ReadResource(uri) => client.read_resource(uri).await.map(drop),
            Step::ListPrompts => client.list_prompts().await.map(drop),
            Step::GetPrompt(name) => client.get_prompt(name, None).await.map(drop),
        };
        match result {
            Ok(()) => Reply::Result,
            Err(Error::JsonRpc(error)) => Reply::Error {
                code: error.code,
                message: error.message,
            },
            Err(error) => panic!("{step:?}: {error}"),
        }
    }

    pub(super) async fn listen(&self) {
        let changes = SubscriptionFilter {
            tools_list_changed: Some(true),
            ..SubscriptionFilter::default()
        };
        let listening = self.client.listen_subscriptions(changes).await;
        let mut listening = listening.expect("a stream of changes");
        listening.acknowledged().await.expect("an acknowledgment");
        listening.cancel().await.expect("a stream that closes");
    }

    pub(super) async fn close(self) {
        self.client.shutdown().await.expect("a clean end");
    }
}

/// Accepts every question of the server.
struct Agreeing {
    heard: Arc<Notify>,
}

#[async_trait]
impl ClientHandler for Agreeing {
    async fn handle_elicit(&self, _: ElicitRequestParams) -> Result<ElicitResult, JsonRpcError> {
        let answer = ("confirm".to_owned(), ElicitFieldValue::Boolean(true));
        Ok(ElicitResult::accept(HashMap::from([answer])))
    }

    async fn on_notification(&self, notification: ServerNotification) {
        if let ServerNotification::Progress(_) = notification {
            self.heard.notify_one();
        }
    }
}
