//! What the layer adds to a listing of tools on its way to the client, in front
//! of a service that does nothing else: `cargo bench --bench listing`.
//!
//! Answers come in frames of 64 KiB. "new" is a content that no caller has seen,
//! which is copied and queued. "seen" is the same content as the last one, which
//! is copied and compared. "too long" is a content above the limit. It prints the
//! medians of several rounds.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use tower::{Layer, Service, service_fn};
use tower_mcp_store::{Store, StoreBody, StoreLayer};

const ROUNDS: usize = 15;
const FRAME: usize = 64 << 10;
const REQUEST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;

type Frames = Vec<Bytes>;

fn main() {
    println!("{:>8} {:>10} {:>12} {:>12}", "tools", "MiB", "", "added us");
    for (tools, rounds) in [(25, 40 * ROUNDS), (1_000, ROUNDS), (10_000, ROUNDS)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(dir.path().join("mcp.db")).expect("a fresh store");
        let layer = store.layer().max_listing_bytes(32 << 20);
        let answers: Vec<Frames> = (0..2).map(|version| answer(tools, version)).collect();
        let size: usize = answers[0].iter().map(Bytes::len).sum();
        let settle = || {
            store
                .flush(Duration::from_secs(60))
                .expect("the writer keeps up")
        };
        let bare = median(rounds, |_| pass_bare(&answers[0]));
        for (name, layer, changes) in [
            ("new", &layer, true),
            ("seen", &layer, false),
            ("too long", &store.layer().max_listing_bytes(1024), false),
        ] {
            let took = median(rounds, |round| {
                let took = pass(layer, &answers[if changes { round % 2 } else { 0 }]);
                settle();
                took
            });
            println!(
                "{tools:>8} {:>10.2} {name:>12} {:>12.1}",
                size as f64 / f64::from(1 << 20),
                (took.as_secs_f64() - bare.as_secs_f64()) * 1e6
            );
        }
        let stats = store
            .shutdown(Duration::from_secs(60))
            .expect("a clean end");
        assert_eq!(
            (stats.failed, stats.dropped, stats.listings_malformed),
            (0, 0, 0)
        );
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status")
        && let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM"))
    {
        println!("{peak} at most, the answers themselves included");
    }
}

/// A listing of this many tools of 2 KiB, in frames.
fn answer(tools: usize, version: usize) -> Frames {
    let words = "the quick brown fox jumps over the lazy dog ".repeat(40);
    let tools: Vec<String> = (0..tools)
        .map(|tool| {
            format!(
                r#"{{"name":"tool_{tool}","description":"{version} {words}","inputSchema":{{"type":"object","properties":{{"query":{{"type":"string","description":"What to look for"}},"limit":{{"type":"integer","minimum":1,"maximum":100}}}},"required":["query"]}}}}"#
            )
        })
        .collect();
    let tools = tools.join(",");
    let body = Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{tools}]}}}}"#
    ));
    (0..body.len())
        .step_by(FRAME)
        .map(|start| body.slice(start..body.len().min(start + FRAME)))
        .collect()
}

fn median(rounds: usize, mut round: impl FnMut(usize) -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..rounds).map(&mut round).collect();
    times.sort_unstable();
    times[rounds / 2]
}

fn body(frames: &Frames) -> impl http_body::Body<Data = Bytes, Error = std::io::Error> + use<> {
    let frames = frames.clone().into_iter();
    StreamBody::new(tokio_stream::iter(
        frames.map(|frame| Ok(http_body::Frame::data(frame))),
    ))
}

/// The time that an answer takes to pass by itself.
fn pass_bare(frames: &Frames) -> Duration {
    timed(async { drain(body(frames)).await })
}

/// The time that it takes through the layer.
fn pass(layer: &StoreLayer, frames: &Frames) -> Duration {
    let mut service = layer.layer(service_fn(
        |request: Request<StoreBody<Full<Bytes>>>| async {
            drain(request.into_body()).await;
            let response = Response::builder().header("content-type", "application/json");
            Ok::<_, std::convert::Infallible>(response.body(body(frames)).expect("a response"))
        },
    ));
    let request = Request::post("/mcp")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(REQUEST.as_bytes())))
        .expect("a request");
    timed(async {
        let response = service.call(request).await.expect("infallible");
        drain(response.into_body()).await;
    })
}

async fn drain<B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>>(body: B) {
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        std::hint::black_box(frame.expect("a frame"));
    }
}

/// Runs what never has to wait; the stream of frames only lets others run now
/// and then.
fn timed(future: impl Future<Output = ()>) -> Duration {
    let mut context = Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    let start = Instant::now();
    while future.as_mut().poll(&mut context).is_pending() {}
    start.elapsed()
}
