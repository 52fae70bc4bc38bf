//! The server side of recording what passes through a proxy.

use std::convert::Infallible;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Uri};
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;
use tower_mcp_store::RequestEvent;

use crate::interrupt::interrupted;
use crate::sanitize::harmless;

/// How long open streams may hold up the end.
const DRAIN: Duration = Duration::from_secs(3);

/// How long the last rows may take to reach the file.
pub(crate) const CLOSE: Duration = Duration::from_secs(5);

/// How many lines may wait for an output that is stopped, and how long the last
/// of them at the end.
const LINES: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(1);

/// How many characters of a text from the wire are shown.
const SHOWN: usize = 80;

/// How long a client may take to send the head of a request, and how long its connection may
/// be idle.
const HEAD: Duration = Duration::from_secs(30);

/// How many fields a request may have: as many as an answer. hyper's own limit is 100, which
/// is less than servers behind the proxy may admit.
const FIELDS: usize = 512;

/// Serves until Ctrl-C or SIGTERM, and then until the open exchanges have ended
/// or [`DRAIN`] is over: an MCP client may keep a stream open for hours.
pub(crate) async fn serve(listener: TcpListener, app: Router) {
    let server = Server::new(app, HEAD);
    tokio::select! {
        never = server.accept(listener) => match never {},
        () = interrupted() => {}
    }
    // `eprintln!` would panic if standard error is closed, and the streams have to end in order.
    let _ = writeln!(io::stderr(), "stopping; once more to stop at once");
    tokio::spawn(async {
        interrupted().await;
        std::process::exit(130);
    });
    let _ = tokio::time::timeout(DRAIN, server.connections.shutdown()).await;
}

/// Like `axum::serve`, which has no time limit for the heads of requests.
struct Server {
    app: Router,
    head: Duration,
    http: auto::Builder<TokioExecutor>,
    connections: GracefulShutdown,
}

impl Server {
    fn new(app: Router, head: Duration) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(head)
            .max_headers(FIELDS);
        Self {
            app,
            head,
            http,
            connections: GracefulShutdown::new(),
        }
    }

    async fn accept(&self, mut listener: TcpListener) -> Infallible {
        loop {
            // Waits for a while where the process has too many files open.
            let (stream, client) = Listener::accept(&mut listener).await;
            tokio::spawn(self.connection(stream, client));
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        client: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Small messages must not wait for one another.
        let _ = stream.set_nodelay(true);
        let has_begun = Arc::new(AtomicBool::new(false));
        let begins = Arc::clone(&has_begun);
        let app = self
            .app
            .clone()
            .map_request(move |mut request: Request<_>| {
                begins.store(true, Relaxed);
                // Tells the forwarding service, and so the upstream, who the client is.
                request.extensions_mut().insert(client);
                request.map(Body::new)
            });
        let app = TowerToHyperService::new(app);
        let connection = self.http.serve_connection(TokioIo::new(stream), app);
        let connection = self.connections.watch(connection.into_owned());
        let head = self.head;
        async move {
            let mut connection = pin!(connection);
            // hyper's own limit begins after the first bytes, which show the HTTP version, and
            // does not apply to HTTP/2.
            let ended = tokio::time::timeout(head, &mut connection).await.is_ok();
            if !ended && has_begun.load(Relaxed) {
                // An error here is the client's, and only this connection ends.
                let _ = connection.await;
            }
        }
    }
}

pub(crate) fn cannot_listen(addr: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{addr} is in use by another program; \
             choose another port, such as --listen 127.0.0.1:3001, or 127.0.0.1:0 for any free one"
        ),
        _ => format!(
            "cannot listen on {addr}: {error}; --listen takes an address such as 127.0.0.1:3000"
        ),
    }
}

/// Why the upstream cannot be recorded: what is sent to it would come back here
/// for ever.
pub(crate) fn check_upstream(upstream: &Uri, listening: SocketAddr) -> Result<(), String> {
    let host = upstream.host().unwrap_or_default();
    let is_here = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) if listening.ip().is_unspecified() => ip.is_loopback(),
        Ok(ip) => ip == listening.ip(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    };
    if is_here && upstream.port_u16() == Some(listening.port()) {
        return Err(format!(
            "{upstream} is where this proxy listens; give --upstream the address of \
             the server, or --listen another one, such as 127.0.0.1:3001"
        ));
    }
    Ok(())
}

