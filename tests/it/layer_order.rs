//! The position of the layer among other layers, and what its rows say there.
//!
//! On a `Router` each `layer` wraps those before it. In a `ServiceBuilder` it is inside of them.

use std::fmt::Debug;
use std::future::pending;
use std::time::Duration;

use axum::Router;
use axum::error_handling::HandleErrorLayer;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::post as on_post;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{EncodeV2, GzipEncoder};
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap,
};
use http::{Method, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tower_http::validate_request::ValidateRequestHeaderLayer;
use tower_mcp_store::Principal;

use crate::recording::{Recording, Row, Script, post, post_with};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"isError":true}}"#;
const SECOND: Duration = Duration::from_secs(1);
/// The headers of a client of 2026-07-28.
const MIRROR: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "echo"),
];

/// A server that answers on `/mcp`, never answers on `/never`, and panics on `/panic`.
fn server() -> Router {
    let answer = |_: String| async { ([(CONTENT_TYPE, "application/json")], RESULT) };
    Router::new()
        .route("/mcp", on_post(answer))
        .route("/never", on_post(|_: String| pending::<()>()))
        .route("/panic", on_post(panics))
}

async fn panics(_: String) {
    panic!("the handler panics");
}

fn to(path: &'static str, mut request: http::Request<Script>) -> http::Request<Script> {
    *request.uri_mut() = http::Uri::from_static(path);
    request
}

/// Sends a request, reads the answer to its end, and returns what the client sees.
async fn send<S, B>(app: S, request: http::Request<Script>) -> (StatusCode, HeaderMap)
where
    S: Service<http::Request<Script>, Response = http::Response<B>, Error: Debug>,
    B: Body<Error: Debug>,
{
    let (head, body) = app.oneshot(request).await.unwrap().into_parts();
    body.collect().await.unwrap();
    (head.status, head.headers)
}

/// Returns the row, without the columns that differ between exchanges.
fn comparable_row(recording: &Recording) -> Row {
    Row {
        request_id: String::new(),
        latency_us: 0,
        ttfb_us: None,
        ..recording.row()
    }
}

async fn plain_row(request: http::Request<Script>) -> Row {
    let recording = Recording::start();
    send(server().layer(recording.layer()), request).await;
    comparable_row(&recording)
}

fn unidentified(recording: &Recording) -> u64 {
    assert!(recording.rows().is_empty());
    recording.store.stats().unidentified
}

// ===== time-outs =====

#[tokio::test(start_paused = true)]
async fn inner_time_out_layer_that_answers_is_recorded_as_timeout() {
    for status in [StatusCode::REQUEST_TIMEOUT, StatusCode::GATEWAY_TIMEOUT] {
        let recording = Recording::start();
        let app = server()
            .layer(TimeoutLayer::with_status_code(status, SECOND))
            .layer(recording.layer());
        assert_eq!(send(app, to("/never", post(CALL))).await.0, status);
        let row = recording.row();
        assert_eq!(row.outcome(), "timeout");
        assert_eq!(row.http_status, Some(status.as_u16()));
    }
}

#[tokio::test(start_paused = true)]
async fn inner_time_out_layer_that_fails_is_recorded_as_timeout() {
    let recording = Recording::start();
    let app = server().layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(|_: BoxError| async {
                StatusCode::GATEWAY_TIMEOUT
            }))
            .layer(recording.layer())
            .layer(tower::timeout::TimeoutLayer::new(SECOND)),
    );
    send(app, to("/never", post(CALL))).await;
    assert_eq!(recording.row().outcome(), "timeout service_error");
}

#[tokio::test(start_paused = true)]
async fn outer_time_out_layer_is_recorded_as_client_gone() {
    let status = StatusCode::REQUEST_TIMEOUT;
    let recording = Recording::start();
    let app = server()
        .layer(recording.layer())
        .layer(TimeoutLayer::with_status_code(status, SECOND));
    let requests = [post(CALL), post_with(&MIRROR, CALL)];
    for request in requests {
        assert_eq!(send(app.clone(), to("/never", request)).await.0, status);
    }
    let rows = recording.rows();
    assert_eq!(
        rows.iter().map(Row::outcome).collect::<Vec<_>>(),
        ["error client_gone", "error cancelled"]
    );

    let recording = Recording::start();
    let app = ServiceBuilder::new()
        .timeout(SECOND)
        .layer(recording.layer())
        .service(server());
    app.oneshot(to("/never", post(CALL))).await.unwrap_err();
    assert_eq!(recording.row().outcome(), "error client_gone");
}

// ===== compression =====

#[tokio::test]
async fn layer_inside_compression_sees_plain_answers() {
    let request = || post_with(&[("accept-encoding", "gzip")], CALL);
    let recording = Recording::start();
    let app = server()
        .layer(recording.layer())
        .layer(CompressionLayer::new());
    let (_, headers) = send(app, request()).await;
    assert_eq!(headers[CONTENT_ENCODING], "gzip");
    assert_eq!(comparable_row(&recording), plain_row(request()).await);
}

