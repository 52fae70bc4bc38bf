//! A server whose tools ask before they answer, or answer with a task, built with each of the SDKs.

mod with_rmcp;
mod with_tower_mcp;

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower_mcp_store::StoreLayer;

pub(super) const NAME: &str = "clerk";
pub(super) const VERSION: &str = "1.0.0";
/// The key of each question.
pub(super) const WHO: &str = "who";

/// A tool that asks one question, and fails unless the user accepts.
pub(super) const ASK: &str = "ask";
/// A tool that asks three questions, one after the other.
pub(super) const SURVEY: &str = "survey";
/// A tool with a task that completes.
pub(super) const COMPLETE: &str = "complete";
/// A tool with a task whose result is an error of the tool.
pub(super) const MISS: &str = "miss";
/// A tool with a task that fails.
pub(super) const FAIL: &str = "fail";
/// A tool with a task that ends only when it is cancelled.
pub(super) const WAIT: &str = "wait";
/// A tool with a task that asks a question, then completes.
pub(super) const INQUIRE: &str = "inquire";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Rmcp,
    TowerMcp,
}

impl Server {
    /// Serves on a free port until the value is dropped.
    pub(super) async fn start(self, layer: StoreLayer) -> Running {
        let router = match self {
            Self::Rmcp => with_rmcp::router(),
            Self::TowerMcp => with_tower_mcp::router(),
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
            task,
        }
    }
}

pub(super) struct Running {
    pub(super) url: String,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a tool does that asks.
enum Turn {
    /// Asks, and gives this state.
    Ask(String),
    Done,
    Declined,
}

/// Returns the turn of a tool with this number of questions. `answer` says whether the user has
/// accepted.
fn turn(questions: u64, state: Option<&str>, answer: Option<bool>) -> Turn {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let asked = state.and_then(|state| state.split('.').next()?.parse().ok());
    match (asked.unwrap_or(0), answer) {
        (_, Some(false)) => Turn::Declined,
        (asked, Some(true)) if asked == questions => Turn::Done,
        (asked, _) => Turn::Ask(format!(
            "{}.{}",
            asked + 1,
            CALLS.fetch_add(1, Ordering::Relaxed)
        )),
    }
}

fn questions(tool: &str) -> u64 {
    if tool == SURVEY { 3 } else { 1 }
}
