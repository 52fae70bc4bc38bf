//! An HTTP server with time limits for request heads and for shutdown.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tower_service::Service;

use super::tls::TlsFiles;
use super::{BoxError, MAX_FIELDS};

/// How long open exchanges may delay the shutdown. An MCP client may keep a stream open for
/// hours.
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// The pause after a failure to accept, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The least time between two lines in the log about such failures. Clients can cause them.
const ACCEPT_WARNING: Duration = Duration::from_secs(60);

/// Serves HTTP/1.1 and HTTP/2 until `shutdown` is ready. A [`Server`] has settings, too.
///
/// Then it accepts no further connection, closes idle ones, and waits at most 3 seconds for
/// open exchanges. It returns when they have ended or the time is over.
///
/// There are three differences to `axum::serve`:
///
/// * A client has 30 seconds to send the head of a request. Then the connection is closed.
/// * A request may have 512 header fields.
/// * The request's extensions hold the client's [`SocketAddr`], from which
///   [`Forward`](crate::Forward) extends `X-Forwarded-For`.
///
/// Errors of a connection end that connection only.
///
/// ```no_run
/// use axum::Router;
/// use mcp_forward::{Forward, serve};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let app: Router = Router::new().fallback_service(Forward::new("http://127.0.0.1:9000/mcp")?);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// serve(listener, app, async { drop(tokio::signal::ctrl_c().await) }).await;
/// # Ok(())
/// # }
/// ```
pub async fn serve<S, B>(listener: TcpListener, service: S, shutdown: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Server::new().serve(listener, service, shutdown).await;
}

/// Settings of an HTTP server. [`serve`](fn@serve) describes what it does.
///
/// ```no_run
/// use std::time::Duration;
///
/// use axum::Router;
/// use mcp_forward::{Forward, Server, TlsFiles};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let app: Router = Router::new().fallback_service(Forward::new("http://127.0.0.1:9000/mcp")?);
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let server = Server::new()
///     .head_timeout(Duration::from_secs(10))
///     .tls(TlsFiles::read("cert.pem", "key.pem")?);
/// server.serve(listener, app, async { drop(tokio::signal::ctrl_c().await) }).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a server does nothing before `serve`"]
pub struct Server {
    head_timeout: Duration,
    tls: Option<TlsFiles>,
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// How long a client may take to send the head of a request, and how long a connection may be
    /// idle.
    pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

    /// Returns the default settings.
    pub const fn new() -> Self {
        Self {
            head_timeout: Self::HEAD_TIMEOUT,
            tls: None,
        }
    }

    /// Sets how long a client may take to send the head of a request, TLS handshake included, and
    /// how long a connection may be idle; [30 seconds](Self::HEAD_TIMEOUT) by default.
    pub fn head_timeout(mut self, limit: Duration) -> Self {
        self.head_timeout = limit;
        self
    }

    /// Serves TLS with this certificate and key, over HTTP/2 with clients that offer it.
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Serves until `shutdown` is ready.
    pub async fn serve<S, B>(
        self,
        listener: TcpListener,
        service: S,
        shutdown: impl Future<Output = ()>,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let acceptor = Acceptor::new(service, self);
        tokio::select! {
            never = acceptor.accept(&listener) => match never {},
            () = shutdown => {}
        }
        drop(listener);
        let _ = tokio::time::timeout(DRAIN_TIME, acceptor.connections.shutdown()).await;
    }
}

struct Acceptor<S> {
    service: S,
    server: Server,
    http: auto::Builder<TokioExecutor>,
    connections: GracefulShutdown,
}

