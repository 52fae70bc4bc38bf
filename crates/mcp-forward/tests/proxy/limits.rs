use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use mcp_forward::{Forward, ForwardBody};
use tower_service::Service;

use crate::support::{Upstream, closed_port, within};

const LIMIT: Duration = Duration::from_millis(50);

async fn ask(forward: &mut Forward) -> Response<ForwardBody> {
    let request = Request::get("/mcp").header("x-key", "of the client");
    let request = request.body(Body::empty()).unwrap();
    within(forward.call(request)).await.unwrap()
}

async fn text(response: Response<ForwardBody>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn upstream_that_does_not_answer_is_a_504_that_says_so() {
    let upstream = Upstream::bind().await;
    let origin = upstream.url("");
    let mut forward = Forward::new(&origin).unwrap().answer_timeout(LIMIT);
    let response = ask(&mut forward).await;
    assert_eq!(response.status(), 504);
    let expected = format!("no answer from {origin} within 50ms");
    assert_eq!(text(response).await, expected);
}

#[tokio::test]
async fn silence_within_an_answer_breaks_it_off() {
    let upstream = Upstream::bind().await;
    let mut forward = Forward::new(&upstream.url("/mcp"))
        .unwrap()
        .idle_timeout(LIMIT);
    let answered = tokio::spawn(async move { ask(&mut forward).await });
    let mut peer = upstream.accept().await;
    peer.read_until("\r\n\r\n").await;
    peer.write("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")
        .await;
    let mut body = answered.await.unwrap().into_body();
    assert_eq!(
        within(body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap(),
        "abc"
    );
    let error = within(body.frame()).await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the upstream sent nothing for 50ms");
}

#[tokio::test]
async fn added_fields_replace_those_of_the_client() {
    let upstream = Upstream::bind().await;
    let mut headers = HeaderMap::new();
    headers.append("x-key", "of the proxy".parse().unwrap());
    headers.append("x-key", "another".parse().unwrap());
    let mut forward = Forward::new(&upstream.url("/mcp"))
        .unwrap()
        .add_headers(headers);
    tokio::spawn(async move { ask(&mut forward).await });
    let head = upstream.accept().await.read_until("\r\n\r\n").await;
    assert!(head.contains("\r\nx-key: of the proxy\r\n"), "{head}");
    assert!(head.contains("\r\nx-key: another\r\n"), "{head}");
    assert!(!head.contains("of the client"), "{head}");
}

#[tokio::test]
async fn check_says_why_an_upstream_cannot_be_reached() {
    let upstream = Upstream::bind().await;
    let forward = Forward::new(&upstream.url("/mcp")).unwrap();
    forward.check().await.unwrap();
    let origin = format!("http://{}", closed_port().await);
    let error = Forward::new(&origin).unwrap().check().await.unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with(&format!("cannot connect to {origin}: ")),
        "{error}"
    );
    assert!(error.contains("refused"), "{error}");
}
