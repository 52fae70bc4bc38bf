//! A file with records, a server of its pages, and requests as raw bytes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use mcp_store_web::{Builder, Token, Web};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower_mcp_store::query::Reader;
use tower_mcp_store::{RequestEvent, RequestStatus, SessionEvent, Store, StoreEvent};

/// No step takes this long unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A file that is removed at the end.
pub(crate) struct Recorded {
    _dir: TempDir,
    pub(crate) path: PathBuf,
}

/// Records events into a new file.
pub(crate) fn recorded(events: impl IntoIterator<Item = StoreEvent>) -> Recorded {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp-store.db");
    record(&path, events);
    Recorded { _dir: dir, path }
}

/// Records events into a file.
pub(crate) fn record(path: &Path, events: impl IntoIterator<Item = StoreEvent>) {
    let store = Store::open(path).unwrap();
    events.into_iter().for_each(|event| store.record(event));
    store.shutdown(LONG).unwrap();
}

/// A successful call of a tool.
pub(crate) fn call(tool: &str) -> RequestEvent {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
    event.tool = Some(tool.into());
    event.latency_us = 12_345;
    event
}

pub(crate) fn session(id: &str, client: &str) -> StoreEvent {
    let mut session = SessionEvent::new(id);
    session.client_name = Some(client.into());
    StoreEvent::Session(session)
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) web: Web,
}

/// Serves the pages of a file at a free port of 127.0.0.1.
pub(crate) async fn serve(path: &Path, set: impl FnOnce(Builder) -> Builder) -> Server {
    let web = set(Web::builder(Reader::open(path).unwrap())).build();
    let addr = serve_router(web.router()).await;
    Server { addr, web }
}

pub(crate) async fn serve_router(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    addr
}

pub(crate) fn with_token(builder: Builder) -> Builder {
    builder.token(Token::new(TOKEN).unwrap())
}

/// An answer of HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Sends bytes, and reads until the server closes the connection.
pub(crate) async fn send(addr: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
    read.expect("an answer").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let (head, body) = (head.to_owned(), body.to_owned());
    Answer { status, head, body }
}

/// Sends a request with these fields, which may name another `Host`.
pub(crate) async fn ask(addr: SocketAddr, method: &str, path: &str, fields: &[&str]) -> Answer {
    let is_host = |field: &&str| field.to_lowercase().starts_with("host:");
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !fields.iter().any(is_host) {
        head.push_str(&format!("Host: {addr}\r\n"));
    }
    for field in fields.iter().filter(|field| !field.is_empty()) {
        head.push_str(&format!("{field}\r\n"));
    }
    send(addr, &format!("{head}\r\n")).await
}

/// Asks for a page, and expects it.
pub(crate) async fn get(addr: SocketAddr, path: &str) -> String {
    let answer = ask(addr, "GET", path, &[]).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.body
}