#[tokio::test]
async fn layer_outside_compression_sees_opaque_answers_unless_it_decodes() {
    let recording = Recording::start();
    let app = server()
        .layer(CompressionLayer::new())
        .layer(recording.layer());
    send(app, post_with(&[("accept-encoding", "gzip")], CALL)).await;
    let outcome = match cfg!(feature = "decompression") {
        true => "ok tool_error",
        false => "ok opaque",
    };
    assert_eq!(recording.row().outcome(), outcome);
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzipEncoder::new(Level::Default.into());
    let mut bytes = vec![0; 1024];
    let mut output = WriteBuffer::new_initialized(&mut bytes);
    let mut input = PartialBuffer::new(text.as_bytes());
    encoder.encode(&mut input, &mut output).unwrap();
    assert!(encoder.finish(&mut output).unwrap());
    output.written().to_vec()
}

#[tokio::test]
async fn layer_inside_request_decompression_sees_plain_requests() {
    let request = || post_with(&[("content-encoding", "gzip")], gzip(CALL));
    let recording = Recording::start();
    let app = ServiceBuilder::new()
        .layer(RequestDecompressionLayer::new())
        .layer(recording.layer())
        .service(server());
    send(app, request()).await;
    assert_eq!(comparable_row(&recording), plain_row(post(CALL)).await);

    let recording = Recording::start();
    let app = ServiceBuilder::new()
        .layer(recording.layer())
        .layer(RequestDecompressionLayer::new())
        .service(server());
    send(app, request()).await;
    let rows = usize::from(cfg!(feature = "decompression"));
    assert_eq!(recording.rows().len(), rows);
}

// ===== authentication =====

/// Passes requests that name their user.
async fn authenticate(mut request: Request, next: Next) -> Response {
    let name = request.headers().get(AUTHORIZATION);
    let Some(name) = name.and_then(|name| name.to_str().ok()) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let principal = Principal::new(name);
    request.extensions_mut().insert(principal);
    next.run(request).await
}

