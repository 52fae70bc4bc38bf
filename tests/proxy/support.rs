use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_mcp_store::proxy::Forward;

/// No step of a test takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy of `upstream`, served as an application would.
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

/// An address at which nothing listens.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

/// A server that the test plays itself.
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

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = within(self.0.accept()).await.unwrap();
        Peer {
            stream,
            unread: Vec::new(),
        }
    }
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
        within(self.stream.write_all(text.as_bytes()))
            .await
            .unwrap();
    }

    /// Everything up to and including `end`.
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

    /// Everything until the other end closes or resets the connection.
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
    String::from_utf8(bytes).unwrap()
}
