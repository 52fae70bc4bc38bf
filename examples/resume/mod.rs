//! What both examples of resumption share: a server in a process of its own,
//! which is killed, and a client that reads event streams.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What the tool of the servers counts to, and how long each step takes.
pub(crate) const STEPS: u32 = 1000;
pub(crate) const STEP: Duration = Duration::from_millis(5);

/// How long nothing has to come for a stream to be read to its end.
const SILENCE: Duration = Duration::from_millis(500);

/// A server in a process of its own.
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Runs this program again as the server on that file.
    pub(crate) fn start(database: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(database)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut url)?;
        }
        let url = url.trim().to_owned();
        Ok(Self { child, url })
    }

    /// As `kill -9`: the server has no time to do anything more.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// Serves `app` on a free port and prints the URL.
pub(crate) async fn serve(app: axum::Router) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/mcp", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// A client's session.
pub(crate) struct Session {
    client: Client,
    id: String,
}

impl Session {
    pub(crate) async fn open(server: &Server) -> Result<Self> {
        let mut session = Self {
            client: Client::new(),
            id: String::new(),
        };
        let initialize = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "clientInfo": { "name": "resume", "version": "1.0.0" },
            },
        });
        let answer = session.post(server, &initialize).await?;
        let id = answer.headers().get("mcp-session-id");
        id.ok_or("no session id")?
            .to_str()?
            .clone_into(&mut session.id);
        answer.text().await?;
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        session.post(server, &initialized).await?;
        Ok(session)
    }

    /// Calls the tool that counts. The stream of the answer ends with the server.
    pub(crate) fn count(&self, server: &Server) -> impl Future<Output = Result<Response>> + use<> {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "count", "arguments": {}, "_meta": { "progressToken": "p" } },
        });
        self.post(server, &call)
    }

    /// Opens a stream, behind the event of that id if there is one.
    pub(crate) async fn listen(&self, server: &Server, last: Option<&str>) -> Result<Events> {
        let mut get = self.client.get(&server.url);
        if let Some(id) = last {
            get = get.header("last-event-id", id);
        }
        Ok(Events::of(self.send(get).await?))
    }

    fn post(
        &self,
        server: &Server,
        message: &Value,
    ) -> impl Future<Output = Result<Response>> + use<> {
        let post = self.client.post(&server.url);
        let post = post.header("content-type", "application/json");
        self.send(post.body(message.to_string()))
    }

    fn send(&self, mut request: RequestBuilder) -> impl Future<Output = Result<Response>> + use<> {
        if !self.id.is_empty() {
            request = request
                .header("mcp-session-id", &self.id)
                .header("mcp-protocol-version", "2025-11-25");
        }
        let sent = request.header("accept", "application/json, text/event-stream");
        async { Ok(sent.send().await?.error_for_status()?) }
    }
}

/// An event of a stream, with the progress in it.
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) progress: Option<u64>,
}

/// The events of a stream.
pub(crate) struct Events {
    response: Response,
    received: Vec<u8>,
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        let received = Vec::new();
        Self { response, received }
    }

    /// Reads until it has this many steps, or until the stream ends or is silent.
    /// Returns the steps and the id of the last event.
    pub(crate) async fn read(&mut self, steps: usize) -> (Vec<u64>, Option<String>) {
        let (mut found, mut last) = (Vec::new(), None);
        while found.len() < steps
            && let Ok(Some(event)) = tokio::time::timeout(SILENCE, self.next()).await
        {
            found.extend(event.progress);
            last = Some(event.id);
        }
        (found, last)
    }

    /// The next event that has an id; nothing once the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            // The servers write "\n" at the end of a line.
            while let Some(end) = self.received.windows(2).position(|bytes| bytes == b"\n\n") {
                let event: Vec<u8> = self.received.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event);
                let field = |name: &str| {
                    let mut lines = event.lines();
                    lines.find_map(|line| Some(line.strip_prefix(name)?.trim_start().to_owned()))
                };
                if let Some(id) = field("id:") {
                    let data: Option<Value> =
                        field("data:").and_then(|data| serde_json::from_str(&data).ok());
                    let progress = data.and_then(|data| data["params"]["progress"].as_f64());
                    let progress = progress.map(|progress| progress as u64);
                    return Some(Event { id, progress });
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.received.extend_from_slice(&chunk);
        }
    }
}

/// Prints the steps from before and after the kill, which must be one count without gaps.
pub(crate) fn report(before: &[u64], after: &[u64]) {
    let all: Vec<u64> = before.iter().chain(after).copied().collect();
    println!("before the kill the client read the steps {:?}", before);
    println!(
        "afterwards it was sent {} more, up to {:?}",
        after.len(),
        after.last()
    );
    let expected: Vec<u64> = (1..=all.len() as u64).collect();
    assert_eq!(all, expected, "every acknowledged event once, in order");
    assert!(!after.is_empty(), "there was something to replay");
    println!("none is missing, and none came twice");
    println!("the rest of the {STEPS} steps was work in flight, which went with the process");
}
