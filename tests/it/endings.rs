//! Exactly one row for each request, however it ends.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mcp_store::StoreBody;

use crate::recording::{
    self, Recording, Script, Step, event_stream, json, post, post_with, response,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const LISTEN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

async fn read(request: Request<StoreBody<Script>>) {
    let _ = request.into_body().collect().await;
}

/// Starts a request whose service reads it and never answers, and then drops it.
async fn abandoned(recording: &Recording, body: &str) {
    let (seen, was_seen) = tokio::sync::oneshot::channel();
    let mut seen = Some(seen);
    let mut service = recording.layer().layer(service_fn(move |request| {
        let seen = seen.take();
        async move {
            read(request).await;
            seen.map(|seen| seen.send(()));
            pending::<Result<Response<Script>, Infallible>>().await
        }
    }));
    let call = service.call(post(body));
    tokio::select! {
        _ = call => unreachable!("the service never answers"),
        _ = was_seen => {}
    }
}

#[tokio::test]
async fn caller_that_leaves_before_the_answer_is_gone() {
    let recording = Recording::start();
    abandoned(&recording, PING).await;
    let row = recording.row();
    assert_eq!(row.outcome(), "error client_gone");
    assert_eq!(
        (row.http_status, row.ttfb_us, row.bytes_out),
        (None, None, None)
    );
}

#[tokio::test]
async fn stateless_caller_that_leaves_cancels() {
    let recording = Recording::start();
    abandoned(&recording, MODERN).await;
    assert_eq!(recording.row().outcome(), "error cancelled");
}

#[tokio::test]
async fn caller_that_leaves_in_the_middle_of_the_body_is_gone() {
    let recording = Recording::start();
    let answer = json(Script::new([Step::Data("{".into()), Step::Hang]));
    let service = recording.layer().layer(recording::answering(answer));
    let mut body = service.oneshot(post(PING)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(recording.row().outcome(), "error client_gone");
}

#[tokio::test]
async fn caller_whose_request_and_answer_both_break_is_gone() {
    let text = || Step::Data("bad request".into());
    for (answer, outcome) in [
        (vec![Step::Error], "error client_gone"),
        (vec![text(), Step::Error], "error client_gone"),
        (vec![text(), Step::Hang], "error client_gone"),
        // The text was delivered, so the caller is still connected.
        (vec![text()], "error"),
    ] {
        let recording = Recording::start();
        let answer = response(400, "text/plain", Script::new(answer));
        let service = recording.layer().layer(recording::answering(answer));
        let request = post(Script::new([Step::Data(PING.into()), Step::Error]));
        let body = service.oneshot(request).await.unwrap().into_body();
        // Drops the body at the point where it hangs.
        let _ = tokio::time::timeout(Duration::ZERO, body.collect()).await;
        let row = recording.row();
        assert_eq!(
            (row.outcome().as_str(), row.http_status),
            (outcome, Some(400))
        );
    }
}

#[tokio::test]
async fn body_that_is_never_polled_still_makes_a_row() {
    let recording = Recording::start();
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let service = recording.layer().layer(recording::answering(json(result)));
    drop(service.oneshot(post(PING)).await.unwrap());
    assert_eq!(recording.row().outcome(), "error client_gone");
}

#[tokio::test]
async fn panic_of_the_service_is_recorded_and_passed_on() {
    let recording = Recording::start();
    let service = recording.layer().layer(service_fn(|request| async {
        read(request).await;
        if true {
            panic!("handler");
        }
        Ok::<Response<Script>, Infallible>(json(""))
    }));
    let result = tokio::spawn(service.oneshot(post(PING))).await;
    assert!(result.unwrap_err().is_panic());
    assert_eq!(recording.row().outcome(), "error panic");
}

#[tokio::test]
async fn panic_below_a_layer_that_catches_it_is_recorded() {
    let recording = Recording::start();
    let service = tower::ServiceBuilder::new()
        .layer(tower_http::catch_panic::CatchPanicLayer::custom(|_| {
            response(500, "", "").map(|body| body.map_err(BoxError::from).boxed_unsync())
        }))
        .layer(recording.layer())
        .service(service_fn(|request| async {
            read(request).await;
            if true {
                panic!("handler");
            }
            Ok::<Response<Script>, Infallible>(json(""))
        }));
    let answer = service.oneshot(post(PING)).await.unwrap();
    assert_eq!(answer.status(), 500);
    assert_eq!(recording.row().outcome(), "error panic");
}

#[tokio::test]
async fn panic_of_the_response_body_is_recorded() {
    let recording = Recording::start();
    let answer = event_stream(Script::new([Step::Data(": hi\n\n".into()), Step::Panic]));
    let service = recording.layer().layer(recording::answering(answer));
    let body = service.oneshot(post(PING)).await.unwrap().into_body();
    let result = tokio::spawn(body.collect()).await;
    assert!(result.unwrap_err().is_panic());
    assert_eq!(recording.row().outcome(), "error panic");
}

#[tokio::test]
async fn error_of_the_service_is_recorded_and_passed_on_unchanged() {
    let recording = Recording::start();
    let service = recording.layer().layer(service_fn(|request| async {
        read(request).await;
        Err::<Response<Script>, _>(io::Error::other("upstream is down"))
    }));
    let error = service.oneshot(post(PING)).await.unwrap_err();
    assert_eq!(error.to_string(), "upstream is down");
    let row = recording.row();
    assert_eq!(row.outcome(), "error service_error");
    assert_eq!(row.error_msg.as_deref(), Some("upstream is down"));
}

#[tokio::test(start_paused = true)]
async fn time_out_of_an_inner_layer_is_recorded_as_timeout() {
    let recording = Recording::start();
    let service = tower::ServiceBuilder::new()
        .layer(recording.layer())
        .timeout(Duration::from_secs(1))
        .service(service_fn(|request| async {
            read(request).await;
            pending::<Result<Response<Script>, Infallible>>().await
        }));
    let error: BoxError = service.oneshot(post(PING)).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>());
    assert_eq!(recording.row().outcome(), "timeout service_error");
}

#[tokio::test]
async fn listen_stream_is_ok_whichever_side_ends_it() {
    let acknowledged =
        "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n\n";
    let result =
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"resultType\":\"complete\"}}\n\n";
    for (script, frames) in [
        (vec![Step::Data(acknowledged.into())], 2),
        (vec![Step::Data(acknowledged.into()), Step::Hang], 1),
        (
            vec![Step::Data(acknowledged.into()), Step::Data(result.into())],
            3,
        ),
    ] {
        let recording = Recording::start();
        let answer = event_stream(Script::new(script));
        let service = recording.layer().layer(recording::answering(answer));
        let mut body = service.oneshot(post(LISTEN)).await.unwrap().into_body();
        for _ in 0..frames {
            body.frame().await;
        }
        drop(body);
        assert_eq!(recording.row().outcome(), "ok stream_end");
    }
}

#[tokio::test]
async fn refused_listen_is_an_error() {
    let recording = Recording::start();
    let error =
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"subscriptions/listen"}}"#;
    let answer = response(404, "application/json", error);
    recording::exchange(&recording.layer(), post(LISTEN), answer)
        .await
        .unwrap();
    assert_eq!(recording.row().outcome(), "error -32601");
}

