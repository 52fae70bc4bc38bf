//! A client of plain HTTP.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::server::Sdk;

const VERSION: &str = "2025-11-25";

const HEARD_AT_FIRST: usize = 3;

pub(crate) struct Session {
    client: Client,
    id: String,
    calls: JoinSet<()>,
}

impl Session {
    pub(crate) async fn open(url: &str) -> Self {
        let mut session = Self {
            client: Client::new(),
            id: String::new(),
            calls: JoinSet::new(),
        };
        let initialize = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": VERSION, "capabilities": {},
                "clientInfo": { "name": "resume", "version": "1.0.0" },
            },
        });
        let answer = send(session.post(url, &initialize)).await.unwrap();
        let id = answer.headers()["mcp-session-id"].to_str().unwrap();
        session.id = id.to_owned();
        answer.text().await.unwrap();
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        send(session.post(url, &initialized)).await.unwrap();
        session
    }

    /// Makes the server count. Returns the stream with its progress: of the call with rmcp, of the
    /// session with tower-mcp.
    pub(crate) async fn count(&mut self, sdk: Sdk, url: &str) -> Events {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "count", "arguments": {}, "_meta": { "progressToken": "p" } },
        });
        let call = self.post(url, &call);
        match sdk {
            Sdk::Rmcp => Events::of(send(call).await.unwrap()),
            Sdk::TowerMcp => {
                let events = self.listen(url, None).await.unwrap();
                self.calls.spawn(async { drop(send(call).await) });
                events
            }
        }
    }

    /// Opens a stream, after the event with id `last` if given.
    pub(crate) async fn listen(&self, url: &str, last: Option<&str>) -> reqwest::Result<Events> {
        let mut get = self.known(self.client.get(url));
        if let Some(id) = last {
            get = get.header("last-event-id", id);
        }
        Ok(Events::of(send(get).await?))
    }

    pub(crate) async fn ping(&self, url: &str) {
        let ping = json!({ "jsonrpc": "2.0", "id": 2, "method": "ping" });
        let answer = send(self.post(url, &ping)).await.unwrap();
        assert!(answer.text().await.unwrap().contains(r#""result":{}"#));
    }

    fn post(&self, url: &str, message: &Value) -> RequestBuilder {
        let post = self.client.post(url);
        let post = post.header("content-type", "application/json");
        self.known(post.body(message.to_string()))
    }

    fn known(&self, request: RequestBuilder) -> RequestBuilder {
        if self.id.is_empty() {
            return request;
        }
        request
            .header("mcp-session-id", &self.id)
            .header("mcp-protocol-version", VERSION)
    }
}

async fn send(request: RequestBuilder) -> reqwest::Result<Response> {
    let request = request.header("accept", "application/json, text/event-stream");
    request.send().await?.error_for_status()
}

/// An event of a stream, with the progress in it.
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) progress: Option<u64>,
}

pub(crate) struct Events {
    response: Response,
    received: Vec<u8>,
}

impl Events {
    fn of(response: Response) -> Self {
        let received = Vec::new();
        Self { response, received }
    }

    /// Returns the next event with an id, or `None` once the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            // Both servers end lines with "\n".
            while let Some(end) = self.received.windows(2).position(|bytes| bytes == b"\n\n") {
                let event: Vec<u8> = self.received.drain(..end + 2).collect();
                let event = String::from_utf8(event).unwrap();
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| Some(line.strip_prefix(name)?.trim_start().to_owned()))
                };
                if let Some(id) = field("id:") {
                    let data = field("data:").and_then(|data| serde_json::from_str(&data).ok());
                    let progress = data.and_then(|data: Value| data["params"]["progress"].as_f64());
                    let progress = progress.map(|progress| progress as u64);
                    return Some(Event { id, progress });
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.received.extend_from_slice(&chunk);
        }
    }
}

/// Makes the server count, reads its first steps, and waits until the server is killed. Then
/// resumes the stream on the next server.
pub(crate) async fn follow(
    sdk: Sdk,
    url: String,
    sender: UnboundedSender<u64>,
    killed: Arc<Notify>,
) -> JoinSet<()> {
    let mut session = Session::open(&url).await;
    let mut events = session.count(sdk, &url).await;
    let mut following = JoinSet::new();
    following.spawn(async move {
        let mut last = None;
        for _ in 0..HEARD_AT_FIRST {
            let Some(event) = events.next().await else {
                break;
            };
            last = Some(event.id);
            event.progress.map(|step| sender.send(step));
        }
        killed.notified().await;
        let mut events = loop {
            // The next server may not listen yet.
            match session.listen(&url, last.as_deref()).await {
                Ok(events) => break events,
                Err(error) if error.is_status() => panic!("{error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        while let Some(event) = events.next().await {
            if event
                .progress
                .is_some_and(|step| sender.send(step).is_err())
            {
                return;
            }
        }
    });
    following
}
