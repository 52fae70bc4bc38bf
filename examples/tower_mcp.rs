//! The layer on a tower-mcp server.
//!
//! The layer belongs on the router that `HttpTransport::into_router` (or
//! `into_router_at`) returns: there it sees HTTP. `HttpTransport::layer` is another place: it takes
//! layers over JSON-RPC messages, to which there are no headers, sizes or streams.
//!
//! ```text
//! cargo run --example tower_mcp
//! ```

use serde::Deserialize;
use tower_mcp::schemars::{self, JsonSchema};
use tower_mcp::{CallToolResult, HttpTransport, McpRouter, ToolBuilder};
use tower_mcp_store::StoreLayer;

#[derive(Deserialize, JsonSchema)]
struct Greeting {
    /// Who to greet.
    name: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let greet = ToolBuilder::new("greet")
        .description("Greets someone by name")
        .handler(
            |Greeting { name }| async move { Ok(CallToolResult::text(format!("Hello, {name}!"))) },
        )
        .build();
    let mcp = McpRouter::new().server_info("greeter", "1.0.0").tool(greet);

    let app = HttpTransport::new(mcp)
        .into_router_at("/mcp")
        .layer(StoreLayer::new("mcp-store.db"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await
}
