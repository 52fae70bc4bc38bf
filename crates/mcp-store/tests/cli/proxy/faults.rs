//! Servers that fail.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
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
fn answer_without_a_valid_head_is_a_502_in_the_row() {
    for bytes in [&b""[..], b"\0\xff garbage \r\n\r\n", b"HTTP/1.1 20"] {
        let dir = TempDir::new().unwrap();
        let db = dir.path().join("mcp.db");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        answer(listener, bytes);
        let mut proxy = Proxy::start(&db, &["--upstream", &url]);
        let response = proxy.ping("/mcp", "");
        assert!(
            response.starts_with("HTTP/1.1 502 "),
            "{bytes:?}: {response}"
        );
        proxy.stop();
        let rows = json(&db, &["logs"]);
        assert_eq!(rows.len(), 1, "{bytes:?}");
        assert_eq!(rows[0]["method"], "ping", "{bytes:?}");
        assert_eq!(rows[0]["status"], "error", "{bytes:?}");
        assert_eq!(rows[0]["http_status"], 502, "{bytes:?}");
    }
}

/// Closes a connection with a TCP RST.
fn reset(stream: &TcpStream) {
    let linger = Some(Duration::ZERO);
    SockRef::from(stream).set_linger(linger).unwrap();
}

/// A proxy before a server that the test itself plays, and a client that has sent a ping.
struct Exchange {
    proxy: Proxy,
    client: TcpStream,
    server: TcpStream,
    listener: TcpListener,
}

impl Exchange {
    fn begin(dir: &TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let proxy = Proxy::start(&dir.path().join("mcp.db"), &["--upstream", &url]);
        // The proxy has tried to connect at its start.
        drop(listener.accept().unwrap());
        let mut client = TcpStream::connect(&proxy.address).unwrap();
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
        let length = body.len();
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        client.write_all(request.as_bytes()).unwrap();
        let (server, _) = listener.accept().unwrap();
        receive(&mut BufReader::new(&server)).unwrap();
        Self {
            proxy,
            client,
            server,
            listener,
        }
    }
}

#[test]
fn server_that_resets_before_its_answer_is_a_502_and_is_used_again() {
    let dir = TempDir::new().unwrap();
    let Exchange {
        mut proxy,
        mut client,
        server,
        listener,
    } = Exchange::begin(&dir);
    reset(&server);
    drop(server);
    let mut response = [0; 13];
    client.read_exact(&mut response).unwrap();
    assert_eq!(&response, b"HTTP/1.1 502 ");
    let line = proxy.output.wait_for("ping");
    assert!(line.contains("  error  "), "{line}");
    assert!(line.contains("no valid answer from http://"), "{line}");

    answer(listener, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(proxy.ping("/mcp", "").starts_with("HTTP/1.1 200 "));
    proxy.stop();
    let rows = json(&dir.path().join("mcp.db"), &["logs"]);
    let statuses: Vec<_> = rows.iter().map(|row| &row["http_status"]).collect();
    assert_eq!(statuses, [502, 200]);
}

#[test]
fn answer_that_breaks_off_is_an_error_in_the_row() {
    for resets in [false, true] {
        let dir = TempDir::new().unwrap();
        let Exchange {
            mut proxy,
            mut client,
            mut server,
            ..
        } = Exchange::begin(&dir);
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n";
        server.write_all(format!("{head}{{").as_bytes()).unwrap();
        // The client has these bytes, so the end cannot overtake them.
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n{") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            response.extend(byte);
        }
        if resets {
            reset(&server);
        }
        drop(server);
        let mut rest = Vec::new();
        // A closed connection or an error: the client has less than 99 bytes.
        let _ = client.read_to_end(&mut rest);
        assert_eq!(rest, b"");
        let line = proxy.output.wait_for("ping");
        assert!(line.contains("  error  "), "{line}");
        proxy.stop();
        let rows = json(&dir.path().join("mcp.db"), &["logs"]);
        assert_eq!(rows[0]["status"], "error");
        assert_eq!(rows[0]["http_status"], 200);
        assert_eq!(rows[0]["end_reason"], "body_error");
    }
}

#[test]
fn client_that_leaves_a_server_without_an_answer_is_gone_in_the_row() {
    let dir = TempDir::new().unwrap();
    let Exchange {
        mut proxy,
        client,
        mut server,
        ..
    } = Exchange::begin(&dir);
    drop(client);
    let line = proxy.output.wait_for("ping");
    assert!(line.contains("  gone  "), "{line}");
    // The server sees that nobody waits for its answer.
    assert_eq!(server.read(&mut [0]).unwrap_or(0), 0);
    proxy.stop();
    let rows = json(&dir.path().join("mcp.db"), &["logs"]);
    assert_eq!(rows[0]["end_reason"], "client_gone");
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
