//! Both ends of a connection, byte by byte.
#![allow(dead_code)] // Each test binary uses its own part.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use mcp_forward::Forward;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// No step of a test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a proxy of `upstream`, served as in an application.
pub(crate) async fn proxy(upstream: &str) -> SocketAddr {
    serve(Router::new().fallback_service(Forward::new(upstream).unwrap())).await
}

pub(crate) async fn serve(app: Router) -> SocketAddr {
    let app = app.layer(map_request(
        |ConnectInfo(client): ConnectInfo<SocketAddr>, mut request: Request| async move {
            request.extensions_mut().insert(client);
            request
        },
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

/// Returns an address at which nothing listens.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A server that the test controls.
pub(crate) struct Upstream(TcpListener);

impl Upstream {
    pub(crate) async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr())
    }

    /// Checks that no connection was made that [`accept`](Self::accept) has not returned.
    pub(crate) async fn refuse_further(self) {
        let own = TcpStream::connect(self.addr()).await.unwrap();
        let (_, first) = within(self.0.accept()).await.unwrap();
        assert_eq!(first, own.local_addr().unwrap());
    }

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = within(self.0.accept()).await.unwrap();
        Peer {
            stream,
            unread: Vec::new(),
        }
    }
}

/// The first bytes of an HTTP/2 client: the preface and empty settings.
pub(crate) const H2_PREFACE: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// Returns a GET of `/mcp` without a body, with these fields in addition.
pub(crate) fn h2_headers(stream: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let get = [(":method", "GET"), (":scheme", "http"), (":path", "/mcp")];
    // END_STREAM and END_HEADERS.
    h2_frame(1, 5, stream, &h2_block(&[&get, fields].concat()))
}

/// Returns the head of a POST of JSON to `/mcp`.
pub(crate) fn h2_post(stream: u8) -> Vec<u8> {
    let post = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/mcp"),
        (":authority", "proxy"),
        ("content-type", "application/json"),
    ];
    h2_frame(1, 4, stream, &h2_block(&post))
}

/// Encodes literal fields without indexing, whose lengths are below 127.
fn h2_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

pub(crate) fn h2_frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u16;
    let [high, low] = length.to_be_bytes();
    let mut frame = vec![0, high, low, kind, flags, 0, 0, 0, stream];
    frame.extend_from_slice(payload);
    frame
}

/// One end of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.write_bytes(text.as_bytes()).await;
    }

    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// Returns everything up to and including `end`. Invalid UTF-8 is replaced.
    pub(crate) async fn read_until(&mut self, end: &str) -> String {
        let mut scanned = 0;
        loop {
            let unread = &self.unread[scanned..];
            let found = unread
                .windows(end.len())
                .position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.unread.split_off(scanned + at + end.len());
                return text(std::mem::replace(&mut self.unread, rest));
            }
            scanned = self.unread.len().saturating_sub(end.len());
            let so_far = String::from_utf8_lossy(&self.unread).into_owned();
            let read = within(self.stream.read_buf(&mut self.unread)).await;
            assert!(read.unwrap() > 0, "closed before {end:?}, after {so_far:?}");
        }
    }

    /// Returns everything until the other end closes or resets the connection.
    pub(crate) async fn read_to_end(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.unread);
        while within(self.stream.read_buf(&mut rest))
            .await
            .is_ok_and(|read| read > 0)
        {}
        text(rest)
    }
}

pub(crate) async fn within<F: Future>(step: F) -> F::Output {
    tokio::time::timeout(PATIENCE, step)
        .await
        .expect("the step hangs")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
