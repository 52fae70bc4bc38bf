//! The clients of both SDKs, which resume a stream by themselves.

use std::sync::Arc;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ProgressNotificationParam};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::FixedInterval;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, RoleClient, ServiceExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;
use tower_mcp::client::{HttpClientConfig, NotificationHandler};
use tower_mcp::{HttpClientTransport, McpClient};

/// How long a client waits before it tries again.
const RETRY: Duration = Duration::from_millis(20);

/// How often a client tries. The next server is up long before.
const RETRIES: u32 = 1500;

pub(crate) struct ProgressHandler(UnboundedSender<u64>);

impl ClientHandler for ProgressHandler {
    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        // The receiver is gone when the test is over.
        let _ = self.0.send(progress.progress as u64);
    }
}

pub(crate) async fn rmcp(
    url: String,
    sender: UnboundedSender<u64>,
) -> (
    Arc<RunningService<RoleClient, ProgressHandler>>,
    JoinSet<()>,
) {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    let mut retry = FixedInterval::default();
    retry.duration = RETRY;
    config.retry_config = Arc::new(retry);
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = ProgressHandler(sender).serve(transport).await;
    let client = Arc::new(client.expect("a server of this revision"));
    let mut calls = JoinSet::new();
    let caller = client.clone();
    calls.spawn(async move {
        // The call ends when the server is killed.
        drop(caller.call_tool(CallToolRequestParams::new("count")).await);
    });
    (client, calls)
}

pub(crate) async fn tower_mcp(
    url: String,
    sender: UnboundedSender<u64>,
) -> (Arc<McpClient>, JoinSet<()>) {
    let config = HttpClientConfig {
        sse_reconnect_delay: RETRY,
        max_sse_reconnect_attempts: RETRIES,
        ..HttpClientConfig::default()
    };
    let handler = NotificationHandler::new().on_progress(move |progress| {
        let _ = sender.send(progress.progress as u64);
    });
    let client = McpClient::builder()
        .request_progress()
        .connect(HttpClientTransport::with_config(url, config), handler)
        .await
        .expect("a transport that starts");
    client
        .initialize("resume", "1.0.0")
        .await
        .expect("a server of this revision");
    let client = Arc::new(client);
    let mut calls = JoinSet::new();
    let caller = client.clone();
    calls.spawn(async move {
        drop(caller.call_tool("count", serde_json::json!({})).await);
    });
    (client, calls)
}
