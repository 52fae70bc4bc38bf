//! Exactly one row for each request, whatever ends it.

mod recording;

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use recording::{Recording, Script, Step, event_stream, json, post, post_with, response};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_mcp_store::StoreBody;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const LISTEN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
const MODERN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;

async fn read(request: Request<StoreBody<Script>>) {
    let _ = request.into_body().collect().await;
}

/// Starts a request whose service reads it and then never answers, and drops it.
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
async fn a_caller_that_leaves_before_the_answer_is_gone() {
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
async fn a_stateless_caller_that_leaves_has_cancelled() {
    let recording = Recording::start();
    abandoned(&recording, MODERN).await;
    assert_eq!(recording.row().outcome(), "error cancelled");
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_of_the_body_is_gone() {
    let recording = Recording::start();
    let answer = json(Script::new([Step::Data("{".into()), Step::Hang]));
    let service = recording.layer().layer(recording::answering(answer));
    let mut body = service.oneshot(post(PING)).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    assert_eq!(recording.row().outcome(), "error client_gone");
}

#[tokio::test]
async fn a_body_that_is_never_polled_still_makes_a_row() {
    let recording = Recording::start();
    let result = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let service = recording.layer().layer(recording::answering(json(result)));
    drop(service.oneshot(post(PING)).await.unwrap());
    assert_eq!(recording.row().outcome(), "error client_gone");
}

#[tokio::test]
async fn a_panic_of_the_service_is_told_and_passes_on() {
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
async fn a_panic_is_told_under_a_layer_that_catches_it() {
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
async fn a_panic_of_the_response_body_is_told() {
    let recording = Recording::start();
    let answer = event_stream(Script::new([Step::Data(": hi\n\n".into()), Step::Panic]));
    let service = recording.layer().layer(recording::answering(answer));
    let body = service.oneshot(post(PING)).await.unwrap().into_body();
    let result = tokio::spawn(body.collect()).await;
    assert!(result.unwrap_err().is_panic());
    assert_eq!(recording.row().outcome(), "error panic");
}

#[tokio::test]
async fn an_error_of_the_service_is_told_and_passed_on_unchanged() {
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
async fn a_time_out_layer_inside_is_a_time_out() {
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
async fn a_listen_stream_ends_well_whoever_ends_it() {
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
async fn a_listen_that_is_refused_is_an_error() {
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
async fn what_is_open_at_shutdown_is_told() {
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
async fn a_request_body_that_breaks_off_is_no_request() {
    let recording = Recording::start();
    let broken = Script::new([Step::Data(PING[..30].into()), Step::Error]);
    recording::exchange(&recording.layer(), post(broken), response(400, "", ""))
        .await
        .unwrap();
    assert!(recording.rows().is_empty());
}

#[tokio::test]
async fn no_exchange_is_forgotten() {
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
async fn the_handler_sees_the_id_that_the_row_gets() {
    let recording = Recording::start();
    let service =
        recording
            .layer()
            .layer(service_fn(|request: Request<StoreBody<Script>>| async {
                let id = request
                    .extensions()
                    .get::<tower_mcp_store::RequestId>()
                    .unwrap()
                    .to_string();
                read(request).await;
                Ok::<_, Infallible>(response(500, "text/plain", id))
            }));
    service
        .oneshot(post_with(&[], PING))
        .await
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap();
    let row = recording.row();
    assert_eq!(row.error_msg.as_ref(), Some(&row.request_id));
}

#[tokio::test]
async fn a_consumer_that_knows_the_length_need_not_poll_again_for_the_row() {
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
