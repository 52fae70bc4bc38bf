//! What the layer adds to a unary request of 1 KiB that is answered with 1 KiB,
//! in front of a service that does nothing else.
//!
//! All variants run in one process, in turn, several rounds; the medians are
//! compared: `cargo bench --bench layer`. On Linux it is the processor time of
//! the thread that is measured, which a busy machine changes little.
//!
//! For a profiler, `cargo bench --bench layer -- StoreLayer 1000` runs one
//! variant that many times and nothing else.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Layer, Service, service_fn};
use tower_mcp_store::Store;

const SESSION: &str = "9f7426fbd5664ccda144bae67697dff8";
const INITIALIZE: &str =
    r#"{"jsonrpc":"2.0","id":17,"method":"initialize","params":{"clientInfo":{"name":"bench"}}}"#;
const ROUNDS: usize = 31;
const REQUESTS: u32 = 4_000;

fn main() {
    let request = sized(
        r#"{"method":"tools/call","params":{"name":"search","arguments":{"query":""#,
        r#""},"_meta":{"progressToken":1}},"jsonrpc":"2.0","id":17}"#,
    );
    let response = sized(
        r#"{"result":{"content":[{"type":"text","text":""#,
        r#""}],"isError":false},"jsonrpc":"2.0","id":17}"#,
    );
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path().join("mcp.db")).expect("a fresh store");

    let mut variants = [
        Variant::new("bare", &request, service(response.clone())),
        Variant::new(
            "StoreLayer",
            &request,
            store.layer().layer(service(response.clone())),
        ),
        Variant::new(
            "StoreLayer, request id extension",
            &request,
            store
                .layer()
                .request_id_extension(true)
                .layer(service(response.clone())),
        ),
        Variant::new(
            "TraceLayer",
            &request,
            tower_http::trace::TraceLayer::new_for_http().layer(service(response.clone())),
        ),
        Variant::new("buffer and parse", &request, buffering(service(response))),
    ];

    let quiet = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(std::io::sink)
        .finish();
    let _subscriber = tracing::subscriber::set_default(quiet);

    let mut arguments = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'));
    if let (Some(name), Some(times)) = (arguments.next(), arguments.next()) {
        let times: u32 = times.parse().expect("how many times to run it");
        let variant = variants.iter_mut().find(|variant| variant.name == name);
        let variant = variant.expect("the name of a variant");
        for run in 1..=times {
            (variant.run)();
            if run % REQUESTS == 0 {
                store
                    .flush(Duration::from_secs(60))
                    .expect("the writer keeps up");
            }
        }
        return;
    }

    for _ in 0..ROUNDS {
        for variant in &mut variants {
            variant.round();
            // The writer commits the events of the round while nothing else runs.
            store
                .flush(Duration::from_secs(60))
                .expect("the writer keeps up");
        }
    }

    let bare = variants[0].median();
    println!(
        "{:<38} {:>9} {:>9} {:>18}",
        "1 KiB in, 1 KiB out", "ns", "added ns", "added allocations"
    );
    let allocations_of_bare = variants[0].allocations();
    for variant in &mut variants {
        let median = variant.median();
        let allocations = variant.allocations() - allocations_of_bare;
        println!(
            "{:<38} {median:>9.0} {:>9.0} {allocations:>18.1}",
            variant.name,
            median - bare
        );
    }
    let stats = store
        .shutdown(Duration::from_secs(60))
        .expect("a clean end");
    println!("{stats}");
    assert_eq!(
        stats.dropped + stats.failed,
        0,
        "a loss would flatter the figures"
    );
}

fn sized(head: &str, tail: &str) -> Bytes {
    let words = "the quick brown fox jumps over the lazy dog ";
    let room = 1024 - head.len() - tail.len();
    let text: String = words.chars().cycle().take(room).collect();
    format!("{head}{text}{tail}").into()
}

type Inner = Full<Bytes>;

/// Reads the request and answers.
fn service<B>(
    response: Bytes,
) -> impl Service<Request<B>, Response = Response<Inner>, Error = Infallible, Future: Send> + Clone
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Send + 'static,
{
    service_fn(move |request: Request<B>| {
        let response = response.clone();
        async move {
            let body = request
                .into_body()
                .collect()
                .await
                .expect("a whole body")
                .to_bytes();
            std::hint::black_box(body);
            Ok(Response::builder()
                .header("content-type", "application/json")
                .header("mcp-session-id", SESSION)
                .body(Full::new(response))
                .expect("a valid response"))
        }
    })
}

/// What one writes without this crate: both bodies buffered and parsed.
fn buffering<S>(
    inner: S,
) -> impl Service<Request<Full<Bytes>>, Response = Response<Inner>, Error = Infallible> + Clone
where
    S: Service<Request<Full<Bytes>>, Response = Response<Inner>, Error = Infallible> + Clone,
{
    service_fn(move |request: Request<Full<Bytes>>| {
        let mut inner = inner.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            std::hint::black_box(message["method"].as_str());
            let response = inner
                .call(Request::from_parts(head, Full::new(body)))
                .await?;
            let (head, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            std::hint::black_box(message["id"].as_i64());
            Ok(Response::from_parts(head, Full::new(body)))
        }
    })
}

/// One way to run the same request, and what it took.
struct Variant {
    name: &'static str,
    run: Box<dyn FnMut()>,
    rounds: Vec<f64>,
}

impl Variant {
    fn new<S, R>(name: &'static str, request: &Bytes, mut service: S) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<R>, Error = Infallible> + 'static,
        R: Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let request = request.clone();
        let mut send = move |body: Bytes| {
            let request = Request::post("/mcp")
                .header("content-type", "application/json")
                .header("mcp-session-id", SESSION)
                .header("mcp-protocol-version", "2025-11-25")
                .body(Full::new(body))
                .expect("a valid request");
            let Poll::Ready(Ok(response)) = poll(pin!(service.call(request))) else {
                panic!("the service is ready at once");
            };
            let mut body = pin!(response.into_body());
            while !body.is_end_stream() {
                std::hint::black_box(poll_frame(body.as_mut()));
            }
        };
        // As in life, the session is known to the layer.
        send(INITIALIZE.into());
        let run = move || send(request.clone());
        Self {
            name,
            run: Box::new(run),
            rounds: Vec::new(),
        }
    }

    fn round(&mut self) {
        let (start, start_of_thread) = (Instant::now(), thread_time());
        for _ in 0..REQUESTS {
            (self.run)();
        }
        let took = match (start_of_thread, thread_time()) {
            (Some(start), Some(end)) => end - start,
            _ => start.elapsed(),
        };
        self.rounds
            .push(took.as_nanos() as f64 / f64::from(REQUESTS));
    }

    fn median(&mut self) -> f64 {
        self.rounds.sort_by(f64::total_cmp);
        self.rounds[self.rounds.len() / 2]
    }

    /// Allocations of one request, the mean of many: the first one after a flush also
    /// pays for the queue, which starts empty.
    fn allocations(&mut self) -> f64 {
        let all = || (0..REQUESTS).for_each(|_| (self.run)());
        allocation_counter::measure(all).count_total as f64 / f64::from(REQUESTS)
    }
}

/// Processor time of this thread so far (Linux).
fn thread_time() -> Option<Duration> {
    // The account is brought up to date when the thread may be scheduled away.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = stat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn poll_frame<B: Body>(body: Pin<&mut B>) -> bool {
    matches!(
        body.poll_frame(&mut Context::from_waker(Waker::noop())),
        Poll::Ready(Some(Ok(_)))
    )
}
