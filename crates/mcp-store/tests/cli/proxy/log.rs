//! What the proxy logs on standard error.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::process::{PATIENCE, Proxy, closed_url, send};
use super::upstream::{Upstream, result};
use crate::run::{command, failed, stdout};

#[test]
fn start_says_the_absolute_path_the_schema_and_the_retention() {
    let dir = TempDir::new().unwrap();
    let arguments = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &closed_url(),
    ];
    let mut command = command("mcp.db".as_ref(), &arguments);
    command.current_dir(dir.path());
    let mut proxy = Proxy::run(command);
    proxy.stop();
    let path = dir.path().join("mcp.db").display().to_string();
    let expected = format!("INFO recording into {path}, schema 5, retention 30 days / 1 GiB");
    let log = proxy.log.rest();
    assert!(log.iter().any(|line| line.ends_with(&expected)), "{log:#?}");
}

#[test]
fn outage_and_its_end_are_logged_at_once() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let mut proxy = Proxy::start(&db, &["--upstream", &closed_url()]);
    proxy.ping("/mcp", "");
    proxy.output.wait_for("ping");
    // Twice within a minute.
    for (old, posts) in [("first.db", 2), ("second.db", 3)] {
        fs::rename(&db, dir.path().join(old)).unwrap();
        fs::create_dir(&db).unwrap();
        proxy.ping("/mcp", "");
        let line = proxy.log.wait_for("cannot write to the store");
        assert!(line.contains(" ERROR "), "{line}");
        fs::remove_dir(&db).unwrap();
        let line = proxy.log.wait_for("the store is written to again");
        assert!(line.contains(&format!(", {posts} posts, ")), "{line}");
        proxy.output.wait_for("ping");
    }
}

#[test]
fn lines_have_the_local_date_and_time() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let arguments = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &closed_url(),
    ];
    let mut command = command(&db, &arguments);
    // 13 hours and 37 minutes ahead of UTC.
    command.env("TZ", "ODD-13:37");
    let mut proxy = Proxy::run(command);
    let time = |line: &str| -> jiff::civil::DateTime { line[..23].parse().unwrap() };
    let now = jiff::Zoned::now()
        .with_time_zone(jiff::tz::TimeZone::UTC)
        .datetime();
    proxy.ping("/mcp", "");
    let printed = proxy.output.wait_for("ping");
    let logged = proxy.log.read[0].clone();
    for line in [printed, logged] {
        let ahead = time(&line).duration_since(now).as_secs();
        assert!((ahead - (13 * 60 + 37) * 60).abs() < 60, "{line}");
    }
}

#[test]
fn json_writes_objects_to_both_outputs() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let arguments = [
        "--upstream",
        &closed_url(),
        "--json",
        "--log-format",
        "json",
    ];
    let mut proxy = Proxy::start(&db, &arguments);
    proxy.ping("/mcp", "");
    proxy.output.wait_for("ping");
    proxy.stop();
    let parse = |line: &String| serde_json::from_str::<Value>(line).unwrap();
    let rows: Vec<Value> = proxy.output.rest().iter().map(parse).collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["method"], "ping");
    assert_eq!(rows[0]["status"], "error");
    assert_eq!(rows[0]["http_status"], 502);
    let log: Vec<Value> = proxy.log.rest().iter().map(parse).collect();
    let is_start = |line: &&Value| {
        let message = line["message"].as_str().unwrap();
        message.starts_with("recording into")
    };
    let start = log.iter().find(is_start).unwrap();
    assert_eq!(start["level"], "INFO");
    start["timestamp"]
        .as_str()
        .unwrap()
        .parse::<jiff::Timestamp>()
        .unwrap();
}

#[test]
fn quiet_prints_and_logs_nothing_ordinary() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let upstream = Upstream::start(|_| result());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let address = address.unwrap().to_string();
    let arguments = [
        "proxy",
        "--quiet",
        "--listen",
        &address,
        "--upstream",
        &upstream.url(),
    ];
    let child = command(&db, &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let end = Instant::now() + PATIENCE;
    // Only a refused connection shows that it does not listen yet.
    let mut client = loop {
        match TcpStream::connect(&address) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    let request = "GET /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").arg(id).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn request_without_a_row_has_one_name_in_the_log_the_statistics_and_info() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let upstream = Upstream::start(|_| result());
    let listen = ["proxy", "--listen", "127.0.0.1:0", "--skip-method", "ping"];
    let url = upstream.url();
    let arguments = [&listen[..], &["--upstream", &url]].concat();
    let mut debug = command(&db, &arguments);
    debug.env("RUST_LOG", "debug");
    let mut proxy = Proxy::run(debug);
    let text = "POST /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                content-type: text/plain\r\ncontent-length: 2\r\n\r\nhi";
    proxy.ping("/mcp", "");
    proxy.post("/mcp", "", r#"{"jsonrpc":"#);
    send(&proxy.address, text);
    proxy.stop();
    let log = proxy.log.rest().join("\n");
    let info = stdout(&db, &["info"]);
    for (name, why) in [
        ("skipped", "its method is ping"),
        ("unidentified", "its body is incomplete JSON"),
        ("other media", "its Content-Type is not JSON"),
    ] {
        let line = format!(" DEBUG a request to default has no row; {name}: {why}");
        assert_eq!(log.matches(&line).count(), 1, "{name}: {log}");
        assert!(log.contains(&format!(", 1 {name}, ")), "{name}: {log}");
        let field = info.lines().find(|line| line.starts_with(name)).unwrap();
        let field = field[name.len()..].trim_start();
        assert!(field.starts_with("1; "), "{info}");
    }
}

#[test]
fn rust_log_chooses_messages() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let arguments = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--upstream",
        &closed_url(),
    ];
    let mut chosen = command(&db, &arguments);
    chosen.env("RUST_LOG", "off,mcp_store=info");
    let mut proxy = Proxy::run(chosen);
    proxy.stop();
    let log = proxy.log.rest().join("\n");
    assert!(!log.contains("recording into"), "{log}");
    let mut invalid = command(&db, &arguments);
    let output = invalid.env("RUST_LOG", "mcp_store=loud").output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(error.starts_with("error: RUST_LOG is not valid"), "{error}");
    let error = failed(2, &db, &[&arguments[..], &["--log-format", "xml"]].concat());
    assert!(error.contains("text, json"), "{error}");
}
