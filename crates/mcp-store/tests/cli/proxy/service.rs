//! The proxy as a service: its supervisor, and signals.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use tempfile::TempDir;

use super::process::{PATIENCE, Proxy, closed_url};
use super::upstream::{Upstream, result};
use crate::run::{command, json};

/// Answers under load before the signal.
const ANSWERS: usize = 200;

#[test]
fn supervisor_is_notified_once_requests_are_accepted_and_when_the_proxy_stops() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = || {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let arguments = ["proxy", "--listen", "0", "--upstream", &closed_url()];
    let mut command = command(&db, &arguments);
    command.env("NOTIFY_SOCKET", &path);
    let mut proxy = Proxy::run(command);
    assert_eq!(message().trim_end(), "READY=1");
    assert!(db.exists());
    assert!(proxy.ping("/mcp", "").starts_with("HTTP/1.1 502 "));
    proxy.signal("TERM");
    assert_eq!(message().trim_end(), "STOPPING=1");
    assert!(proxy.wait().success());
}

#[test]
fn proxy_that_cannot_start_is_not_ready() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    // A directory is no database.
    let arguments = ["proxy", "--listen", "0", "--upstream", &closed_url()];
    let mut command = command(dir.path(), &arguments);
    command.env("NOTIFY_SOCKET", &path);
    assert!(!command.output().unwrap().status.success());
    assert!(socket.recv(&mut [0; 256]).is_err());
}

#[test]
fn supervisor_that_is_gone_is_a_warning() {
    let dir = TempDir::new().unwrap();
    let arguments = ["proxy", "--listen", "0", "--upstream", &closed_url()];
    let mut command = command(&dir.path().join("mcp.db"), &arguments);
    command.env("NOTIFY_SOCKET", dir.path().join("none"));
    let mut proxy = Proxy::run(command);
    proxy.log.wait_for("cannot reach the supervisor");
    proxy.stop();
}

#[test]
fn hangup_does_not_end_a_proxy_without_a_terminal() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let mut proxy = Proxy::start(&db, &["--upstream", &closed_url()]);
    proxy.signal("HUP");
    proxy.log.wait_for("SIGHUP is ignored");
    proxy.ping("/mcp", "");
    proxy.stop();
    assert_eq!(json(&db, &["logs"]).len(), 1);
}

#[test]
fn proxy_whose_terminal_is_closed_ends_in_order() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let (terminal, pts) = pty_process::blocking::open().unwrap();
    let arguments = ["proxy", "--listen", "0", "--upstream", &closed_url()];
    let command = command(&db, &arguments);
    let mut in_terminal = pty_process::blocking::Command::new(command.get_program());
    in_terminal = in_terminal.args(command.get_args());
    for (name, value) in command.get_envs() {
        in_terminal = in_terminal.env(name, value.unwrap());
    }
    let mut child = in_terminal.spawn(pts).unwrap();
    let mut lines = BufReader::new(&terminal).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("forwarding http")).unwrap();
    let address = line.split("://").nth(1).unwrap();
    let address = address.split(['/', ' ']).next().unwrap().to_owned();
    drop(lines);
    assert!(call(&address).is_some());
    drop(terminal);

    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(json(&db, &["logs"]).len(), 1);
    let sql = "SELECT count(*) AS n FROM losses WHERE reason = 'unclean_shutdown'";
    assert_eq!(json(&db, &["sql", sql])[0]["n"], 0);
}

/// Sends a `ping`. Returns the answer if it is complete.
fn call(address: &str) -> Option<String> {
    let mut client = TcpStream::connect(address).ok()?;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let length = body.len();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    client.write_all(request.as_bytes()).ok()?;
    let mut response = String::new();
    client.read_to_string(&mut response).ok()?;
    response.contains("\r\n\r\n").then_some(response)
}

#[test]
fn signal_under_load_loses_no_answered_request() {
    for signal in ["TERM", "INT"] {
        let dir = TempDir::new().unwrap();
        let db = dir.path().join("mcp.db");
        let upstream = Upstream::start(|_| result());
        let mut proxy = Proxy::start(&db, &["--upstream", &upstream.url()]);
        let address = proxy.address.clone();
        let answered = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(response) = call(&address) {
                        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
                        assert!(response.ends_with(r#""result":{}}"#), "{response}");
                        answered.fetch_add(1, Relaxed);
                    }
                });
            }
            let reach = |answers| {
                while answered.load(Relaxed) < answers {
                    thread::yield_now();
                }
            };
            reach(ANSWERS / 2);
            proxy.signal("HUP");
            proxy.log.wait_for("SIGHUP is ignored");
            reach(ANSWERS);
            proxy.signal(signal);
        });
        assert!(proxy.wait().success(), "{signal}");
        let log = proxy.log.rest().join("\n");
        assert!(log.contains(" 0 failed, 0 dropped, "), "{log}");
        let sql = "SELECT count(*) AS n FROM requests WHERE status = 'ok'";
        let rows = json(&db, &["sql", sql])[0]["n"].as_u64().unwrap();
        assert_eq!(rows, answered.into_inner() as u64, "{signal}");
    }
}
