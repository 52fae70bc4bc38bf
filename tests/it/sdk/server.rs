//! The same small MCP server, built with each of the SDKs.

mod with_rmcp;
mod with_tower_mcp;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tower_mcp_store::StoreLayer;

pub(crate) const NAME: &str = "weather";
pub(crate) const VERSION: &str = "1.2.0";

/// A tool that answers at once.
pub(crate) const ECHO: &str = "echo";
/// A tool that reports its progress twice before it answers.
pub(crate) const STEPS: &str = "steps";
/// A tool that fails.
pub(crate) const FAIL: &str = "fail";
/// A tool that asks the user, and fails unless the user accepts.
pub(crate) const ASK: &str = "ask";
/// A tool that ends only when its caller gives it up.
pub(crate) const WAIT: &str = "wait";
/// A tool that reports its progress once and then ends only when its caller gives it up.
pub(crate) const STALL: &str = "stall";
/// The only resource.
pub(crate) const README: &str = "demo://readme";
/// The only prompt.
pub(crate) const GREET: &str = "greet";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    TowerMcp,
    Rmcp,
    /// rmcp without sessions.
    SessionlessRmcp,
}

/// How a server answers if it has a choice. rmcp has none in a session, and no server has one after
/// it has sent a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Json,
    Events,
}

impl Server {
    /// Serves on a free port until the value is dropped.
    pub(crate) async fn start(self, answers: Answers, layer: StoreLayer) -> Running {
        let waiting = Arc::new(Notify::new());
        let router = match self {
            Self::TowerMcp => with_tower_mcp::router(answers, waiting.clone()),
            Self::Rmcp => with_rmcp::router(answers, true, waiting.clone()),
            Self::SessionlessRmcp => with_rmcp::router(answers, false, waiting.clone()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let task = tokio::spawn(async move {
            axum::serve(listener, router.layer(layer))
                .await
                .expect("a listener that accepts");
        });
        Running {
            url: format!("http://{address}/mcp"),
            waiting,
            task,
        }
    }
}

pub(crate) struct Running {
    pub(crate) url: String,
    waiting: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Running {
    /// Waits until the waiting tool has started.
    pub(crate) async fn tool_is_waiting(&self) {
        self.waiting.notified().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