pub(crate) fn print_welcome(server: &str, db: &Path, mut listening: SocketAddr, path: &str) {
    if listening.ip().is_unspecified() {
        listening.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{listening}{path}");
    println!("recording {server} into {}", db.display());
    println!("point an MCP client at {url}, or paste this into its configuration:");
    println!(r#"  {{"mcpServers": {{"recorded": {{"type": "http", "url": "{url}"}}}}}}"#);
    if path == "/" {
        println!("followed by the server's own path, such as /mcp, where it has one");
    }
    println!("stop with Ctrl-C; times are UTC\n");
}

/// Prints a line for each row that is in the file.
pub(crate) struct Printer {
    /// Tells, by its end, that of the thread which prints.
    ended: Receiver<()>,
}

impl Printer {
    /// A printer, and what to call with each row. That runs on the thread which
    /// writes the file, and an output that is stopped (by Ctrl-S, or a pager) or
    /// closed must not hold that up: so another thread prints.
    pub(crate) fn start() -> io::Result<(Self, impl FnMut(&RequestEvent) + Send + 'static)> {
        let (lines, waiting) = mpsc::sync_channel::<String>(LINES);
        let (end, ended) = mpsc::channel();
        thread::Builder::new()
            .name("printer".to_owned())
            .spawn(move || {
                let _end = end;
                // Goes on taking lines after the output was closed.
                waiting
                    .iter()
                    .for_each(|line| drop(writeln!(io::stdout(), "{line}")));
            })?;
        let mut left_out = 0;
        let print = move |row: &RequestEvent| {
            let mut text = line(row);
            if left_out > 0 {
                text = format!("... {left_out} more are in the file\n{text}");
            }
            left_out = match lines.try_send(text) {
                Ok(()) => 0,
                Err(_) => left_out + 1,
            };
        };
        Ok((Self { ended }, print))
    }

    /// Prints what is left once the store is shut down, and then this line;
    /// nothing where the output is stopped.
    pub(crate) fn finish(self, last: &str) {
        if let Err(RecvTimeoutError::Disconnected) = self.ended.recv_timeout(PATIENCE) {
            let _ = writeln!(io::stdout(), "{last}");
        }
    }
}

fn line(row: &RequestEvent) -> String {
    let seconds = row.ts.rem_euclid(86_400_000) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let what = row
        .tool
        .as_deref()
        .or(row.target.as_deref())
        .unwrap_or_default();
    let what = shown(&format!("{} {what}", row.method));
    let status = if row.tool_error {
        "tool error"
    } else {
        row.status.as_str()
    };
    let millis = row.latency_us as f64 / 1000.0;
    let bytes = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    let (sent, received) = (bytes(row.bytes_in), bytes(row.bytes_out));
    let end = row.end_reason.map(|reason| reason.as_str());
    let note = row
        .error_msg
        .as_deref()
        .or(end)
        .map(shown)
        .unwrap_or_default();
    let line = format!(
        "{hours:02}:{minutes:02}:{seconds:02}  {what:<40}  {status:<10}  {millis:>9.1} ms  \
         {sent:>6} B in  {received:>7} B out  {note}",
    );
    line.trim_end().to_owned()
}

fn shown(text: &str) -> String {
    harmless(text).chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::routing::any;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::watch;

    use super::Server;

    const LIMIT: Duration = Duration::from_millis(100);

    /// No step takes this long unless it hangs.
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn connect(app: Router) -> impl AsyncFn(&str) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { Server::new(app, LIMIT).accept(listener).await });
        async move |request: &str| {
            let mut client = TcpStream::connect(addr).await.unwrap();
            client.write_all(request.as_bytes()).await.unwrap();
            client
        }
    }

    /// Everything until the server closes the connection.
    async fn rest(mut client: TcpStream) -> String {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut rest)).await;
        read.expect("the connection stays open").unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    #[tokio::test]
    async fn a_head_that_does_not_arrive_in_time_ends_the_connection() {
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
    async fn a_request_of_several_hundred_fields_is_served() {
        let connect = connect(Router::new().fallback(any(async || "answered"))).await;
        let fields: String = (0..500).map(|i| format!("x-{i}: {i}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nhost: proxy\r\n{fields}\r\n");
        let answers = rest(connect(&head).await).await;
        assert!(answers.ends_with("\r\n\r\nanswered"), "{answers}");
    }

    #[tokio::test]
    async fn an_exchange_under_way_has_no_time_limit() {
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

        // The limit is over once it has ended a connection of the same age.
        rest(connect("").await).await;
        sending.write_all(b"il").await.unwrap();
        release.send(true).unwrap();

        assert!(rest(sent).await.ends_with("\r\n\r\nsent"));
        assert!(rest(sending).await.ends_with("\r\n\r\nstil"));
    }
}
