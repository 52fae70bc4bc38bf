//! The allocations of the layer for one request.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Service, service_fn};

use super::Recording;
use crate::capture::session::ClientInfo;
use crate::capture::{StoreBody, StoreService};

const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;

fn read(body: impl Body<Data = Bytes>) {
    let mut body = pin!(body);
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut cx) {}
}

type Answer = Ready<Result<Response<Full<Bytes>>, Infallible>>;

/// Reads the request and answers it.
fn answer<B: Body<Data = Bytes>>(request: Request<B>) -> Answer {
    read(request.into_body());
    let result = Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    let response = Response::builder().header("content-type", "application/json");
    ready(Ok(response.body(Full::new(result)).unwrap()))
}

/// Returns how many allocations one call of a service takes.
fn allocations<B: Body<Data = Bytes>>(
    service: &mut impl Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
) -> u64 {
    let request = Request::post("/mcp").header("mcp-session-id", "s-1");
    let request = request.body(Full::new(Bytes::from_static(CALL))).unwrap();
    let spent = allocation_counter::measure(|| {
        let answer = pin!(service.call(request));
        let Poll::Ready(Ok(answer)) = answer.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the service is ready at once");
        };
        read(answer.into_body());
    });
    spent.count_total
}

#[test]
fn call_of_a_known_session_costs_three_allocations() {
    let recording = Recording::start();
    let client = ClientInfo {
        name: Some("inspector".into()),
        version: None,
        cut: 0,
    };
    recording.recorder.sessions.found("s-1", None, client);
    let recorded = service_fn(answer::<StoreBody<Full<Bytes>>>);
    let mut recorded = StoreService::new(recorded, recording.recorder.clone());
    // Tables and the queue grow with the first calls, and occasionally later.
    let recorded = (0..100).map(|_| allocations(&mut recorded)).min();
    let bare = allocations(&mut service_fn(answer::<Full<Bytes>>));
    // The exchange, the tool name, and the scanner that reads both bodies.
    assert_eq!(recorded, Some(bare + 3));
}
