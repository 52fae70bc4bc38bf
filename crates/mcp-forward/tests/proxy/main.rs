//! The promises of the forwarding service, over loopback sockets. Both ends speak HTTP byte by
//! byte, so that a test sees what is on the wire and when.

mod hosts;
mod limits;
mod messages;
mod prefix;
mod support;
mod tls;
#[cfg(feature = "server")]
mod tls_server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use mcp_forward::Forward;
use support::{Peer, Upstream, closed_port, proxy, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_http::limit::RequestBodyLimitLayer;

const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
     transfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test]
async fn event_arrives_before_the_upstream_has_finished() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

    client
        .write("GET /mcp HTTP/1.1\r\nhost: proxy\r\naccept: text/event-stream\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.read_until("\r\n\r\n").await;
    server.write(STREAM_HEAD).await;
    let head = client.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("content-type: text/event-stream\r\n"),
        "{head}"
    );

    for event in ["data: 1\n\n", "data: 2\n\n"] {
        server.write(&chunk(event)).await;
        assert_eq!(client.read_until("\n\n\r\n").await, chunk(event));
    }
    server.write("0\r\n\r\n").await;
    assert_eq!(client.read_until("0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn request_body_reaches_the_upstream_while_it_is_being_sent() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

    client
        .write("POST /mcp HTTP/1.1\r\nhost: proxy\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    client.write(&chunk("first")).await;
    let mut server = upstream.accept().await;
    let head = server.read_until("\r\n\r\n").await;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert_eq!(server.read_until("first\r\n").await, chunk("first"));

    client.write(&chunk("second")).await;
    assert_eq!(server.read_until("second\r\n").await, chunk("second"));
    client.write("0\r\n\r\n").await;
    assert_eq!(server.read_until("0\r\n\r\n").await, "0\r\n\r\n");
}

#[tokio::test]
async fn known_length_is_kept_in_both_directions() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

    client
        .write("POST /mcp HTTP/1.1\r\nhost: proxy\r\ncontent-length: 5\r\n\r\nhello")
        .await;
    let mut server = upstream.accept().await;
    let request = server.read_until("hello").await;
    assert!(request.contains("content-length: 5\r\n"), "{request}");
    assert!(!request.contains("transfer-encoding"), "{request}");

    server
        .write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody")
        .await;
    let response = client.read_until("body").await;
    assert!(response.contains("content-length: 4\r\n"), "{response}");
    assert!(!response.contains("transfer-encoding"), "{response}");
}

#[tokio::test]
async fn upstream_gets_all_client_headers_except_hop_by_hop_fields() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

    client
        .write(
            "GET /mcp?a=1 HTTP/1.1\r\n\
             Host: proxy:3000\r\n\
             Connection: Upgrade, X-Private\r\n\
             Upgrade: websocket\r\n\
             Keep-Alive: timeout=5\r\n\
             Proxy-Authorization: Basic eDp5\r\n\
             TE: trailers\r\n\
             X-Private: 1\r\n\
             Accept-Encoding: gzip\r\n\
             Authorization: Bearer t\r\n\
             Cookie: a=1; b=2\r\n\
             Last-Event-ID: 7\r\n\
             MCP-Protocol-Version: 2025-11-25\r\n\
             Mcp-Session-Id: s\r\n\r\n",
        )
        .await;
    let mut server = upstream.accept().await;
    let head = server.read_until("\r\n\r\n").await;
    let mut lines: Vec<&str> = head.trim_end().lines().collect();
    assert_eq!(lines.remove(0), "GET /mcp?a=1 HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", upstream.addr());
    assert_eq!(
        lines,
        [
            "accept-encoding: gzip",
            "authorization: Bearer t",
            "connection: te",
            "cookie: a=1; b=2",
            &host,
            "last-event-id: 7",
            "mcp-protocol-version: 2025-11-25",
            "mcp-session-id: s",
            "te: trailers",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: proxy:3000",
        ]
    );
}