impl<S, B> Acceptor<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    fn new(service: S, server: Server) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(server.head_timeout)
            .max_headers(MAX_FIELDS);
        Self {
            service,
            server,
            http,
            connections: GracefulShutdown::new(),
        }
    }

    async fn accept(&self, listener: &TcpListener) -> Infallible {
        let mut warned = None;
        loop {
            match listener.accept().await {
                Ok((stream, client)) => drop(tokio::spawn(self.connection(stream, client))),
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    if is_due(&mut warned, Instant::now()) {
                        tracing::warn!("cannot accept connections, trying again: {error}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        client: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Most messages are small. They must not wait for one another.
        let _ = stream.set_nodelay(true);
        let service = FromClient {
            service: self.service.clone(),
            client,
            has_begun: Arc::default(),
        };
        let (http, watcher) = (self.http.clone(), self.connections.watcher());
        let Server { head_timeout, tls } = self.server.clone();
        async move {
            let end = Instant::now() + head_timeout;
            let Some(tls) = tls else {
                return serve_until(end, stream, service, http, watcher).await;
            };
            match tokio::time::timeout_at(end, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => serve_until(end, stream, service, http, watcher).await,
                Ok(Err(error)) => tracing::debug!(%client, "the TLS handshake failed: {error}"),
                Err(_) => tracing::debug!(%client, "the TLS handshake took too long"),
            }
        }
    }
}

/// Serves a connection, which ends at `end` unless a request has begun.
async fn serve_until<S, B, I>(
    end: Instant,
    stream: I,
    service: FromClient<S>,
    http: auto::Builder<TokioExecutor>,
    watcher: Watcher,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let has_begun = Arc::clone(&service.has_begun);
    let service = TowerToHyperService::new(service);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(watcher.watch(connection.into_owned()));
    // hyper's own limit starts after the first bytes, which show the HTTP version. It does not
    // apply to HTTP/2.
    let ended = tokio::time::timeout_at(end, &mut connection).await;
    if ended.is_err() && has_begun.load(Relaxed) {
        // An error ends this connection only.
        let _ = connection.await;
    }
}

/// Returns whether an error of accepting concerns one connection and not the listener.
fn is_of_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// The service for one connection.
#[derive(Clone)]
struct FromClient<S> {
    service: S,
    client: SocketAddr,
    /// Whether the head of a request has arrived.
    has_begun: Arc<AtomicBool>,
}

impl<S: Service<Request<Incoming>>> Service<Request<Incoming>> for FromClient<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> S::Future {
        self.has_begun.store(true, Relaxed);
        request.extensions_mut().insert(self.client);
        self.service.call(request)
    }
}

/// Returns whether to warn now, and then sets the time of the last warning.
fn is_due(warned: &mut Option<Instant>, now: Instant) -> bool {
    let is_due = warned.is_none_or(|warned| now.duration_since(warned) >= ACCEPT_WARNING);
    if is_due {
        *warned = Some(now);
    }
    is_due
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::any;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{oneshot, watch};

    use super::{ACCEPT_WARNING, Acceptor, Instant, Server, is_due, serve};

    const LIMIT: Duration = Duration::from_millis(100);

    #[test]
    fn failures_to_accept_are_logged_once_a_minute() {
        let (mut warned, now) = (None, Instant::now());
        let later = [0, 1, 59, 60, 61].map(|s| now + Duration::from_secs(s));
        let due = later.map(|at| is_due(&mut warned, at));
        assert_eq!(due, [true, false, false, true, false]);
        assert_eq!(warned, Some(now + ACCEPT_WARNING));
    }

    /// No step takes this long unless it hangs.
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn connect(app: Router) -> impl AsyncFn(&str) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = Server::new().head_timeout(LIMIT);
        tokio::spawn(async move { Acceptor::new(app, server).accept(&listener).await });
        async move |request: &str| {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            client
        }
    }

    /// Reads until the server closes the connection.
    async fn rest(mut client: TcpStream) -> String {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut rest)).await;
        read.expect("the connection stays open").unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    #[tokio::test]
    async fn late_request_head_closes_the_connection() {
        let connect = connect(Router::new().fallback(any(async || "answered"))).await;
        for head in [
            "",
            "G",
            "PRI * HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: proxy\r\n",
        ] {
            assert!(!rest(connect(head).await).await.contains("answered"));
        }
        for second in ["", "GET / HTTP/1.1\r\nhost: pro"] {
            let head = format!("GET / HTTP/1.1\r\nhost: proxy\r\n\r\n{second}");
            let answers = rest(connect(&head).await).await;
            assert!(answers.ends_with("\r\n\r\nanswered"), "{answers}");
        }
    }

    #[tokio::test]
    async fn request_with_several_hundred_fields_is_served() {
        let connect = connect(Router::new().fallback(any(async || "answered"))).await;
        let fields: String = (0..500).map(|i| format!("x-{i}: {i}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nhost: proxy\r\n{fields}\r\n");
        let answers = rest(connect(&head).await).await;
        assert!(answers.ends_with("\r\n\r\nanswered"), "{answers}");
    }

    #[tokio::test]
    async fn open_exchange_has_no_time_limit() {
        let (release, released) = watch::channel(false);
        let app = Router::new().fallback(any(async move |body: String| {
            released
                .clone()
                .wait_for(|released| *released)
                .await
                .unwrap();
            body
        }));
        let connect = connect(app).await;
        let head =
            "POST / HTTP/1.1\r\nhost: proxy\r\nconnection: close\r\ncontent-length: 4\r\n\r\n";
        let sent = connect(&format!("{head}sent")).await;
        let mut sending = connect(&format!("{head}st")).await;

        // The limit has passed once the server closes a connection of the same age.
        rest(connect("").await).await;
        sending.write_all(b"il").await.unwrap();
        release.send(true).unwrap();

        assert!(rest(sent).await.ends_with("\r\n\r\nsent"));
        assert!(rest(sending).await.ends_with("\r\n\r\nstil"));
    }

    #[tokio::test]
    async fn shutdown_closes_idle_connections_and_lets_an_open_exchange_end() {
        let (begun, mut begins) = watch::channel(false);
        let (release, released) = watch::channel(false);
        let app = Router::new().fallback(any(async move || {
            begun.send_replace(true);
            let mut released = released.clone();
            released.wait_for(|released| *released).await.unwrap();
            "answered"
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(serve(listener, app, async { drop(stopped.await) }));
        let idle = TcpStream::connect(addr).await.unwrap();
        let mut client = TcpStream::connect(addr).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: proxy\r\n\r\n";
        client.write_all(request).await.unwrap();
        begins.wait_for(|begun| *begun).await.unwrap();

        stop.send(()).unwrap();
        rest(idle).await;
        assert!(TcpStream::connect(addr).await.is_err());
        release.send(true).unwrap();

        assert!(rest(client).await.ends_with("\r\n\r\nanswered"));
        let served = tokio::time::timeout(PATIENCE, served).await;
        served.expect("the server does not return").unwrap();
    }
}
