//! Secrets never reach the file, its WAL or any other file.

#[path = "faults/log.rs"]
mod log;
mod recording;

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::{Request, Response};
use proptest::prelude::*;
use recording::{Recording, Script, answering, event_stream, exchange, json, post_with, response};
use tower::{Layer, ServiceExt, service_fn};
use tower_mcp_store::event_store::{CachingEventStore, EventRecord, EventStore, MemoryEventStore};
use tower_mcp_store::session_store::{
    CachingSessionStore, MemorySessionStore, SessionRecord, SessionStore,
};
use tower_mcp_store::{
    Principal, RequestEvent, RequestStatus, Store, StoreBody, StoreEvent, StoreLayer,
};
use tracing::Level;

const SECRET: &str = "s3cr3t-c0ffee";

#[tokio::test]
async fn bodies_arguments_results_and_headers_leave_no_trace() {
    let recording = Recording::start();
    let layer = recording
        .layer()
        .upstream_url(format!("https://me:{SECRET}@host/mcp"));
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"token":"{SECRET}"}},"_meta":{{"x":"{SECRET}","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"Zed","title":"{SECRET}"}}}}}}}}"#
    );
    let read = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"https://me:{SECRET}@host/x"}}}}"#
    );
    let result = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{SECRET}"}}],"isError":true}}}}"#
    );
    let error = format!(
        r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":"no","data":"{SECRET}"}}}}"#
    );
    let headers = [
        ("authorization", SECRET),
        ("cookie", SECRET),
        ("user-agent", SECRET),
        ("mcp-param-key", SECRET),
        ("x-api-key", SECRET),
        ("last-event-id", SECRET),
    ];
    for body in [&call, &read] {
        for answer in [
            json(&result),
            event_stream(format!("id: {SECRET}\ndata: {result}\n\n")),
            json(&error),
            response(
                500,
                "application/json",
                format!(r#"{{"detail":"{SECRET}"}}"#),
            ),
            response(500, "", format!(r#"{{"detail":"{SECRET}"}}"#)),
            response(500, "text/html", SECRET),
            response(200, "text/plain", SECRET),
        ] {
            let mut request = post_with(&headers, body);
            request.extensions_mut().insert(Principal::new("alice"));
            exchange(&layer, request, answer).await.unwrap();
        }
    }
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let tools = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"echo"}]}}"#;
    exchange(&layer, post_with(&[], list), json(tools))
        .await
        .unwrap();
    assert_eq!(recording.rows().len(), 15);
    let upstream = recording.column::<String>("SELECT upstream_url FROM server_schema");
    assert_eq!(upstream, ["https://host/mcp"]);

    let mut files = 0;
    for file in std::fs::read_dir(recording.store.path().parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        assert!(!found, "{}", path.display());
        files += 1;
    }
    assert!(files >= 2, "the file and its WAL");
}

/// Where the test puts a secret.
#[derive(Debug, Clone)]
enum Place {
    Uri,
    RefUri,
    McpName {
        form: Name,
    },
    /// The server names the URI in the text of its error.
    Echo {
        status: u16,
        media: &'static str,
    },
    Authorization,
    ErrorData {
        media: &'static str,
        status: u16,
    },
    ErrorBody {
        media: &'static str,
        form: &'static str,
    },
}

/// How a header names a URI.
#[derive(Debug, Clone, Copy)]
enum Name {
    Plain,
    Encoded,
    /// Not the encoding of the protocol, but one that some servers read.
    EncodedOtherwise(&'static str, &'static str),
}

/// A secret, and how the client or the server sends it.
#[derive(Debug, Clone)]
struct Plant {
    place: Place,
    secret: String,
    /// The beginning of the URI, before the secret in its userinfo.
    before: &'static str,
    /// Each character of the secret is a `\\u` escape in JSON.
    is_escaped: bool,
    cuts: Vec<prop::sample::Index>,
}

fn place() -> impl Strategy<Value = Place> {
    let media = prop::sample::select(vec![
        "",
        "text/plain",
        "text/plain; charset=utf-8",
        "text/html",
        "application/json",
        "application/problem+json",
        "application/octet-stream",
    ]);
    let form = prop::sample::select(vec![
        r#"{"detail":S}"#,
        r#"[S]"#,
        r#"S"#,
        "\u{feff} {\"a\":{\"b\":S}}",
        "\u{c}\n[1,S]",
        r#"bad gateway: {"error":S}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"data":S,"message":"no"}}"#,
        r#"[{"jsonrpc":"2.0","id":1,"error":{"data":{"x":S},"code":-1,"message":"no"}}]"#,
    ]);
    prop_oneof![
        3 => Just(Place::Uri),
        3 => Just(Place::RefUri),
        3 => prop::sample::select(vec![
            Name::Plain,
            Name::Encoded,
            Name::EncodedOtherwise("=?base64?", "=?="),
            Name::EncodedOtherwise("=?BASE64?", "?="),
            Name::EncodedOtherwise("=?base64?", "!?="),
            Name::EncodedOtherwise(" =?base64?", ""),
        ]).prop_map(|form| Place::McpName { form }),
        2 => prop::sample::select(vec![(200, "application/json"), (404, "text/plain"), (404, "")])
            .prop_map(|(status, media)| Place::Echo { status, media }),
        1 => Just(Place::Authorization),
        2 => (media.clone(), prop::sample::select(vec![200u16, 400, 500]))
            .prop_map(|(media, status)| Place::ErrorData { media, status }),
        3 => (media, form).prop_map(|(media, form)| Place::ErrorBody { media, form }),
    ]
}

