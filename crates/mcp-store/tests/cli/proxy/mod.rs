//! Recording what passes through the proxy.

mod config;
mod effects;
mod faults;
mod log;
#[cfg(unix)]
mod operation;
mod outages;
mod process;
mod servers;
#[cfg(unix)]
mod service;
mod setters;
#[cfg(target_os = "linux")]
mod soak;
mod upstream;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tower_mcp_store::query::Reader;

use self::process::Proxy;
use crate::run::{failed, json};

/// Rows whose lines are more than a pipe holds.
const REQUESTS: i64 = 800;

#[test]
fn compressed_answer_of_a_failing_tool_is_recorded_as_a_tool_error() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
    let mut proxy = Proxy::start(&db, &["--upstream", &url]);
    let mut client = TcpStream::connect(&proxy.address).unwrap();
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"}}"#;
    let length = call.len();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\naccept-encoding: gzip\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{call}"
    );
    client.write_all(request.as_bytes()).unwrap();
    // The proxy has tried to connect at its start.
    drop(upstream.accept().unwrap());
    let (mut server, _) = upstream.accept().unwrap();
    let mut received = Vec::new();
    while !received.ends_with(call.as_bytes()) {
        let mut buffer = [0; 1024];
        let count = server.read(&mut buffer).unwrap();
        assert_ne!(count, 0);
        received.extend_from_slice(&buffer[..count]);
    }

    let result = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(result.as_bytes()).unwrap();
    let body = gzip.finish().unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip";
    let head = format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len());
    server
        .write_all(&[head.as_bytes(), &body].concat())
        .unwrap();
    let mut response = Vec::new();
    client.read_to_end(&mut response).unwrap();

    assert!(response.ends_with(&body));
    // The proxy prints a line for each row that is in the file.
    let line = proxy.output.wait_for("tools/call search");
    assert!(line.contains("tool_error"), "{line}");
    let rows = json(&db, &["logs"]);
    assert_eq!(rows[0]["status"], "ok");
    assert_eq!(rows[0]["tool_error"], true);
}

#[test]
fn proxy_of_itself_is_refused() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let port = free.unwrap().port();
    for (listen, upstream) in [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("0.0.0.0", "127.0.0.1"),
    ] {
        let listen = format!("{listen}:{port}");
        let upstream = format!("http://{upstream}:{port}/mcp");
        let proxy = ["proxy", "--listen", &listen, "--upstream", &upstream];
        let error = failed(2, &db, &proxy);
        assert!(error.contains("is the address of this proxy"), "{error}");
    }
    assert!(!db.exists());
}

#[test]
fn allow_host_admits_a_host_that_is_otherwise_refused() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let upstream = format!("http://{}/mcp", closed.unwrap());
    for (allowed, status) in [("other.example", "403"), ("mcp.example", "502")] {
        let dir = TempDir::new().unwrap();
        let proxy = Proxy::start(
            &dir.path().join("mcp.db"),
            &["--upstream", &upstream, "--allow-host", allowed],
        );
        let mut client = TcpStream::connect(&proxy.address).unwrap();
        let request = "GET /mcp HTTP/1.1\r\nhost: mcp.example:3000\r\nconnection: close\r\n\r\n";
        client.write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(response.starts_with(&expected), "{response}");
        let hint = response.contains("--allow-host mcp.example");
        assert_eq!(hint, status == "403", "{response}");
    }
}

#[cfg(unix)]
#[test]
fn signal_lets_an_open_exchange_end_and_closes_idle_connections() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", upstream.local_addr().unwrap());
    let mut proxy = Proxy::start(&db, &["--upstream", &url]);
    let mut idle = TcpStream::connect(&proxy.address).unwrap();
    let mut client = TcpStream::connect(&proxy.address).unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let length = body.len();
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    client.write_all(request.as_bytes()).unwrap();
    // The proxy has tried to connect at its start.
    drop(upstream.accept().unwrap());
    let (mut server, _) = upstream.accept().unwrap();
    let mut head = String::new();
    let mut lines = BufReader::new(server.try_clone().unwrap());
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
    }
    assert!(head.contains("\r\nx-forwarded-proto: http\r\n"), "{head}");
    assert!(
        head.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"),
        "{head}"
    );

    proxy.signal("TERM");
    // The proxy has noticed the signal once it closes this one.
    idle.read_to_end(&mut Vec::new()).unwrap();
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    let length = answer.len();
    let response = format!("{head}content-length: {length}\r\n\r\n{answer}");
    server.write_all(response.as_bytes()).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();

    assert!(response.ends_with(answer), "{response}");
    assert!(proxy.wait().success());
    let rows = json(&db, &["logs"]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["status"], "ok");
}

#[cfg(unix)]
#[test]
fn signal_that_comes_twice_at_once_does_not_end_the_program_early() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let mut proxy = Proxy::start(&db, &["--upstream", &url]);
    // An open exchange, which delays the end.
    let mut client = TcpStream::connect(&proxy.address).unwrap();
    let request = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    drop(silent.accept().unwrap());
    let open = silent.accept().unwrap();
    proxy.signal("TERM");
    proxy.log.wait_for("stopping");
    proxy.signal("TERM");
    assert!(proxy.wait().success());
    proxy.log.wait_for("stopped; ");
    drop(open);
}

#[test]
fn allowed_host_with_a_port_is_a_usage_error() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let arguments = [
        "proxy",
        "--upstream",
        "http://127.0.0.1:9/mcp",
        "--allow-host",
        "mcp.example:80",
    ];
    let error = failed(2, &db, &arguments);
    assert!(error.contains("not a host without a port"), "{error}");
}

#[test]
fn unread_output_does_not_block_the_recording() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    // Nothing listens there, so the proxy answers each request at once.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let upstream = format!("http://{}/mcp", closed.unwrap());
    let proxy = Proxy::start(&db, &["--upstream", &upstream]);

    let tool = "t".repeat(80);
    let body =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#);
    let length = body.len();
    for _ in 0..REQUESTS {
        let mut client = TcpStream::connect(&proxy.address).unwrap();
        let request = format!(
            "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        client.write_all(request.as_bytes()).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
    }

    let reader = Reader::open(&db).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    let mut written = 0;
    while written < REQUESTS && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
        written = reader.info().unwrap().requests;
    }
    assert_eq!(written, REQUESTS);
}
