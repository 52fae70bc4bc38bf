//! A server of rmcp, the official Rust SDK, is killed in the middle of a stream and
//! started again on the same file. Its client resumes the stream.
//!
//! ```text
//! cargo run --example resume_rmcp --features rmcp
//! ```
//!
//! What the client is sent again are the events that the server had produced and
//! the store acknowledged. The call that was under way is gone with the process:
//! a store of events keeps what was said, not what was being done.

mod resume;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use resume::{Events, STEP, STEPS, Server, Session};
use rmcp::model::ProgressNotificationParam;
use rmcp::service::RequestContext;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, tool, tool_router};
use tower_mcp_store::Store;

struct Counter;

#[tool_router(server_handler)]
impl Counter {
    #[tool(description = "Counts and reports its progress")]
    async fn count(&self, context: RequestContext<RoleServer>) -> String {
        let Some(token) = context.meta.get_progress_token() else {
            return "nobody asked for progress".to_owned();
        };
        for step in 1..=STEPS {
            let progress = ProgressNotificationParam::new(token.clone(), step.into());
            if context.peer.notify_progress(progress).await.is_err() {
                break;
            }
            tokio::time::sleep(STEP).await;
        }
        "done".to_owned()
    }
}

/// The server: both stores in one file, beside the record.
async fn server(database: &Path) -> resume::Result<()> {
    let store = Store::open(database)?;
    let sessions = LocalSessionManager::default().with_event_store(Arc::new(store.event_store()));
    let mut config = StreamableHttpServerConfig::default();
    config.session_store = Some(Arc::new(store.session_store()));
    let mcp = StreamableHttpService::new(|| Ok(Counter), Arc::new(sessions), config);
    let app = Router::new().nest_service("/mcp", mcp).layer(store.layer());
    resume::serve(app).await
}

#[tokio::main]
async fn main() -> resume::Result<()> {
    if let Some(database) = std::env::args_os().nth(1) {
        return server(Path::new(&database)).await;
    }
    let dir = tempfile::tempdir()?;
    let database = dir.path().join("mcp-store.db");

    let first = Server::start(&database)?;
    let session = Session::open(&first).await?;
    // rmcp sends progress on the stream of the call.
    let mut events = Events::of(session.count(&first).await?);
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
