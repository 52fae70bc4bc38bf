//! A tower-mcp server is killed in the middle of a stream and started again on the
//! same file. Its client resumes the stream.
//!
//! ```text
//! cargo run --example resume_tower_mcp --features tower-mcp
//! ```
//!
//! What the client is sent again are the events that the server had produced and
//! the store acknowledged. The call that was under way is gone with the process:
//! a store of events keeps what was said, not what was being done.

mod resume;

use std::path::Path;
use std::sync::Arc;

use resume::{Result, STEP, STEPS, Server, Session};
use tower_mcp::extract::{Context, RawArgs};
use tower_mcp::{CallToolResult, HttpTransport, McpRouter, ToolBuilder};
use tower_mcp_store::Store;

/// The server: both stores in one file, beside the record.
async fn server(database: &Path) -> Result<()> {
    let count = ToolBuilder::new("count")
        .description("Counts and reports its progress")
        .extractor_handler((), |context: Context, _: RawArgs| async move {
            for step in 1..=STEPS {
                context.report_progress(step.into(), None, None).await;
                tokio::time::sleep(STEP).await;
            }
            Ok(CallToolResult::text("done"))
        })
        .build();
    let mcp = McpRouter::new().server_info("counter", "1.0.0").tool(count);

    let store = Store::open(database)?;
    let app = HttpTransport::new(mcp)
        .event_store(Arc::new(store.event_store()))
        .session_store(Arc::new(store.session_store()))
        .into_router_at("/mcp")
        .layer(store.layer());
    resume::serve(app).await
}

#[tokio::main]
async fn main() -> Result<()> {
    if let Some(database) = std::env::args_os().nth(1) {
        return server(Path::new(&database)).await;
    }
    let dir = tempfile::tempdir()?;
    let database = dir.path().join("mcp-store.db");

    let first = Server::start(&database)?;
    let session = Session::open(&first).await?;
    // tower-mcp sends progress on the session's own stream.
    let mut events = session.listen(&first, None).await?;
    tokio::spawn(session.count(&first));
    let (before, last) = events.read(5).await;
    // The client stops reading, and the server continues to count.
    tokio::time::sleep(STEP * 50).await;
    first.kill()?;

    let second = Server::start(&database)?;
    let mut events = session.listen(&second, last.as_deref()).await?;
    let (after, _) = events.read(usize::MAX).await;
    second.kill()?;
    resume::report(&before, &after);
    Ok(())
}
