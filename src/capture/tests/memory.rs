//! The memory of calls whose clients left, by the allocator's count.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::Service;

use super::Recording;
use crate::capture::StoreService;

const CALLS: usize = 400;
/// Size of headers that the layer does not read, in bytes.
const JUNK: usize = 20_000;

/// A body that yields these chunks and never ends.
struct Endless(VecDeque<Bytes>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Poll::Pending,
        }
    }
}

fn poll_frame(body: impl Body<Data = Bytes>) -> bool {
    let mut body = pin!(body);
    let mut came = false;
    while body
        .as_mut()
        .poll_frame(&mut Context::from_waker(Waker::noop()))
        .is_ready()
    {
        came = true;
    }
    came
}

/// A head and a body in one buffer, as an HTTP server reads them.
struct Read {
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Read {
    fn headers(&self, to: &mut http::HeaderMap, buffer: &Bytes) {
        let mut at = 0;
        for (name, value) in &self.headers {
            let value = buffer.slice(at..at + value.len());
            at += value.len();
            let value = HeaderValue::from_maybe_shared(value).unwrap();
            to.insert(HeaderName::from_static(name), value);
        }
    }

    fn buffer(&self) -> Bytes {
        let values = self.headers.iter().map(|(_, value)| value.as_str());
        let all: String = values.chain([self.body.as_str()]).collect();
        Bytes::from(all)
    }

    fn body(&self, buffer: &Bytes) -> Endless {
        let body = buffer.slice(buffer.len() - self.body.len()..);
        Endless([body].into())
    }

    fn request(&self) -> Request<Endless> {
        let buffer = self.buffer();
        let mut request = Request::post("/mcp").body(self.body(&buffer)).unwrap();
        self.headers(request.headers_mut(), &buffer);
        request
    }

    fn response(&self) -> Response<Endless> {
        let buffer = self.buffer();
        let mut response = Response::new(self.body(&buffer));
        self.headers(response.headers_mut(), &buffer);
        response
    }
}

/// Sends a call, reads the first event of its answer, and drops the response.
fn abandon(recording: &Recording, request: &Read, response: &Read) {
    let service = tower::service_fn(|request: Request<_>| {
        assert!(poll_frame(request.into_body()));
        std::future::ready(Ok::<_, Infallible>(response.response()))
    });
    let mut service = StoreService::new(service, recording.recorder.clone());
    let answer = pin!(service.call(request.request()));
    let Poll::Ready(Ok(answer)) = answer.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the service is ready at once");
    };
    assert!(poll_frame(answer.into_body()));
}

fn call(id: usize, headers: Vec<(&'static str, String)>, params: &str) -> Read {
    let junk = ("x-junk", "j".repeat(JUNK));
    Read {
        headers: [junk].into_iter().chain(headers).collect(),
        body: format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{params}}}}}"#
        ),
    }
}

/// Abandons calls, and compares the memory they hold with the counted bytes.
#[track_caller]
fn check(each: impl Fn(usize) -> Read, events: &str) {
    let recording = Recording::start();
    let response = Read {
        headers: vec![
            ("content-type", "text/event-stream".to_owned()),
            ("x-junk", "j".repeat(JUNK)),
        ],
        body: format!("id: 1\ndata:\n\n{events}"),
    };
    let taken = allocation_counter::measure(|| {
        for id in 0..CALLS {
            abandon(&recording, &each(id), &response);
        }
    });
    let (detached, counted) = recording.recorder.open.detached();
    assert_eq!(detached, CALLS);
    let (held, counted) = (taken.bytes_current, counted as i64);
    assert!(
        held <= counted && counted < 4 * held,
        "{held} bytes are held, {counted} are counted"
    );
}

fn session(id: &str) -> (&'static str, String) {
    ("mcp-session-id", id.to_owned())
}

fn pings(member: &str) -> String {
    let messages = (0..200).map(|id| format!(r#"{{"jsonrpc":"2.0","id":"{id}",{member}}}"#));
    messages.collect::<Vec<_>>().join(",")
}

#[test]
fn abandoned_calls_keep_no_headers_and_their_memory_is_counted() {
    check(|id| call(id, vec![session("s-1")], r#""name":"echo""#), "");
}

#[test]
fn mirror_headers_of_abandoned_calls_are_bounded_copies() {
    check(
        |id| {
            let headers = vec![
                session("s-1"),
                ("mcp-method", "tools/call".to_owned()),
                ("mcp-name", "n".repeat(50_000)),
            ];
            call(id, headers, r#""name":"echo""#)
        },
        "",
    );
}

#[test]
fn all_memory_of_a_call_is_counted() {
    let long = "é".repeat(10_000);
    check(
        |id| {
            let headers = vec![
                session(&format!("{id}{}", "s".repeat(10_000))),
                ("mcp-protocol-version", "v".repeat(10_000)),
            ];
            call(
                id,
                headers,
                &format!(
                    r#""name":"{long}","uri":"{long}","reason":"{long}","taskId":"{long}","_meta":{{"traceparent":"{long}"}}"#
                ),
            )
        },
        "",
    );
}

#[test]
fn answered_calls_of_an_abandoned_batch_are_not_kept() {
    check(
        |id| {
            let mut read = call(id, vec![session("s-1")], r#""name":"echo""#);
            read.body = format!("[{},{}]", pings("\"method\":\"ping\""), read.body);
            read
        },
        &format!("data: [{}]\n\n", pings("\"result\":{}")),
    );
}
