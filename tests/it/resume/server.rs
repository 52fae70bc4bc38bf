//! A server in a process of its own, whose tool counts for ever.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use rmcp::model::ProgressNotificationParam;
use rmcp::service::RequestContext;
use rmcp::transport::common::server_side_http::ServerSseMessage;
use rmcp::transport::streamable_http_server::session as rmcp_session;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, tool, tool_router};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tower_mcp::event_store as tower_mcp_events;
use tower_mcp::extract::{Context, RawArgs};
use tower_mcp::session_store as tower_mcp_sessions;
use tower_mcp::{CallToolResult, HttpTransport, McpRouter, ToolBuilder};
use tower_mcp_store::Store;
use tower_mcp_store::event_store::{CachingEventStore, MemoryEventStore};
use tower_mcp_store::session_store::{CachingSessionStore, MemorySessionStore};

use crate::support::{LONG, child};

/// The environment variables with the child's file, SDK, stores and port.
const PATH: &str = "MCP_STORE_TEST_RESUME_PATH";
const SDK: &str = "MCP_STORE_TEST_RESUME_SDK";
const STORES: &str = "MCP_STORE_TEST_RESUME_STORES";
const PORT: &str = "MCP_STORE_TEST_RESUME_PORT";

/// How long the server asks clients to wait before they try again.
const RETRY: Duration = Duration::from_millis(20);

/// How long a step takes.
const STEP: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    Rmcp,
    TowerMcp,
}

/// The event store and the session store of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stores {
    Sqlite,
    Memory,
    /// Memory before SQLite. The events of rmcp are in SQLite only.
    Caching,
}

/// More events than a server stores in its life.
const CAPACITY: usize = 1_000_000;

pub(crate) struct Server {
    child: Child,
    lines: UnboundedReceiver<u64>,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a server with SQLite stores. Port 0 stands for any free port.
    pub(crate) async fn start(sdk: Sdk, path: &Path, port: u16) -> Self {
        Self::start_with(Stores::Sqlite, sdk, path, port).await
    }