/// Returns what stands between the user name and the host: a token, a password, a password with a
/// bare slash, or a long password.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9!$&'()*+,;=_.~:%@-]{8,60}",
        "[a-z][a-z0-9!$&'()*+,;=_.~:%-]{8,30}/[a-z0-9!$&'()*+,;=_.~:/@%-]{0,60}[a-z]"
            .prop_map(|secret| format!(":{secret}")),
        ("[a-z0-9:@]{12}", 20..2000usize).prop_map(|(secret, times)| secret.repeat(times)),
    ]
}

fn plant() -> impl Strategy<Value = Plant> {
    let before = vec![
        "https://",
        "postgres://U",
        "https:",
        "//",
        "jdbc:x://U",
        "r://a/ws://",
    ];
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..6);
    let before = prop::sample::select(before);
    (place(), secret(), before, any::<bool>(), cuts).prop_map(
        |(place, secret, before, is_escaped, cuts)| Plant {
            place,
            secret,
            before,
            is_escaped,
            cuts,
        },
    )
}

impl Plant {
    fn uri(&self) -> String {
        format!("{}{}@host/x", self.before, self.secret)
    }

    /// Returns `text`, which contains the secret, as JSON.
    fn json(&self, text: &str) -> String {
        match self.is_escaped {
            true => {
                let escapes = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                format!("\"{}\"", escapes.collect::<String>())
            }
            false => serde_json::to_string(text).unwrap(),
        }
    }

    /// Returns a body that is cut into pieces.
    fn body(&self, text: &str) -> Script {
        let mut places: Vec<_> = self.cuts.iter().map(|cut| cut.index(text.len())).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        Script::chunks(
            places
                .windows(2)
                .map(|cut| &text.as_bytes()[cut[0]..cut[1]]),
        )
    }

    /// Sends a request with the secret, or receives an answer with it. Each leaves one row.
    async fn send(&self, layer: &StoreLayer) {
        let call = |method: &str, params: &str| {
            self.body(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#
            ))
        };
        let uri = self.json(&self.uri());
        let secret = self.json(&self.secret);
        let ok = json(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        let ping = call("ping", "");
        match &self.place {
            Place::Uri => {
                let read = call("resources/read", &format!(r#""uri":{uri}"#));
                exchange(layer, post_with(&[], read), ok).await.unwrap();
            }
            Place::RefUri => {
                let params = format!(r#""ref":{{"type":"ref/resource","uri":{uri}}}"#);
                let complete = call("completion/complete", &params);
                exchange(layer, post_with(&[], complete), ok).await.unwrap();
            }
            Place::McpName { form } => {
                let name = match form {
                    Name::Plain => self.uri(),
                    Name::Encoded => format!("=?base64?{}?=", STANDARD.encode(self.uri())),
                    Name::EncodedOtherwise(before, after) => {
                        let unpadded = STANDARD_NO_PAD.encode(self.uri());
                        format!("{before}{unpadded}{after}")
                    }
                };
                let headers = [("mcp-method", "resources/read"), ("mcp-name", &name)];
                let service = service_fn(|_: Request<StoreBody<Script>>| async {
                    Ok::<_, Infallible>(response(413, "", ""))
                });
                let service = layer.layer(service);
                drop(service.oneshot(post_with(&headers, ping)).await.unwrap());
            }
            Place::Echo { status: 200, .. } => {
                let message = self.json(&format!("MCP error: {} not found", self.uri()));
                let error = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":{message}}}}}"#
                );
                self.answer(layer, ping, json(self.body(&error))).await;
            }
            Place::Echo { status, media } => {
                let body = self.body(&format!("not found: {}", self.uri()));
                self.answer(layer, ping, response(*status, media, body))
                    .await;
            }
            Place::Authorization => {
                let token = format!("Bearer {}", self.secret);
                let request = post_with(&[("authorization", &token)], ping);
                exchange(layer, request, ok).await.unwrap();
            }
            Place::ErrorData { media, status } => {
                let error = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-1,"message":"no","data":{secret}}}}}"#
                );
                let answer = match (*media, *status) {
                    ("text/html", 200) => response(
                        200,
                        "text/event-stream",
                        self.body(&format!("data: {error}\n\n")),
                    ),
                    (media, status) => response(status, media, self.body(&error)),
                };
                self.answer(layer, ping, answer).await;
            }
            Place::ErrorBody { media, form } => {
                let body = self.body(&form.replace('S', &secret));
                self.answer(layer, ping, response(500, media, body)).await;
            }
        }
    }

    async fn answer(&self, layer: &StoreLayer, request: Script, answer: Response<Script>) {
        let service = layer.layer(answering(answer));
        let answer = service.oneshot(post_with(&[], request)).await.unwrap();
        http_body_util::BodyExt::collect(answer.into_body())
            .await
            .unwrap();
    }

    /// Returns every form of the secret that must not be found.
    fn traces(&self) -> Vec<String> {
        vec![
            self.secret.clone(),
            self.json(&self.secret),
            STANDARD.encode(&self.secret),
            STANDARD.encode(self.uri()),
        ]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_eight_characters_of_a_secret_are_in_the_files(plants in prop::collection::vec(plant(), 30..60)) {
        let recording = Recording::start();
        let layer = recording.layer();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for plant in &plants {
                plant.send(&layer).await;
            }
        });
        let rows = recording.rows();
        prop_assert_eq!(rows.len(), plants.len());
        for (row, plant) in rows.iter().zip(&plants) {
            let is_uri = matches!(
                plant.place,
                Place::Uri
                    | Place::RefUri
                    | Place::McpName { form: Name::Plain | Name::Encoded }
            );
            let target = row.target.as_deref();
            prop_assert!(!is_uri || target.is_some_and(|target| target.ends_with("host/x")), "{:?}", target);
            let is_echo = matches!(plant.place, Place::Echo { .. });
            let text = row.error_msg.as_deref();
            prop_assert!(
                !is_echo || text.is_some_and(|text| text.contains("host/x")),
                "{:?} {:?}", plant, row
            );
            let is_error = matches!(plant.place, Place::ErrorData { status: 400.., .. });
            prop_assert!(!is_error || row.error_code.as_deref() == Some("-1"), "{:?} {:?}", plant, row);
        }

        let traces: Vec<_> = plants.iter().flat_map(Plant::traces).collect();
        let windows: HashSet<_> = traces.iter().flat_map(|trace| trace.as_bytes().windows(8)).collect();
        for file in std::fs::read_dir(recording.store.path().parent().unwrap()).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let leak = bytes.windows(8).find(|window| windows.contains(window));
            prop_assert!(leak.is_none(), "{} in {}", String::from_utf8_lossy(leak.unwrap()), path.display());
        }
    }
}

