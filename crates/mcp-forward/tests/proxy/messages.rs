//! Changes of a message on its way, byte by byte.

use axum::Router;
use http::uri::Scheme;
use mcp_forward::Forward;

use super::support::{H2_PREFACE, Peer, Upstream, h2_headers, proxy, serve};
use super::{STREAM_HEAD, chunk};

const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// Sends a request and answers it as the upstream. Returns what each of them received.
async fn exchange(request: &str, request_end: &str, answer: &str, end: &str) -> (String, String) {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;
    client.write(request).await;
    let mut server = upstream.accept().await;
    let request = server.read_until(request_end).await;
    server.write(answer).await;
    (request, client.read_until(end).await)
}

const GET: &str = "GET /mcp HTTP/1.1\r\nhost: proxy\r\n\r\n";

#[tokio::test]
async fn length_beside_chunks_does_not_cut_the_answer() {
    let (length, chunked) = ("content-length: 4\r\n", "transfer-encoding: chunked\r\n");
    for fields in [[length, chunked], [chunked, length]].map(|fields| fields.concat()) {
        let body = chunk("whole");
        let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}0\r\n\r\n");

        let (_, response) = exchange(GET, "\r\n\r\n", &answer, "\r\n0\r\n\r\n").await;

        assert!(!response.contains("content-length"), "{response}");
        assert!(response.contains(chunked), "{response}");
        assert!(response.contains(&body), "{response}");
    }
}

#[tokio::test]
async fn repeated_length_does_not_cut_the_answer() {
    for length in [
        "content-length: 4, 4\r\n",
        "content-length: 4\r\ncontent-length: 4\r\n",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{length}\r\nbody");

        let (_, response) = exchange(GET, "\r\n\r\n", &answer, "body").await;

        let lengths = response.matches("content-length: 4\r\n").count();
        assert_eq!(lengths, 1, "{response}");
    }
}

#[tokio::test]
async fn unknown_transfer_coding_is_not_forwarded() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n{}0\r\n\r\n",
        chunk("gzipped")
    );
    let (_, response) = exchange(GET, "\r\n\r\n", &answer, "other than chunked").await;
    assert!(response.starts_with("HTTP/1.1 502 Bad Gateway\r\n"));

    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;
    client
        .write("POST /mcp HTTP/1.1\r\nhost: proxy\r\ntransfer-encoding: gzip, chunked\r\n\r\n")
        .await;
    let response = client.read_until("other than chunked").await;
    assert!(response.starts_with("HTTP/1.1 501 Not Implemented\r\n"));
    upstream.refuse_further().await;
}

#[tokio::test]
async fn body_of_unknown_length_is_forwarded_for_every_method() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "POST"] {
        let body = format!("{}0\r\n\r\n", chunk("asked"));
        let request = format!(
            "{method} /mcp HTTP/1.1\r\nhost: proxy\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        );

        let (request, _) = exchange(&request, "\r\n0\r\n\r\n", ACCEPTED, "\r\n\r\n").await;

        assert!(request.starts_with(&format!("{method} /mcp ")), "{request}");
        assert_eq!(request.matches("transfer-encoding: chunked\r\n").count(), 1);
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    }
}

#[tokio::test]
async fn length_beside_chunks_does_not_reach_the_upstream() {
    let body = format!("{}0\r\n\r\n", chunk("asked"));
    let (length, chunked) = ("content-length: 4\r\n", "transfer-encoding: chunked\r\n");
    for fields in [[length, chunked], [chunked, length]].map(|fields| fields.concat()) {
        let request = format!("POST /mcp HTTP/1.1\r\nhost: proxy\r\n{fields}\r\n{body}");

        let (request, _) = exchange(&request, "\r\n0\r\n\r\n", ACCEPTED, "\r\n\r\n").await;

        assert!(!request.contains("content-length"), "{request}");
        assert!(request.ends_with(&format!("\r\n\r\n{body}")), "{request}");
    }
}

#[tokio::test]
async fn get_without_body_is_forwarded_without_body() {
    let (request, _) = exchange(GET, "\r\n\r\n", ACCEPTED, "\r\n\r\n").await;
    assert!(!request.contains("transfer-encoding"), "{request}");
    assert!(!request.contains("content-length"), "{request}");
}

#[tokio::test]
async fn cookies_of_an_http_2_client_reach_an_http_1_upstream_as_one_field() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

    client.write_bytes(H2_PREFACE).await;
    let fields = [
        (":authority", "proxy"),
        ("cookie", "a=1"),
        ("cookie", "b=2; c=3"),
    ];
    client.write_bytes(&h2_headers(1, &fields)).await;

    let mut server = upstream.accept().await;
    let head = server.read_until("\r\n\r\n").await;
    assert!(head.contains("\r\ncookie: a=1; b=2; c=3\r\n"), "{head}");
    assert_eq!(head.matches("cookie").count(), 1, "{head}");
}

#[tokio::test]
async fn answer_of_several_hundred_fields_passes() {
    let fields: String = (0..500).map(|i| format!("x-{i}: {i}\r\n")).collect();
    let answer = format!("HTTP/1.1 200 OK\r\n{fields}content-length: 4\r\n\r\nbody");

    let (_, response) = exchange(GET, "\r\n\r\n", &answer, "\r\n\r\nbody").await;

    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    for i in 0..500 {
        assert!(response.contains(&format!("\r\nx-{i}: {i}\r\n")), "{i}");
    }
}

#[tokio::test]
async fn client_scheme_is_sent_if_set() {
    let upstream = Upstream::bind().await;
    let forward = Forward::new(&upstream.url("/mcp")).unwrap();
    let forward = forward.client_scheme(Scheme::HTTPS);
    let app = Router::new().fallback_service(forward);
    let mut client = Peer::connect(serve(app).await).await;
    let mut server = None;

    for (request, expected) in [
        (GET, "https"),
        (
            "GET http://proxy/mcp HTTP/1.1\r\nhost: proxy\r\n\r\n",
            "http",
        ),
        (
            "GET /mcp HTTP/1.1\r\nhost: proxy\r\nx-forwarded-proto: wss\r\n\r\n",
            "wss",
        ),
    ] {
        client.write(request).await;
        let server = match &mut server {
            Some(server) => server,
            none => none.insert(upstream.accept().await),
        };
        let head = server.read_until("\r\n\r\n").await;
        let expected = format!("\r\nx-forwarded-proto: {expected}\r\n");
        assert!(head.contains(&expected), "{head}");
        assert_eq!(head.matches("x-forwarded-proto").count(), 1, "{head}");
        server.write(ACCEPTED).await;
        client.read_until("\r\n\r\n").await;
    }
}

#[tokio::test]
async fn trailers_reach_the_client() {
    let answer = format!("{}{}0\r\nx-sum: 9\r\n\r\n", trailed(), chunk("body"));
    let request = "GET /mcp HTTP/1.1\r\nhost: proxy\r\nte: trailers\r\n\r\n";
    let end = "\r\n0\r\nx-sum: 9\r\n\r\n";
    let (request, response) = exchange(request, "\r\n\r\n", &answer, end).await;
    assert!(request.contains("\r\nte: trailers\r\n"), "{request}");
    assert!(request.contains("\r\nconnection: te\r\n"), "{request}");
    assert!(response.contains("trailer: x-sum\r\n"), "{response}");
}

fn trailed() -> String {
    STREAM_HEAD.replace("\r\n\r\n", "\r\ntrailer: x-sum\r\n\r\n")
}