#[tokio::test]
async fn client_gets_all_upstream_headers_except_hop_by_hop_fields() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

    for _ in 0..2 {
        // The second request uses the client's connection again, although the
        // upstream closed its own.
        client
            .write("GET /mcp HTTP/1.1\r\nhost: proxy\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        server.read_until("\r\n\r\n").await;
        server
            .write(
                "HTTP/1.1 401 Unauthorized\r\n\
                 Connection: close, X-Private\r\n\
                 Keep-Alive: timeout=5\r\n\
                 X-Private: 1\r\n\
                 Content-Encoding: gzip\r\n\
                 Content-Length: 2\r\n\
                 Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                 Set-Cookie: a=1\r\n\
                 Set-Cookie: b=2\r\n\
                 Mcp-Session-Id: s\r\n\
                 WWW-Authenticate: Bearer\r\n\r\nno",
            )
            .await;
        drop(server);
        let response = client.read_until("\r\n\r\nno").await;
        let mut lines: Vec<&str> = response.trim_end_matches("\r\n\r\nno").lines().collect();
        assert_eq!(lines.remove(0), "HTTP/1.1 401 Unauthorized");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "content-encoding: gzip",
                "content-length: 2",
                "date: Thu, 01 Jan 1970 00:00:00 GMT",
                "mcp-session-id: s",
                "set-cookie: a=1",
                "set-cookie: b=2",
                "www-authenticate: Bearer",
            ]
        );
    }
}

#[tokio::test]
async fn path_is_sent_unchanged_and_root_goes_to_the_endpoint() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp?key=k")).await).await;
    let mut server = None;

    for (asked, expected) in [
        ("/mcp", "/mcp?key=k"),
        ("/", "/mcp?key=k"),
        (
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ),
        ("/messages?sessionId=1", "/messages?sessionId=1"),
    ] {
        client
            .write(&format!("GET {asked} HTTP/1.1\r\nhost: proxy\r\n\r\n"))
            .await;
        let server = match &mut server {
            Some(server) => server,
            none => none.insert(upstream.accept().await),
        };
        let head = server.read_until("\r\n\r\n").await;
        assert!(
            head.starts_with(&format!("GET {expected} HTTP/1.1\r\n")),
            "{asked}: {head}"
        );
        server
            .write("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
            .await;
        client.read_until("\r\n\r\n").await;
    }
}

#[tokio::test]
async fn unreachable_upstream_is_a_502_that_names_the_cause() {
    let url = format!("http://{}", closed_port().await);
    let mut client = Peer::connect(proxy(&format!("{url}/mcp?key=secret")).await).await;

    client
        .write("POST /mcp HTTP/1.1\r\nhost: proxy\r\ncontent-length: 2\r\n\r\n{}")
        .await;

    let response = client.read_until("refused").await;
    assert!(
        response.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
        "{response}"
    );
    assert!(
        response.contains("content-type: text/plain; charset=utf-8\r\n"),
        "{response}"
    );
    assert!(
        response.contains(&format!("\r\n\r\ncannot connect to {url}: ")),
        "{response}"
    );
    assert!(!response.contains("secret"), "{response}");
}

#[tokio::test]
async fn upstream_that_does_not_answer_in_http_is_a_502() {
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let upstream = Upstream::bind().await;
        let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

        client
            .write("GET /mcp HTTP/1.1\r\nhost: proxy\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        server.read_until("\r\n\r\n").await;
        server.write(answer).await;
        drop(server);

        let response = client.read_until(&upstream.url("")).await;
        assert!(
            response.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
            "{answer}: {response}"
        );
    }
}

