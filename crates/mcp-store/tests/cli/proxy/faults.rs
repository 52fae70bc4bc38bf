//! Servers that fail.

use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use tempfile::TempDir;

use super::process::Proxy;
use super::upstream::{Upstream, receive, result};
use crate::run::json;

/// Writes these bytes to each request at an address, and closes the connection.
fn answer(listener: TcpListener, bytes: &'static [u8]) {
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut stream = BufReader::new(stream);
            if receive(&mut stream).is_some() {
                let _ = stream.get_mut().write_all(bytes);
            }
        }
    });
}

#[test]
fn invalid_or_broken_answer_is_an_error_in_the_row() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    for (bytes, status) in [
        (&b""[..], 502),
        (b"\0\xff garbage \r\n\r\n", 502),
        (b"HTTP/1.1 20", 502),
        (head.as_bytes(), 200),
    ] {
        let dir = TempDir::new().unwrap();
        let db = dir.path().join("mcp.db");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        answer(listener, bytes);
        let mut proxy = Proxy::start(&db, &["--upstream", &url]);
        let response = proxy.ping("/mcp", "");
        let expected = format!("HTTP/1.1 {status} ");
        assert!(response.starts_with(&expected), "{bytes:?}: {response}");
        proxy.stop();
        let rows = json(&db, &["logs"]);
        assert_eq!(rows.len(), 1, "{bytes:?}");
        assert_eq!(rows[0]["method"], "ping", "{bytes:?}");
        assert_eq!(rows[0]["status"], "error", "{bytes:?}");
        assert_eq!(rows[0]["http_status"], status, "{bytes:?}");
    }
}

#[test]
fn server_that_comes_back_is_used_again() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    // The address stays free for the server, because no other socket is bound to it.
    let reserved = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = reserved.local_addr().unwrap();
    drop(reserved);
    let url = format!("http://{address}/mcp");
    let mut proxy = Proxy::start(&db, &["--upstream", &url]);
    assert!(proxy.ping("/mcp", "").starts_with("HTTP/1.1 502 "));
    Upstream::start_at(address, |_| result());
    assert!(proxy.ping("/mcp", "").starts_with("HTTP/1.1 200 "));
    proxy.stop();
    let rows = json(&db, &["logs"]);
    let statuses: Vec<_> = rows.iter().map(|row| &row["http_status"]).collect();
    assert_eq!(statuses, [502, 200]);
}
