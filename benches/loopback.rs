//! What the layer costs a server over real sockets: requests per second over
//! 32 connections, processor time per recorded request, and the time of an
//! event stream.
//!
//! Server and clients share one process and take turns with and without the
//! layer; the ratios of neighbouring rounds are what counts.
//! `cargo bench --bench loopback`

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_mcp_store::{Store, StoreLayer};

const ROUNDS: usize = 11;
const CONNECTIONS: usize = 32;
const REQUESTS: usize = 600;
const EVENTS: usize = 10_000;

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path().join("mcp.db")).expect("a fresh store");
        // What is recorded after a shutdown is counted and dropped.
        let discarding = Store::open(dir.path().join("none.db")).expect("a fresh store");
        discarding
            .shutdown(Duration::from_secs(60))
            .expect("a clean end");
        let servers = [
            serve(None).await,
            serve(Some(discarding.layer())).await,
            serve(Some(store.layer())).await,
        ];

        println!(
            "{:<34} {:>10} {:>10} {:>8} {:>10} {:>8}",
            "", "bare", "discarding", "ratio", "recording", "ratio"
        );
        let rates = alternate(servers, unary).await;
        show("requests/s, 32 connections", &rates, |round| round.rate);
        show("CPU per request, µs", &rates, |round| round.cpu_us);
        let streams = alternate(servers, stream).await;
        show("events/s of a stream of 10,000", &streams, |round| {
            round.rate
        });

        let stats = store
            .shutdown(Duration::from_secs(60))
            .expect("a clean end");
        println!("{stats}");
        assert_eq!(
            stats.dropped + stats.failed,
            0,
            "a loss would flatter the figures"
        );
    });
}

/// What one round gave.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    cpu_us: f64,
}

/// Rounds with each server, in turn.
async fn alternate<F: Future<Output = Round>>(
    servers: [SocketAddr; 3],
    round: impl Fn(SocketAddr) -> F,
) -> Vec<[Round; 3]> {
    let mut rounds = Vec::new();
    for _ in 0..=ROUNDS {
        let [bare, discarding, recording] = servers;
        rounds.push([
            round(bare).await,
            round(discarding).await,
            round(recording).await,
        ]);
    }
    // The first warms up.
    rounds.split_off(1)
}

fn show(what: &str, rounds: &[[Round; 3]], of: impl Fn(&Round) -> f64) {
    let of_server = |server: usize| median(rounds.iter().map(|round| of(&round[server])));
    let ratio = |server: usize| {
        median(
            rounds
                .iter()
                .map(|round| of(&round[server]) / of(&round[0])),
        )
    };
    println!(
        "{what:<34} {:>10.1} {:>10.1} {:>8.3} {:>10.1} {:>8.3}",
        of_server(0),
        of_server(1),
        ratio(1),
        of_server(2),
        ratio(2)
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A server that answers with 1 KiB, or with a stream of events.
async fn serve(layer: Option<StoreLayer>) -> SocketAddr {
    let text = "x".repeat(950);
    let answer: Bytes = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
    )
    .into();
    let unary = move |_: Bytes| async move { ([(CONTENT_TYPE, "application/json")], answer) };
    let streamed = |_: Bytes| async {
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#;
        let event = Bytes::from(format!("data: {progress}\n\n"));
        let result = Bytes::from("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n");
        let events = std::iter::repeat_n(event, EVENTS - 1).chain([result]);
        let events = tokio_stream::iter(events.map(Ok::<_, Infallible>));
        (
            [(CONTENT_TYPE, "text/event-stream")],
            Body::from_stream(events),
        )
    };
    let mut app = Router::new()
        .route("/unary", post(unary))
        .route("/stream", post(streamed));
    if let Some(layer) = layer {
        app = app.layer(layer);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async { axum::serve(listener, app).await });
    addr
}

async fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).await.expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    stream
}

fn request(path: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"method":"tools/call","params":{{"name":"search","arguments":{{"q":"{}"}}}},"jsonrpc":"2.0","id":1}}"#,
        "y".repeat(900)
    );
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         mcp-protocol-version: 2025-11-25\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn unary(addr: SocketAddr) -> Round {
    let request = request("/unary");
    let (start, cpu) = (Instant::now(), cpu_time());
    let clients = (0..CONNECTIONS).map(|_| {
        let request = request.clone();
        tokio::spawn(async move {
            let mut stream = connect(addr).await;
            let mut buffer = vec![0; 64 * 1024];
            for _ in 0..REQUESTS {
                stream.write_all(&request).await.expect("the server reads");
                let mut seen = 0;
                while !ends_answer(&buffer[..seen]) {
                    seen += stream.read(&mut buffer[seen..]).await.expect("an answer");
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("a client that ends");
    }
    let requests = (CONNECTIONS * REQUESTS) as f64;
    Round {
        rate: requests / start.elapsed().as_secs_f64(),
        cpu_us: (cpu_time() - cpu).as_secs_f64() * 1e6 / requests,
    }
}

fn ends_answer(seen: &[u8]) -> bool {
    seen.ends_with(b"}]}}")
}

async fn stream(addr: SocketAddr) -> Round {
    let request = request("/stream");
    let mut stream = connect(addr).await;
    let mut buffer = vec![0; 256 * 1024];
    let (start, cpu) = (Instant::now(), cpu_time());
    stream.write_all(&request).await.expect("the server reads");
    let mut last = Vec::new();
    while !last.ends_with(b"0\r\n\r\n") {
        let len = stream.read(&mut buffer).await.expect("more of the stream");
        last.extend_from_slice(&buffer[len.saturating_sub(5)..len]);
        last.drain(..last.len().saturating_sub(5));
    }
    Round {
        rate: EVENTS as f64 / start.elapsed().as_secs_f64(),
        cpu_us: (cpu_time() - cpu).as_secs_f64() * 1e6 / EVENTS as f64,
    }
}

/// Processor time of the whole process, to 10 ms (Linux; elsewhere nothing).
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may hold spaces; utime and stime are 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}
