//! Effects of single settings.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;
use tower_mcp_store::StoreEvent;

use super::process::{PATIENCE, Proxy, closed_url};
use super::upstream::{Received, Upstream, ok};
use crate::run::json;
use crate::support::{recorded, request};

#[test]
fn connect_timeout_limits_the_tls_handshake_with_a_server() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    // The system accepts the connection, and no handshake follows.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/mcp", silent.local_addr().unwrap());
    let arguments = ["--upstream", &url, "--connect-timeout", "60ms"];
    let mut proxy = Proxy::start(&db, &arguments);
    let response = proxy.ping("/mcp", "");
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
    assert!(response.ends_with(" within 60ms"), "{response}");
    proxy.stop();
    assert_eq!(json(&db, &["logs"])[0]["http_status"], 504);
}

#[test]
fn head_timeout_closes_a_connection_without_a_whole_head() {
    let dir = TempDir::new().unwrap();
    let arguments = ["--upstream", &closed_url(), "--head-timeout", "50ms"];
    let proxy = Proxy::start(&dir.path().join("mcp.db"), &arguments);
    let mut client = TcpStream::connect(&proxy.address).unwrap();
    // The default would be 30 seconds.
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"POST /mcp HTTP/1.1\r\nhost: ").unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn row_waits_for_the_flush_interval_and_not_beyond_the_end() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let arguments = ["--upstream", &closed_url(), "--flush-interval", "1h"];
    let mut proxy = Proxy::start(&db, &arguments);
    proxy.ping("/mcp", "");
    // Several times the default.
    thread::sleep(Duration::from_millis(250));
    assert_eq!(json(&db, &["logs"]).len(), 0);
    proxy.stop();
    assert_eq!(json(&db, &["logs"]).len(), 1);
}

#[test]
fn text_of_a_failed_tool_is_stored_only_if_the_setting_says_so() {
    fn answer(_: &Received) -> String {
        let result = r#"{"content":[{"type":"text","text":"no such city"}],"isError":true}"#;
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        ok("application/json", &body)
    }
    let upstream = Upstream::start(answer);
    for (setting, expected) in [("false", Value::Null), ("true", "no such city".into())] {
        let dir = TempDir::new().unwrap();
        let db = dir.path().join("mcp.db");
        let setting = format!("--tool-error-text={setting}");
        let mut proxy = Proxy::start(&db, &["--upstream", &upstream.url(), &setting]);
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
        proxy.post("/mcp", "", call);
        proxy.stop();
        let rows = json(&db, &["logs"]);
        assert_eq!(rows[0]["tool_error"], true);
        assert_eq!(rows[0]["error_msg"], expected, "{setting}");
    }
}

#[test]
fn retention_of_rows_polls_and_statistics_is_set_one_by_one() {
    const LEFT: &str = "SELECT (SELECT count(*) FROM requests) || ' rows, '
        || (SELECT count(*) FROM request_rollups WHERE width = 3600000) || ' hours, '
        || (SELECT count(*) FROM request_rollups WHERE width = 86400000) || ' days'";
    for (settings, expected) in [
        (&["polls"][..], "1 rows, 2 hours, 2 days"),
        (&["age"], "0 rows, 2 hours, 2 days"),
        (&["age", "hourly"], "0 rows, 0 hours, 2 days"),
        (&["age", "daily"], "0 rows, 2 hours, 0 days"),
    ] {
        let ten_days_ago = UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(10 * 86_400);
        let events = ["tools/call", "ping"].map(|method| {
            let mut event = request();
            event.method = method.into();
            event.tool = None;
            event.ts = i64::try_from(ten_days_ago.as_millis()).unwrap();
            StoreEvent::Request(event)
        });
        let (_dir, db) = recorded(events);
        let options = ["age", "size", "polls", "hourly", "daily"].map(|name| {
            let value = if settings.contains(&name) {
                "3d"
            } else {
                "unlimited"
            };
            format!("--retention-{name}={value}")
        });
        let url = closed_url();
        let mut arguments = vec!["--upstream", &url];
        arguments.extend(options.iter().map(String::as_str));
        let mut proxy = Proxy::start(&db, &arguments);
        let conn = Connection::open(&db).unwrap();
        let left = || conn.query_row(LEFT, [], |row| row.get::<_, String>(0));
        let end = Instant::now() + PATIENCE;
        while left().unwrap() != expected {
            assert!(Instant::now() < end, "{settings:?}: {}", left().unwrap());
            thread::sleep(Duration::from_millis(10));
        }
        proxy.stop();
        assert_eq!(left().unwrap(), expected, "{settings:?}");
    }
}

#[cfg(unix)]
#[test]
fn group_may_read_the_files_only_if_the_setting_says_so() {
    use std::os::unix::fs::PermissionsExt as _;
    for (setting, expected) in [("false", 0o600), ("true", 0o640)] {
        let dir = TempDir::new().unwrap();
        let db = dir.path().join("mcp.db");
        let setting = format!("--group-readable={setting}");
        let proxy = Proxy::start(&db, &["--upstream", &closed_url(), &setting]);
        let files: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        for file in &files {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, expected, "{:?}", file.path());
        }
        assert_eq!(files.len(), 4, "the database, -wal, -shm and a lock");
        drop(proxy);
    }
}
