//! The servers: one tool, which counts its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use tower_mcp::extract::RawArgs;
use tower_mcp::{HttpTransport, McpRouter, ToolBuilder};

#[derive(Clone, Copy)]
pub(crate) enum Server {
    Rmcp,
    TowerMcp,
}

impl Server {
    /// Returns a router that serves MCP on `/mcp`.
    pub(crate) fn router(self, counted: Arc<AtomicU64>) -> axum::Router {
        match self {
            Self::Rmcp => {
                let service: StreamableHttpService<_, LocalSessionManager> =
                    StreamableHttpService::new(
                        move || Ok(Counter(counted.clone())),
                        Arc::default(),
                        StreamableHttpServerConfig::default(),
                    );
                axum::Router::new().nest_service("/mcp", service)
            }
            Self::TowerMcp => {
                let count = ToolBuilder::new("count")
                    .extractor_handler((), move |_: RawArgs| {
                        counted.fetch_add(1, Relaxed);
                        async { Ok(tower_mcp::CallToolResult::text("counted")) }
                    })
                    .build();
                let router = McpRouter::new().server_info("forms", "1").tool(count);
                HttpTransport::new(router).into_router_at("/mcp")
            }
        }
    }
}

struct Counter(Arc<AtomicU64>);

impl ServerHandler for Counter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name != "count" {
            return Err(ErrorData::invalid_params("no such tool", None));
        }
        self.0.fetch_add(1, Relaxed);
        Ok(CallToolResult::success(vec![ContentBlock::text("counted")]).into())
    }
}
