//! Exactly one row for each request that reached the server, under load.
//!
//! 200 concurrent clients talk to a server over loopback sockets. Some leave at random points, and
//! some handlers panic or fail. Afterwards the test compares the rows with what the handler and the
//! clients saw. `TOWER_MCP_STORE_LOAD` sets how many requests each client sends, 10 by default:
//!
//! ```text
//! TOWER_MCP_STORE_LOAD=500 cargo test --all-features --test it load::every_request
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::response::{IntoResponse, Response};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::{ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_mcp_store::StoreBody;

use crate::recording::{Recording, Row, Script, Step, live};

const CLIENTS: u64 = 200;

/// Longer than any of the steps takes.
const LONG: Duration = Duration::from_secs(60);

/// What the handler of a request and its client do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Json,
    JsonError,
    ToolError,
    HttpError,
    Empty,
    Panic,
    /// The service returns an error.
    Failure,
    /// The body panics in place of the answer.
    BodyPanic,
    /// The server sends no answer until the client leaves.
    Silent,
    /// The server sends events and then the answer.
    Events,
    /// The same with event ids, so that the client could resume.
    Resumable,
    /// The server sends events, and the client leaves at a random moment.
    Left,
    /// The same with ids.
    LeftResumable,
    /// The server sends a stream without an answer, and the client leaves.
    Hangs,
    /// The client leaves before it has sent its whole request.
    Cut,
}

const KINDS: [Kind; 15] = [
    Kind::Json,
    Kind::JsonError,
    Kind::ToolError,
    Kind::HttpError,
    Kind::Empty,
    Kind::Panic,
    Kind::Failure,
    Kind::BodyPanic,
    Kind::Silent,
    Kind::Events,
    Kind::Resumable,
    Kind::Left,
    Kind::LeftResumable,
    Kind::Hangs,
    Kind::Cut,
];

/// One request. The test sends only the name of the tool.
#[derive(Debug, Clone, Copy)]
struct Plan {
    kind: Kind,
    modern: bool,
    /// The random number for every other choice.
    chance: u64,
}

impl Plan {
    fn new(client: u64, request: u64) -> Self {
        let chance = BuildHasherDefault::<DefaultHasher>::default().hash_one((client, request));
        Self {
            kind: KINDS[chance as usize % KINDS.len()],
            modern: chance >> 8 & 1 == 1,
            chance: chance >> 16,
        }
    }

    /// Returns the outcomes that the row may have, given whether the client received the whole
    /// answer.
    fn outcomes(self, whole: bool) -> &'static [&'static str] {
        match (self.kind, self.modern) {
            (Kind::Json | Kind::Events | Kind::Resumable, _) => &["ok"],
            (Kind::JsonError, _) => &["error -32000"],
            (Kind::ToolError, _) => &["ok tool_error"],
            (Kind::HttpError, _) => &["error"],
            (Kind::Empty, _) => &["error no_response"],
            (Kind::Panic | Kind::BodyPanic, _) => &["error panic"],
            (Kind::Failure, _) => &["error service_error"],
            (Kind::Hangs | Kind::Silent, true) => &["error cancelled"],
            (Kind::Hangs | Kind::Silent, false) => &["error client_gone"],
            (Kind::Left | Kind::LeftResumable, _) if whole => &["ok"],
            // The answer may have been under way when the client left.
            (Kind::Left | Kind::LeftResumable, true) => &["ok", "error cancelled"],
            (Kind::Left | Kind::LeftResumable, false) => &["ok", "error client_gone"],
            (Kind::Cut, _) => &[],
        }
    }

    fn has_event_ids(self) -> bool {
        matches!(self.kind, Kind::Resumable | Kind::LeftResumable)
    }

    fn request(self, name: &str) -> String {
        let meta = match self.modern {
            true => r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#,
            false => "",
        };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"{meta}}}}}"#
        );
        let session = if self.modern {
            ""
        } else {
            "mcp-session-id: s\r\n"
        };
        format!(
            "POST /mcp HTTP/1.1\r\nhost: loopback\r\nconnection: close\r\n\
             content-type: application/json\r\n{session}content-length: {}\r\n\r\n{body}",
            body.len(),
        )
    }

    /// Sends the request and reads the answer as far as the plan says. Returns whether that was the
    /// whole answer.
    async fn play(self, server: SocketAddr, name: &str) -> io::Result<bool> {
        let mut connection = TcpStream::connect(server).await?;
        let request = self.request(name);
        if self.kind == Kind::Cut {
            // The last byte closes the message.
            let len = self.chance as usize % request.len();
            connection.write_all(&request.as_bytes()[..len]).await?;
            return Ok(false);
        }
        connection.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        match self.kind {
            Kind::Left | Kind::LeftResumable | Kind::Silent => {
                let patience = Duration::from_micros(self.chance % 12_000);
                // The client leaves at that moment, unless the answer arrives before.
                let _ = tokio::time::timeout(patience, connection.read_to_end(&mut answer)).await;
            }
            Kind::Hangs => drop(connection.read(&mut [0; 64]).await?),
            // The server may break the connection in any way.
            Kind::BodyPanic => drop(connection.read_to_end(&mut answer).await),
            _ => drop(connection.read_to_end(&mut answer).await?),
        }
        const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
        Ok(answer.ends_with(LAST_CHUNK))
    }
}

/// The requests that the handler read completely, by the name of their tool.
type Reached = Arc<Mutex<BTreeMap<String, Plan>>>;

fn result() -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
}