#[tokio::test]
async fn requests_open_at_shutdown_are_recorded() {
    let recording = Recording::start();
    let answer = event_stream(Script::new([Step::Data(": hi\n\n".into()), Step::Hang]));
    let service = recording.layer().layer(recording::answering(answer));
    let mut body = service.oneshot(post(PING)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(recording.store.stats().in_flight, 1);

    let stats = recording.store.shutdown(Duration::from_secs(20)).unwrap();
    drop(body);
    assert_eq!((stats.written, stats.in_flight), (1, 0));
    assert_eq!(
        recording.store.stats().submitted,
        1,
        "dropping the body adds nothing"
    );
}

#[tokio::test]
async fn request_body_that_breaks_off_is_no_request() {
    let recording = Recording::start();
    let broken = Script::new([Step::Data(PING[..30].into()), Step::Error]);
    recording::exchange(&recording.layer(), post(broken), response(400, "", ""))
        .await
        .unwrap();
    assert!(recording.rows().is_empty());
}

#[tokio::test]
async fn every_exchange_leaves_a_row_and_none_stays_open() {
    let recording = Recording::start();
    for _ in 0..50 {
        recording::exchange(&recording.layer(), post(PING), json(""))
            .await
            .unwrap();
        abandoned(&recording, PING).await;
    }
    assert_eq!(recording.rows().len(), 100);
    assert_eq!(recording.store.stats().in_flight, 0);
}

#[tokio::test]
async fn request_carries_the_id_of_its_row_only_if_switched_on() {
    for carries in [false, true] {
        let recording = Recording::start();
        let layer = match carries {
            false => recording.layer(),
            true => recording.layer().request_id_extension(true),
        };
        let handler = |request: Request<StoreBody<Script>>| async {
            let id = request.extensions().get::<tower_mcp_store::RequestId>();
            let id = id.map(ToString::to_string).unwrap_or_default();
            read(request).await;
            Ok::<_, Infallible>(response(500, "text/plain", id))
        };
        let answer = layer
            .layer(service_fn(handler))
            .oneshot(post_with(&[], PING))
            .await;
        answer.unwrap().into_body().collect().await.unwrap();
        let row = recording.row();
        let has_id = row.error_msg.as_ref() == Some(&row.request_id);
        assert_eq!(has_id, carries);
    }
}

#[tokio::test]
async fn row_is_complete_without_a_last_poll_if_the_length_is_known() {
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    for (answer, frames, outcome) in [
        (json(result), 1, "ok"),
        (
            response(202, "", Script::default().sized()),
            0,
            "error no_response",
        ),
    ] {
        let recording = Recording::start();
        let service = recording.layer().layer(recording::answering(answer));
        let mut body = service.oneshot(post(PING)).await.unwrap().into_body();
        for _ in 0..frames {
            body.frame().await.unwrap().unwrap();
        }
        assert_eq!(recording.row().outcome(), outcome, "while the body is held");
        drop(body);
        assert_eq!(recording.rows().len(), 1);
    }
}

/// A body in a coding that the layer does not decode.
const OPAQUE: &[u8] = b"\x01not decoded";

/// Returns an answer whose length only its head declares, as a reverse proxy streams it.
fn streamed(status: u16, media: &str, body: &[u8], encoding: Option<&str>) -> Response<Script> {
    let mut answer = response(status, media, Script::chunks(body.chunks(7)));
    let headers = answer.headers_mut();
    headers.insert("content-length", body.len().into());
    if let Some(encoding) = encoding {
        headers.insert("content-encoding", encoding.parse().unwrap());
    }
    answer
}

#[tokio::test]
async fn answer_with_a_content_length_is_complete_with_its_last_byte() {
    const RESULT: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    const STREAM: &[u8] = b"data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n";
    const JSON: &str = "application/json";
    for (answer, outcome, bytes_out) in [
        (streamed(200, JSON, RESULT, None), "ok", Some(RESULT.len())),
        (
            streamed(200, JSON, OPAQUE, Some("x-unknown")),
            "ok opaque",
            Some(OPAQUE.len()),
        ),
        (
            streamed(500, JSON, OPAQUE, Some("x-unknown")),
            "error opaque",
            Some(OPAQUE.len()),
        ),
        (streamed(200, JSON, b"{}", None), "error no_response", None),
        (
            streamed(200, "text/event-stream", STREAM, None),
            "error no_response",
            None,
        ),
        (streamed(202, "", b"", None), "error no_response", None),
        (
            response(204, "", Script::chunks([b"never sent"])),
            "error no_response",
            None,
        ),
    ] {
        let recording = Recording::start();
        let length = answer.headers().get("content-length");
        let length = length.map_or(0, |length| length.to_str().unwrap().parse().unwrap());
        let service = recording.layer().layer(recording::answering(answer));
        let mut body = service.oneshot(post(PING)).await.unwrap().into_body();
        let mut passed = 0;
        while passed < length {
            let frame = body.frame().await.unwrap().unwrap();
            passed += frame.into_data().unwrap().len();
        }
        drop(body);
        let row = recording.row();
        assert_eq!(row.outcome(), outcome);
        assert_eq!(row.bytes_out, bytes_out.map(|len| len as i64), "{outcome}");
    }
}

#[tokio::test]
async fn answer_that_lacks_a_byte_of_its_length_is_client_gone() {
    let recording = Recording::start();
    let answer = streamed(200, "application/json", OPAQUE, Some("x-unknown"));
    let service = recording.layer().layer(recording::answering(answer));
    let mut body = service.oneshot(post(PING)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(recording.row().outcome(), "error client_gone");
}

#[tokio::test]
async fn http_server_that_knows_the_length_records_no_client_gone() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let recording = Recording::start();
    let app = axum::Router::new()
        .fallback(|request: axum::extract::Request| async {
            let _ = request.into_body().collect().await;
            streamed(200, "application/json", OPAQUE, Some("x-unknown")).map(axum::body::Body::new)
        })
        .layer(recording.layer());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{PING}",
        PING.len()
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert!(answer.ends_with(OPAQUE));
    assert_eq!(recording.first_row().await.outcome(), "ok opaque");
    server.abort();
}

/// An error of the service whose `Display` panics.
#[derive(Debug)]
struct PanicsInDisplay;

impl std::fmt::Display for PanicsInDisplay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("as far as ")?;
        // Does not print the panic.
        std::panic::resume_unwind(Box::new("no further"))
    }
}

#[tokio::test]
async fn panic_in_the_text_of_an_error_does_not_reach_the_caller() {
    let recording = Recording::start();
    let service = recording.layer().layer(service_fn(|request| async {
        read(request).await;
        Err::<Response<Script>, _>(PanicsInDisplay)
    }));
    let result = tokio::spawn(service.oneshot(post(PING))).await;
    result.expect("no panic").expect_err("the service's error");
    let row = recording.row();
    assert_eq!(row.outcome(), "error service_error");
    assert_eq!(row.error_msg.as_deref(), Some("as far as "));
}