#[tokio::test]
async fn layer_inside_authentication_knows_the_principal_and_sees_no_refusals() {
    let recording = Recording::start();
    let app = server()
        .layer(recording.layer())
        .layer(from_fn(authenticate));
    let (status, _) = send(app.clone(), post_with(&MIRROR, CALL)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(unidentified(&recording), 0);
    send(app, post_with(&[("authorization", "alice")], CALL)).await;
    assert_eq!(recording.row().principal.as_deref(), Some("alice"));
}

#[tokio::test]
async fn layer_outside_authentication_sees_refusals_without_a_principal() {
    let recording = Recording::start();
    let app = server()
        .layer(from_fn(authenticate))
        .layer(recording.layer());
    send(app.clone(), post(CALL)).await;
    assert_eq!(unidentified(&recording), 1);
    send(app.clone(), post_with(&MIRROR, CALL)).await;
    send(app, post_with(&[("authorization", "alice")], CALL)).await;
    let rows = recording.rows();
    let facts = |row: &Row| (row.http_status, row.tool.clone(), row.principal.clone());
    let echo = || Some("echo".to_owned());
    assert_eq!(
        rows.iter().map(facts).collect::<Vec<_>>(),
        [(Some(401), echo(), None), (Some(200), echo(), None)]
    );
}

#[tokio::test]
async fn refusal_is_recorded_only_outside_the_layer_that_refuses() {
    let accept = ValidateRequestHeaderLayer::accept("application/xml");
    for (outside, refused) in [(true, 0), (false, 1)] {
        let recording = Recording::start();
        let app = match outside {
            true => server().layer(recording.layer()).layer(accept.clone()),
            false => server().layer(accept.clone()).layer(recording.layer()),
        };
        let (status, _) = send(app, post(CALL)).await;
        assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
        assert_eq!(unidentified(&recording), refused, "outside: {outside}");
    }
}

// ===== limits =====

#[tokio::test]
async fn layer_outside_a_body_limit_records_refusals() {
    let length = CALL.len().to_string();
    let named = [&MIRROR[..], &[("content-length", &length)]].concat();
    let recording = Recording::start();
    let app = server()
        .layer(RequestBodyLimitLayer::new(10))
        .layer(recording.layer());
    // The layer refuses one by its length, and one in the middle of the body.
    for request in [post_with(&named, CALL), post_with(&MIRROR, CALL)] {
        let (status, _) = send(app.clone(), request).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    let rows = recording.rows();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(
            (row.outcome().as_str(), row.http_status),
            ("error", Some(413))
        );
        assert_eq!(row.tool.as_deref(), Some("echo"));
    }
    let recording = Recording::start();
    let app = server()
        .layer(RequestBodyLimitLayer::new(10))
        .layer(recording.layer());
    send(app, post_with(&[("content-length", &length)], CALL)).await;
    assert_eq!(unidentified(&recording), 1);
}

#[tokio::test]
async fn layer_inside_a_body_limit_does_not_see_requests_refused_by_length() {
    let recording = Recording::start();
    let app = server()
        .layer(recording.layer())
        .layer(RequestBodyLimitLayer::new(10));
    let length = CALL.len().to_string();
    let (status, _) = send(app, post_with(&[("content-length", &length)], CALL)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(unidentified(&recording), 0);
}

// ===== CORS, panics, traces =====

#[tokio::test]
async fn cors_layer_may_be_inside_or_outside() {
    let origin = [("origin", "https://example.com")];
    for outside in [true, false] {
        let recording = Recording::start();
        let cors = CorsLayer::permissive();
        let app = match outside {
            true => server().layer(recording.layer()).layer(cors),
            false => server().layer(cors).layer(recording.layer()),
        };
        let ask = [origin[0], ("access-control-request-method", "POST")];
        let mut preflight = post_with(&ask, "");
        *preflight.method_mut() = Method::OPTIONS;
        let (status, headers) = send(app.clone(), preflight).await;
        assert_eq!(
            (status, &headers[ACCESS_CONTROL_ALLOW_ORIGIN]),
            (StatusCode::OK, &"*".parse().unwrap())
        );
        assert_eq!(unidentified(&recording), 0);
        send(app, post_with(&origin, CALL)).await;
        assert_eq!(comparable_row(&recording), plain_row(post(CALL)).await);
    }
}

#[tokio::test]
async fn panic_is_recorded_as_panic_inside_the_layer_that_catches_it() {
    let recording = Recording::start();
    let app = server()
        .layer(recording.layer())
        .layer(CatchPanicLayer::new());
    let (status, _) = send(app, to("/panic", post(CALL))).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let row = recording.row();
    assert_eq!(
        (row.outcome().as_str(), row.http_status),
        ("error panic", None)
    );
}

#[tokio::test]
async fn panic_is_recorded_as_http_error_outside_the_layer_that_catches_it() {
    let recording = Recording::start();
    let app = server()
        .layer(CatchPanicLayer::new())
        .layer(recording.layer());
    send(app, to("/panic", post(CALL))).await;
    let row = recording.row();
    assert_eq!(
        (row.outcome().as_str(), row.http_status),
        ("error", Some(500))
    );
}

#[tokio::test]
async fn trace_layer_changes_nothing_on_either_side() {
    let recording = Recording::start();
    let app = server()
        .layer(recording.layer())
        .layer(TraceLayer::new_for_http());
    send(app, post(CALL)).await;
    assert_eq!(comparable_row(&recording), plain_row(post(CALL)).await);

    let recording = Recording::start();
    let app = server()
        .layer(TraceLayer::new_for_http())
        .layer(recording.layer());
    send(app, post(CALL)).await;
    assert_eq!(comparable_row(&recording), plain_row(post(CALL)).await);
}

// ===== all of them =====

#[tokio::test(start_paused = true)]
async fn router_and_service_builder_stack_layers_in_opposite_orders() {
    let status = StatusCode::GATEWAY_TIMEOUT;
    let on_router = |recording: &Recording| {
        server()
            .layer(RequestBodyLimitLayer::new(1024))
            .layer(TimeoutLayer::with_status_code(status, SECOND))
            .layer(recording.layer())
            .layer(from_fn(authenticate))
            .layer(CompressionLayer::new())
            .layer(CatchPanicLayer::new())
            .layer(CorsLayer::permissive())
            .layer(TraceLayer::new_for_http())
    };
    let in_builder = |recording: &Recording| {
        server().layer(
            ServiceBuilder::new()
                .layer(TraceLayer::new_for_http())
                .layer(CorsLayer::permissive())
                .layer(CatchPanicLayer::new())
                .layer(CompressionLayer::new())
                .layer(from_fn(authenticate))
                .layer(recording.layer())
                .layer(TimeoutLayer::with_status_code(status, SECOND))
                .layer(RequestBodyLimitLayer::new(1024)),
        )
    };
    let expected = [
        ("/mcp", "ok tool_error", Some(200)),
        ("/never", "timeout", Some(504)),
        ("/panic", "error panic", None),
    ];
    let apps: [&dyn Fn(&Recording) -> Router; 2] = [&on_router, &in_builder];
    for app in apps {
        for (path, outcome, status) in expected {
            let recording = Recording::start();
            let headers = [("authorization", "alice"), ("accept-encoding", "gzip")];
            let (seen, headers) = send(app(&recording), to(path, post_with(&headers, CALL))).await;
            assert_eq!(headers.contains_key(CONTENT_ENCODING), path == "/mcp");
            let row = recording.row();
            assert_eq!((row.outcome().as_str(), row.http_status), (outcome, status));
            assert_eq!(row.principal.as_deref(), Some("alice"));
            assert_eq!(seen.as_u16(), status.unwrap_or(500));
        }
    }
}