/// Returns a stream of events, a moment apart, and then the answer.
fn events(plan: Plan) -> Response {
    let (sender, body) = live();
    tokio::spawn(async move {
        let send = |index: u64, message: &Value| {
            let id = match plan.has_event_ids() {
                true => format!("id: {index}\n"),
                false => String::new(),
            };
            // The server does not check whether the client is still connected.
            let _ = sender.send(format!("{id}data: {message}\n\n").into());
        };
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress"});
        let count = 1 + plan.chance % 4;
        for index in 0..count {
            send(index, &progress);
            tokio::time::sleep(Duration::from_millis(1 + plan.chance % 3)).await;
        }
        match plan.kind {
            Kind::Hangs => sender.closed().await,
            _ => send(count, &result()),
        }
    });
    ([(CONTENT_TYPE, "text/event-stream")], Body::new(body)).into_response()
}

/// Handles a request, and fails as the plan says.
async fn handle(
    reached: Reached,
    request: Request<StoreBody<Body>>,
) -> Result<Response, &'static str> {
    let mut body = request.into_body();
    let mut bytes = Vec::new();
    // Reads up to the end of the message, which is as far as the layer needs it.
    let message: Value = loop {
        match body.frame().await {
            Some(Ok(frame)) => bytes.extend(frame.into_data().into_iter().flatten()),
            _ => return Ok(StatusCode::BAD_REQUEST.into_response()),
        }
        if let Ok(message) = serde_json::from_slice(&bytes) {
            break message;
        }
    };
    let name = message["params"]["name"].as_str().unwrap().to_owned();
    let (client, number) = name.split_once('.').unwrap();
    let plan = Plan::new(client.parse().unwrap(), number.parse().unwrap());
    reached.lock().unwrap().insert(name, plan);
    let message = match plan.kind {
        Kind::Json => result(),
        Kind::JsonError => {
            json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -32000, "message": "no"}})
        }
        Kind::ToolError => json!({"jsonrpc": "2.0", "id": 1, "result": {"isError": true}}),
        Kind::HttpError => {
            return Ok((StatusCode::SERVICE_UNAVAILABLE, "busy").into_response());
        }
        Kind::Empty => return Ok(StatusCode::ACCEPTED.into_response()),
        // Does not print the panic.
        Kind::Panic => std::panic::resume_unwind(Box::new("as planned")),
        Kind::Failure => return Err("as planned"),
        Kind::BodyPanic => {
            let progress = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
            let steps = [Step::Data(progress.into()), Step::Pending, Step::Panic];
            let body = Body::new(Script::new(steps));
            return Ok(([(CONTENT_TYPE, "text/event-stream")], body).into_response());
        }
        Kind::Silent => std::future::pending().await,
        _ => return Ok(events(plan)),
    };
    Ok(axum::Json(message).into_response())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_that_reached_the_server_is_one_row() {
    let requests = std::env::var("TOWER_MCP_STORE_LOAD");
    let requests: u64 = requests.map_or(10, |number| number.parse().expect("a number"));
    let recording = Recording::start();
    let reached = Reached::default();
    let handler = {
        let reached = reached.clone();
        service_fn(move |request| handle(reached.clone(), request))
    };
    let layer = recording.layer().resume_grace(Duration::from_millis(50));
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(HandleErrorLayer::new(|_| async {
            StatusCode::INTERNAL_SERVER_ERROR
        }))
        .layer(layer)
        .service(handler);
    let app = Router::new().route_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let serving = tokio::spawn(async { axum::serve(listener, app).await });

    let clients = (0..CLIENTS).map(|client| {
        tokio::spawn(async move {
            let mut whole = Vec::new();
            for number in 0..requests {
                let name = format!("{client}.{number}");
                let played = Plan::new(client, number).play(server, &name).await;
                if played.expect("a connection that works") {
                    whole.push(name);
                }
            }
            whole
        })
    });
    let mut whole = BTreeSet::new();
    for client in clients.collect::<Vec<_>>() {
        whole.extend(client.await.unwrap());
    }

    // The server notices a moment later that the last clients left.
    let deadline = Instant::now() + LONG;
    let store = &recording.store;
    let expected = || reached.lock().unwrap().len() as u64;
    while store.stats().in_flight > 0 || store.stats().submitted < expected() {
        assert!(Instant::now() < deadline, "{}", store.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    serving.abort();
    let rows = recording.rows();
    let stats = store.stats();
    assert_eq!((stats.failed, stats.dropped, stats.in_flight), (0, 0, 0));
    assert_rows(&rows, &reached.lock().unwrap(), &whole);
}

/// Compares the rows with the requests that the handler read, and with the names of the requests
/// whose clients received the whole answer.
fn assert_rows(rows: &[Row], reached: &BTreeMap<String, Plan>, whole: &BTreeSet<String>) {
    let tool = |row: &Row| row.tool.clone().expect("a tool");
    let recorded: BTreeSet<String> = rows.iter().map(tool).collect();
    assert_eq!(recorded.len(), rows.len(), "no request twice");
    assert!(recorded.iter().eq(reached.keys()), "every request once");
    let mut seen: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    for row in rows {
        let (plan, whole) = (reached[&tool(row)], whole.contains(&tool(row)));
        let outcome = row.outcome();
        let may_be = plan.outcomes(whole);
        assert!(may_be.contains(&&*outcome), "{plan:?}, {whole}: {row:#?}");
        *seen.entry((plan.kind, outcome)).or_default() += 1;
    }
    println!("{} rows: {seen:#?}", rows.len());
    let kinds: BTreeSet<Kind> = seen.keys().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.len(), KINDS.len() - 1, "all but those cut off");
    let left = seen.keys().filter(|(kind, _)| *kind == Kind::Left);
    assert!(left.count() > 1, "some left early and some late");
}
