//! The layer on a server written by hand, in one line.
//!
//! ```text
//! cargo run --example axum
//! curl http://127.0.0.1:3000/mcp -H 'content-type: application/json' \
//!     -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hello"}}'
//! sqlite3 mcp-store.db 'select method, tool, status, latency_us from requests'
//! ```

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tower_mcp_store::StoreLayer;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route("/mcp", post(mcp))
        .layer(StoreLayer::new("mcp-store.db"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app).await
}

/// As much of MCP as a client needs to call one tool.
async fn mcp(Json(message): Json<Value>) -> Response {
    let result = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "by-hand", "version": "1.0.0"},
        }),
        Some("tools/list") => json!({
            "tools": [{"name": "hello", "inputSchema": {"type": "object"}}],
        }),
        Some("tools/call") => json!({"content": [{"type": "text", "text": "Hello!"}]}),
        _ if message.get("id").is_none() => return StatusCode::ACCEPTED.into_response(),
        _ => {
            let error = json!({"code": -32601, "message": "Method not found"});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "error": error});
            return Json(answer).into_response();
        }
    };
    Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).into_response()
}