#[tokio::test]
async fn broken_answer_is_incomplete_for_the_client() {
    for head in [STREAM_HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n"] {
        let upstream = Upstream::bind().await;
        let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

        client
            .write("GET /mcp HTTP/1.1\r\nhost: proxy\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        server.read_until("\r\n\r\n").await;
        server.write(head).await;
        server.write(&chunk("begun")).await;
        client.read_until("begun").await;
        drop(server);

        let rest = client.read_to_end().await;
        assert!(!rest.contains("0\r\n\r\n"), "{rest}");
    }
}

#[tokio::test]
async fn client_that_disconnects_ends_the_exchange_with_the_upstream() {
    for answer in ["", STREAM_HEAD] {
        let upstream = Upstream::bind().await;
        let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;

        client
            .write("GET /mcp HTTP/1.1\r\nhost: proxy\r\n\r\n")
            .await;
        let mut server = upstream.accept().await;
        server.read_until("\r\n\r\n").await;
        server.write(answer).await;
        if !answer.is_empty() {
            client.read_until("\r\n\r\n").await;
        }
        drop(client);

        assert_eq!(server.read_to_end().await, "");
    }
}

/// More than the socket buffers of both hops can hold.
const LARGE: usize = 64 << 20;

/// Writes `LARGE` bytes to a peer that does not read, until nothing more fits. Then reads
/// all of them. Returns how many fitted: the bytes that the proxy and the system held.
async fn held_back(mut from: Peer, mut to: Peer) -> usize {
    let written = Arc::new(AtomicUsize::new(0));
    let progress = Arc::clone(&written);
    let block: Vec<u8> = (0..1 << 16).map(|i| (i % 251) as u8).collect();
    let expected = block.clone();
    let writer = tokio::spawn(async move {
        while progress.load(Ordering::Relaxed) < LARGE {
            from.stream.write_all(&block).await.unwrap();
            progress.fetch_add(block.len(), Ordering::Relaxed);
        }
        from
    });
    let mut before = 0;
    let held = loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        match written.load(Ordering::Relaxed) {
            now if now == before && now > 0 => break now,
            now => before = now,
        }
    };
    let mut got = vec![0; expected.len()];
    for _ in 0..LARGE / expected.len() {
        to.stream.read_exact(&mut got).await.unwrap();
        assert!(got == expected);
    }
    writer.await.unwrap();
    held
}

#[tokio::test]
async fn large_answer_is_not_read_faster_than_the_client_reads_it() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;
    client
        .write("GET /mcp HTTP/1.1\r\nhost: proxy\r\n\r\n")
        .await;
    let mut server = upstream.accept().await;
    server.read_until("\r\n\r\n").await;
    server
        .write(&format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {LARGE}\r\n\r\n"
        ))
        .await;
    client.read_until("\r\n\r\n").await;

    let held = held_back(server, client).await;

    assert!(held < LARGE / 2, "{held}");
}

#[tokio::test]
async fn large_request_is_not_read_faster_than_the_upstream_reads_it() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;
    let head = format!("POST /mcp HTTP/1.1\r\nhost: proxy\r\ncontent-length: {LARGE}\r\n\r\n");
    client.write(&head).await;
    let mut server = upstream.accept().await;
    server.read_until("\r\n\r\n").await;

    let held = held_back(client, server).await;

    assert!(held < LARGE / 2, "{held}");
}

#[tokio::test]
async fn request_with_broken_chunks_is_answered_with_400() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(proxy(&upstream.url("/mcp")).await).await;
    let head = "POST /mcp HTTP/1.1\r\nhost: proxy\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write(&format!("{head}{}", chunk("first"))).await;
    let mut server = upstream.accept().await;
    server.read_until("first").await;

    client.write("no size\r\n").await;

    let response = client.read_until("the request's body is not valid: ").await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(!server.read_to_end().await.ends_with("0\r\n\r\n"));
}

#[tokio::test]
async fn body_that_a_layer_finds_too_large_is_answered_with_413() {
    let upstream = Upstream::bind().await;
    let forward = Forward::new(&upstream.url("/mcp")).unwrap();
    let app = Router::new()
        .fallback_service(forward)
        .layer(RequestBodyLimitLayer::new(8));
    let mut client = Peer::connect(serve(app).await).await;
    let body = chunk("more than eight bytes");

    client
        .write(&format!(
            "POST /mcp HTTP/1.1\r\nhost: proxy\r\ntransfer-encoding: chunked\r\n\r\n{body}"
        ))
        .await;

    let response = client.read_until("too large").await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
}
