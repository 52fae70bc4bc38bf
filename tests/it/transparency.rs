//! Client and server see the same with and without the layer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use proptest::prelude::*;
use tower::{Layer, Service, service_fn};
use tower_mcp_store::{StoreBody, StoreLayer};

use crate::recording::{self, Broken, Recording, Script, Step};

/// All that a consumer can see of a body, in order.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Before {
        ended: bool,
        lower: u64,
        upper: Option<u64>,
    },
    Data(Bytes),
    Trailers(HeaderMap),
    Pending,
    Error(Broken),
    End,
}

/// Polls a body at most `polls` times. Returns everything that it shows.
fn consume<B: Body<Data = Bytes, Error = Broken>>(body: B, polls: usize) -> Vec<Seen> {
    let mut body = pin!(body);
    let mut seen = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        let hint = body.size_hint();
        seen.push(Seen::Before {
            ended: body.is_end_stream(),
            lower: hint.lower(),
            upper: hint.upper(),
        });
        let polled = body.as_mut().poll_frame(&mut context);
        seen.push(match polled {
            Poll::Pending => Seen::Pending,
            Poll::Ready(None) => Seen::End,
            Poll::Ready(Some(Err(error))) => Seen::Error(error),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Seen::Data(data),
                Err(frame) => frame.into_trailers().map_or(Seen::End, Seen::Trailers),
            },
        });
        if matches!(seen.last(), Some(Seen::End | Seen::Error(_))) {
            break;
        }
    }
    seen
}

/// Returns what the server sees of the request and the client of the response.
fn both_sides<S, Q, R>(
    wrap: impl FnOnce(RecordingService<Q>) -> S,
    request: Request<Script>,
    response: Response<Script>,
    polls: (usize, usize),
) -> (Vec<Seen>, http::response::Parts, Vec<Seen>)
where
    S: Service<Request<Script>, Response = Response<R>, Error = Infallible>,
    Q: Body<Data = Bytes, Error = Broken> + 'static,
    R: Body<Data = Bytes, Error = Broken>,
{
    let server_side = Arc::new(Mutex::new(Vec::new()));
    let seen = server_side.clone();
    let inner: RecordingService<Q> = Box::new(move |request: Request<Q>| {
        *seen.lock().unwrap() = consume(request.into_body(), polls.0);
        std::future::ready(Ok(response.clone()))
    });
    let mut service = wrap(inner);
    let future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = poll_once(future) else {
        panic!("the service is ready at once");
    };
    let (head, body) = response.into_parts();
    let client_side = consume(body, polls.1);
    let server_side = std::mem::take(&mut *server_side.lock().unwrap());
    (server_side, head, client_side)
}

type RecordingService<Q> =
    Box<dyn Fn(Request<Q>) -> std::future::Ready<Result<Response<Script>, Infallible>>>;

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop_oneof![
        Just(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#.to_owned()),
        Just(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned()),
        Just("data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\r\n\r\n".to_owned()),
        "[\\[\\]{}\",:a0\\\\ \r\n-]{0,40}",
    ];
    prop_oneof![
        8 => text.prop_map(|text| Step::Data(text.into())),
        3 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Step::Data(bytes.into())),
        2 => Just(Step::Pending),
        1 => Just(Step::Error),
        1 => Just({
            let mut trailers = HeaderMap::new();
            trailers.insert("x-trailer", "1".parse().unwrap());
            Step::Trailers(trailers)
        }),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    (prop::collection::vec(step(), 0..8), any::<bool>()).prop_map(|(steps, sized)| {
        let script = Script::new(steps);
        if sized { script.sized() } else { script }
    })
}

fn response() -> impl Strategy<Value = Response<Script>> {
    let media = prop_oneof![
        Just(Some("application/json")),
        Just(Some("text/event-stream; charset=utf-8")),
        Just(Some("text/plain")),
        Just(None),
    ];
    let status = prop_oneof![Just(200_u16), Just(202), Just(307), Just(404), Just(500)];
    (script(), media, status, any::<bool>()).prop_map(|(body, media, status, gzip)| {
        let mut response = Response::builder()
            .status(status)
            .header("mcp-session-id", "s");
        if let Some(media) = media {
            response = response.header("content-type", media);
        }
        if gzip {
            response = response.header("content-encoding", "gzip");
        }
        response.body(body).unwrap()
    })
}

fn request() -> impl Strategy<Value = Request<Script>> {
    let method = prop_oneof![4 => Just("POST"), 1 => Just("GET"), 1 => Just("DELETE")];
    (script(), method, any::<bool>()).prop_map(|(body, method, modern)| {
        let mut request = Request::builder().method(method).uri("/mcp");
        if modern {
            request = request
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", "tools/call");
        }
        request.body(body).unwrap()
    })
}

