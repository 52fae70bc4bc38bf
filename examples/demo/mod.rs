//! A small MCP server to try things on: something of everything that is recorded.

use std::time::Duration;

use axum::Router;
use serde::Deserialize;
use tower_mcp::extract::{Context, Json};
use tower_mcp::schemars::{self, JsonSchema};
use tower_mcp::{
    CallToolResult, HttpTransport, McpRouter, PromptBuilder, ResourceBuilder, ToolBuilder,
};

/// The path at which the server answers.
pub(crate) const PATH: &str = "/mcp";

#[derive(Deserialize, JsonSchema)]
struct Echo {
    /// What to say back.
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    /// How far to count, at most 20; a step takes a quarter of a second.
    to: u8,
}

pub(crate) fn router() -> Router {
    let echo = ToolBuilder::new("echo")
        .description("Returns the text of the call")
        .handler(|Echo { text }| async move { Ok(CallToolResult::text(text)) })
        .build();
    let count = ToolBuilder::new("count")
        .description("Counts slowly and reports its progress")
        .extractor_handler(
            (),
            |context: Context, Json(Count { to }): Json<Count>| async move {
                let to = to.min(20);
                for step in 1..=to {
                    tokio::time::sleep(Duration::from_millis(250)).await;
                    context
                        .report_progress(step.into(), Some(to.into()), None)
                        .await;
                }
                Ok(CallToolResult::text(format!("counted to {to}")))
            },
        )
        .build();
    let fail = ToolBuilder::new("fail")
        .description("Always fails, as a tool: the call succeeds, its result says `isError`")
        .handler(|_: tower_mcp::NoParams| async { Ok(CallToolResult::error("out of order")) })
        .build();
    let readme = ResourceBuilder::new("demo://readme")
        .name("readme")
        .description("What this server is")
        .text("A server to try the recorder on.");
    let review = PromptBuilder::new("review")
        .description("Asks for a review of the latest calls")
        .user_message("Which of my latest tool calls failed, and why?");

    let mcp = McpRouter::new()
        .server_info("demo", env!("CARGO_PKG_VERSION"))
        .tool(echo)
        .tool(count)
        .tool(fail)
        .resource(readme)
        .prompt(review);
    HttpTransport::new(mcp).into_router_at(PATH)
}
