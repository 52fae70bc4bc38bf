//! The hosts that a proxy on loopback accepts.

use std::net::SocketAddr;

use axum::Router;
use mcp_forward::{AllowedHosts, Forward};

use super::support::{H2_PREFACE, Peer, Upstream, h2_headers, serve};

const ANSWER: &str = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";

/// Returns a proxy on loopback that also accepts `mcp.example`.
async fn guarded(upstream: &Upstream) -> SocketAddr {
    let loopback = "127.0.0.1:3000".parse().unwrap();
    let hosts = AllowedHosts::new(loopback, ["mcp.example".parse().unwrap()]);
    let forward = Forward::new(&upstream.url("/mcp")).unwrap();
    serve(Router::new().fallback_service(forward).layer(hosts)).await
}

#[tokio::test]
async fn rebound_host_is_refused_and_never_reaches_the_upstream() {
    let upstream = Upstream::bind().await;
    let proxy = guarded(&upstream).await;

    for (head, named) in [
        ("host: evil.example:3000\r\n", "evil.example"),
        ("host: localhost.evil.example\r\n", "localhost.evil.example"),
        ("host: localhost\r\nhost: evil.example\r\n", "evil.example"),
    ] {
        let mut client = Peer::connect(proxy).await;
        client
            .write(&format!("GET /mcp HTTP/1.1\r\n{head}\r\n"))
            .await;
        let hint = format!("--allow-host {named}");
        let response = client.read_until(&hint).await;
        assert!(response.starts_with("HTTP/1.1 403 Forbidden\r\n"));
        assert!(response.contains("content-type: text/plain; charset=utf-8\r\n"));
    }
    let mut client = Peer::connect(proxy).await;
    client
        .write("GET http://evil.example/mcp HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await;
    client.read_until("--allow-host evil.example").await;

    upstream.refuse_further().await;
}

#[tokio::test]
async fn admitted_host_reaches_the_upstream_with_its_origin() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(guarded(&upstream).await).await;
    let mut server = None;

    for host in ["127.0.0.1:3000", "localhost:9", "[::1]", "MCP.example:443"] {
        client
            .write(&format!(
                "GET /mcp HTTP/1.1\r\nhost: {host}\r\norigin: https://evil.example\r\n\r\n"
            ))
            .await;
        let server = match &mut server {
            Some(server) => server,
            none => none.insert(upstream.accept().await),
        };
        let head = server.read_until("\r\n\r\n").await;
        assert!(head.contains("\r\norigin: https://evil.example\r\n"));
        assert!(head.contains(&format!("\r\nx-forwarded-host: {host}\r\n")));
        server.write(ANSWER).await;
        client.read_until("\r\n\r\n").await;
    }
}

#[tokio::test]
async fn authority_of_http_2_counts_as_host() {
    let upstream = Upstream::bind().await;
    let mut client = Peer::connect(guarded(&upstream).await).await;

    client.write_bytes(H2_PREFACE).await;
    let fields = [(":authority", "evil.example")];
    client.write_bytes(&h2_headers(1, &fields)).await;
    client.read_until("--allow-host evil.example").await;

    let fields = [(":authority", "localhost:3000")];
    client.write_bytes(&h2_headers(3, &fields)).await;
    let mut server = upstream.accept().await;
    let head = server.read_until("\r\n\r\n").await;
    assert!(head.contains("\r\nx-forwarded-host: localhost:3000\r\n"));
}