fn recording() -> &'static Recording {
    static RECORDING: std::sync::OnceLock<Recording> = std::sync::OnceLock::new();
    RECORDING.get_or_init(Recording::start)
}

fn layered(
    layer: StoreLayer,
) -> impl FnOnce(
    RecordingService<StoreBody<Script>>,
) -> tower_mcp_store::StoreService<
    tower::util::ServiceFn<RecordingService<StoreBody<Script>>>,
> {
    move |inner| layer.layer(service_fn(inner))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn frames_hints_ends_and_errors_are_the_same_with_and_without_the_layer(
        request in request(),
        response in response(),
        polls in (0_usize..12, 0_usize..12),
    ) {
        let bare = both_sides(
            service_fn::<RecordingService<Script>>,
            request.clone(), response.clone(), polls,
        );
        let with = both_sides(layered(recording().layer()), request, response, polls);
        prop_assert_eq!(&bare.0, &with.0, "the server's side");
        prop_assert_eq!(bare.1.status, with.1.status);
        prop_assert_eq!(&bare.1.headers, &with.1.headers);
        prop_assert_eq!(&bare.2, &with.2, "the client's side");
        prop_assert_eq!(recording().store.stats().in_flight, 0);
    }

}

proptest! {
    // Few cases, because each opens two stores.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunking_changes_no_column_except_the_times(
        text in prop_oneof![Just(CALL), Just(BATCH)],
        answer in prop_oneof![
            Just(("application/json", JSON_ANSWER)),
            Just(("text/event-stream", SSE_ANSWER)),
            Just(("text/event-stream", CR_ANSWER)),
        ],
        cuts in (prop::collection::vec(any::<prop::sample::Index>(), 0..6), prop::collection::vec(any::<prop::sample::Index>(), 0..6)),
    ) {
        let rows = |request: Script, response: Script| {
            let recording = Recording::start();
            let mut head = Response::builder().header("content-type", answer.0);
            head = head.header("mcp-session-id", "s");
            let request = Request::post("/mcp").body(request).unwrap();
            both_sides(layered(recording.layer()), request, head.body(response).unwrap(), (64, 64));
            let mut rows = recording.rows();
            for row in &mut rows {
                row.latency_us = 0;
                row.ttfb_us = None;
                row.request_id.clear();
            }
            rows
        };
        let whole = rows(Script::chunks([text]), Script::chunks([answer.1]));
        prop_assert!(!whole.is_empty());
        prop_assert_eq!(whole, rows(cut(text, &cuts.0), cut(answer.1, &cuts.1)));
    }
}

const CALL: &str = r#"{"jsonrpc":"2.0","id":"a\u0062","method":"tools/call","params":{"arguments":{"name":"decoy"},"name":"m\u00e9téo"}}"#;
const BATCH: &str = r#" [ {"jsonrpc":"2.0","id":1,"method":"tools/list"} ,{"jsonrpc":"2.0","id":"ab","method":"prompts/get","params":{"name":"p"}}]"#;
const JSON_ANSWER: &str = r#"[{"jsonrpc":"2.0","id":"ab","result":{"isError":true}},{"jsonrpc":"2.0","id":1.0,"error":{"code":-32000,"message":"é"}}]"#;
const SSE_ANSWER: &str = "\u{feff}data: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":\"ab\",\"result\":{}}\r\n\r\n: ping\r\n\r\nevent: message\r\ndata:{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"task\"}}\r\n\r\n";
const CR_ANSWER: &str = "data: {\"jsonrpc\":\"2.0\",\rdata: \"id\":\"ab\",\"result\":{}}\r\r";

fn cut(text: &str, at: &[prop::sample::Index]) -> Script {
    let mut at: Vec<_> = at.iter().map(|index| index.index(text.len())).collect();
    at.sort_unstable();
    let mut rest = text.as_bytes();
    let mut done = 0;
    let mut chunks = Vec::new();
    for at in at {
        let (head, tail) = rest.split_at(at - done);
        chunks.push(head);
        (rest, done) = (tail, at);
    }
    chunks.push(rest);
    Script::chunks(chunks)
}

#[test]
fn service_future_and_body_are_send_and_sync_if_the_inner_types_are() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    let recording = Recording::start();
    let layer = recording.layer();
    send(&layer);
    sync(&layer);
    let mut service = layer.layer(recording::answering(recording::json("")));
    send(&service);
    sync(&service.clone());
    let future = service.call(recording::post(""));
    send(&future);
    fn body<T: Send + Sync>() {}
    body::<StoreBody<Script>>();
    let _: Frame<Bytes> = Frame::data(Bytes::new());
}