/// Asserts that the debug output does not show the secret.
#[track_caller]
fn shows_nothing(thing: &impl Debug) {
    let shown = format!("{thing:?}");
    assert!(!shown.contains(SECRET), "{shown}");
}

#[tokio::test]
async fn ids_of_sessions_and_their_events_are_neither_logged_nor_shown() {
    log::listen();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    let store = Store::open(&path).unwrap();
    let timeout = Duration::from_millis(20);
    let events = store.event_store().timeout(timeout);
    let sessions = store.session_store().timeout(timeout);
    let events = CachingEventStore::new(MemoryEventStore::new(), events);
    let sessions = CachingSessionStore::new(MemorySessionStore::new(), sessions);
    let event = || EventRecord::new(1, SECRET);
    let record = SessionRecord::new("sdk", SECRET, SECRET, Duration::from_secs(60));
    events.append(SECRET, event()).await.unwrap();
    sessions.save(&record).await.unwrap();
    shows_nothing(&(&events, &sessions, &store, &record));

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    shows_nothing(&events.append(SECRET, event()).await.unwrap_err());
    shows_nothing(&events.purge_session(SECRET).await.unwrap_err());
    shows_nothing(&sessions.save(&record).await.unwrap_err());
    shows_nothing(&sessions.delete("sdk", SECRET).await.unwrap_err());
    let mut request = RequestEvent::new("tools/call", RequestStatus::Ok);
    request.session_id = Some(SECRET.into());
    store.record(StoreEvent::Request(request));
    shows_nothing(&store.flush(Duration::from_secs(1)).unwrap_err());
    assert!(log::logged(Level::WARN, &["cannot write"]) > 0);
    other.execute_batch("ROLLBACK").unwrap();
    // Values of the wrong type: a text and no number.
    other
        .execute_batch("UPDATE sse_events SET ts = 'x'; UPDATE sdk_sessions SET expires_at = 'x'")
        .unwrap();
    for secret in events.replay_after(SECRET, 0).await.unwrap_or_default() {
        assert_eq!(
            secret.data, SECRET,
            "a caller that asks for the record gets it"
        );
    }
    drop(sessions.load("sdk", SECRET).await);
    store.shutdown(Duration::from_secs(5)).unwrap();
    shows_nothing(&events.append(SECRET, event()).await.unwrap_err());

    let log = log::LOG.lock().unwrap();
    assert!(
        log.iter().all(|(_, line)| !line.contains(SECRET)),
        "{log:?}"
    );
}