    pub(crate) async fn start_with(stores: Stores, sdk: Sdk, path: &Path, port: u16) -> Self {
        let mut child = child::test("resume::server")
            .env(PATH, path)
            .env(SDK, format!("{sdk:?}"))
            .env(STORES, format!("{stores:?}"))
            .env(PORT, port.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, mut lines) = unbounded_channel::<u64>();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // The line may begin with output of the test harness. A line that was cut short
                // does not count.
                let printed = line
                    .split_once('!')
                    .and_then(|(_, line)| line.strip_suffix('.'));
                if let Some(Ok(number)) = printed.map(str::parse)
                    && send.send(number).is_err()
                {
                    return;
                }
            }
        });
        let port = timeout(LONG, lines.recv()).await.unwrap();
        let port = port.expect("a server that listens").try_into().unwrap();
        Self { child, lines, port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// Returns the next step whose event was acknowledged.
    pub(crate) async fn acknowledged(&mut self) -> u64 {
        let step = timeout(LONG, self.lines.recv()).await.unwrap();
        step.expect("a server that counts")
    }

    /// Kills the server with `SIGKILL`. Returns the steps that it had acknowledged.
    pub(crate) async fn kill(mut self) -> Vec<u64> {
        self.end();
        let mut printed = Vec::new();
        while let Some(step) = self.lines.recv().await {
            printed.push(step);
        }
        printed
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn print_step(number: u64) {
    println!("!{number}.");
}

/// Runs the server in the child.
pub(crate) async fn run() {
    let (Ok(path), Ok(sdk), Ok(stores), Ok(port)) = (
        std::env::var(PATH),
        std::env::var(SDK),
        std::env::var(STORES),
        std::env::var(PORT),
    ) else {
        return;
    };
    let store = Store::open(path).unwrap();
    let is_rmcp = sdk == format!("{:?}", Sdk::Rmcp);
    let events = store.event_store().max_events_per_session(CAPACITY);
    let sessions = store.session_store();
    let caching_sessions = || CachingSessionStore::new(MemorySessionStore::new(), sessions.clone());
    let memory_events = || MemoryEventStore::with_capacity(CAPACITY);
    let app = match (stores.as_str(), is_rmcp) {
        ("Sqlite", true) => rmcp_app(events, sessions),
        ("Sqlite", false) => tower_mcp_app(events, sessions),
        ("Memory", true) => rmcp_app(memory_events(), MemorySessionStore::new()),
        ("Memory", false) => tower_mcp_app(memory_events(), MemorySessionStore::new()),
        ("Caching", true) => rmcp_app(events, caching_sessions()),
        ("Caching", false) => tower_mcp_app(
            CachingEventStore::new(memory_events(), events),
            caching_sessions(),
        ),
        _ => panic!("no such stores: {stores}"),
    };
    let address = format!("127.0.0.1:{port}");
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    print_step(listener.local_addr().unwrap().port().into());
    axum::serve(listener, app.layer(store.layer()))
        .await
        .unwrap();
}

fn rmcp_app(
    events: impl rmcp_session::EventStore,
    sessions: impl rmcp_session::SessionStore,
) -> Router {
    let mut config = StreamableHttpServerConfig::default();
    config.session_store = Some(Arc::new(sessions));
    config.sse_retry = Some(RETRY);
    let mut manager = rmcp_session::local::LocalSessionManager::default();
    manager.session_config.sse_retry = Some(RETRY);
    let manager = manager.with_event_store(Arc::new(Printing(events)));
    let mcp = StreamableHttpService::new(|| Ok(Counter), Arc::new(manager), config);
    Router::new().nest_service("/mcp", mcp)
}

fn tower_mcp_app(
    events: impl tower_mcp_events::EventStore,
    sessions: impl tower_mcp_sessions::SessionStore,
) -> Router {
    HttpTransport::new(counter())
        .event_store(Arc::new(Printing(events)))
        .session_store(Arc::new(sessions))
        .into_router_at("/mcp")
}

fn counter() -> McpRouter {
    let count = ToolBuilder::new("count")
        .description("Counts")
        .extractor_handler((), |context: Context, _: RawArgs| async move {
            // A call under way when the server is killed ends the transport of tower-mcp's client,
            // and its stream with it. So the call ends first.
            tokio::spawn(async move {
                for step in 1_u32.. {
                    context.report_progress(step.into(), None, None).await;
                    tokio::time::sleep(STEP).await;
                }
            });
            Ok(CallToolResult::text("counting"))
        })
        .build();
    McpRouter::new().server_info("counter", "1.0.0").tool(count)
}

struct Counter;

#[tool_router(server_handler)]
impl Counter {
    #[tool(description = "Counts")]
    async fn count(&self, context: RequestContext<RoleServer>) -> String {
        let token = context.meta.get_progress_token();
        let token = token.expect("a client that asks for progress");
        for step in 1_u32.. {
            let progress = ProgressNotificationParam::new(token.clone(), step.into());
            if context.peer.notify_progress(progress).await.is_err() {
                break;
            }
            tokio::time::sleep(STEP).await;
        }
        "done".to_owned()
    }
}

/// Prints each step when its event is acknowledged, before the SDK sends it.
struct Printing<S>(S);

fn print_progress(message: Option<Value>) {
    let step = message.and_then(|message| message["params"]["progress"].as_f64());
    if let Some(step) = step {
        print_step(step as u64);
    }
}

#[async_trait]
impl<S: tower_mcp_events::EventStore> tower_mcp_events::EventStore for Printing<S> {
    async fn append(
        &self,
        session_id: &str,
        event: tower_mcp_events::EventRecord,
    ) -> tower_mcp_events::Result<()> {
        let message = serde_json::from_str(&event.data).ok();
        tower_mcp_events::EventStore::append(&self.0, session_id, event).await?;
        print_progress(message);
        Ok(())
    }

    async fn replay_after(
        &self,
        session_id: &str,
        after_id: u64,
    ) -> tower_mcp_events::Result<Vec<tower_mcp_events::EventRecord>> {
        tower_mcp_events::EventStore::replay_after(&self.0, session_id, after_id).await
    }

    async fn purge_session(&self, session_id: &str) -> tower_mcp_events::Result<()> {
        tower_mcp_events::EventStore::purge_session(&self.0, session_id).await
    }
}

#[async_trait]
impl<S: rmcp_session::EventStore> rmcp_session::EventStore for Printing<S> {
    async fn store_event(
        &self,
        stream_id: &str,
        event: &ServerSseMessage,
    ) -> Result<rmcp_session::EventId, rmcp_session::EventStoreError> {
        let id = rmcp_session::EventStore::store_event(&self.0, stream_id, event).await?;
        let message = event.message.as_deref();
        print_progress(message.and_then(|message| serde_json::to_value(message).ok()));
        Ok(id)
    }

    async fn replay_events_after(
        &self,
        last_event_id: &str,
    ) -> Result<rmcp_session::EventStream, rmcp_session::EventStoreError> {
        rmcp_session::EventStore::replay_events_after(&self.0, last_event_id).await
    }
}
