//! Several servers behind one proxy.

use std::net::TcpListener;

use tempfile::TempDir;

use super::process::{Proxy, closed_url};
use super::upstream::{Received, Upstream, ok, result};
use crate::run::{command, failed, json};

fn answer(request: &Received) -> String {
    match request.path() {
        "/mcp" | "/.well-known/oauth-protected-resource/mcp" => result(),
        _ => "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
    }
}

#[test]
fn servers_share_an_address_by_prefix_and_one_file_by_name() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let (weather, git) = (Upstream::start(answer), Upstream::start(answer));
    let upstreams = [
        format!("weather={}", weather.url()),
        format!("git={}", git.url()),
    ];
    let mut proxy = Proxy::start(
        &db,
        &[
            &*format!("--upstream={}", upstreams[0]),
            &*format!("--upstream={}", upstreams[1]),
            "--prefix=weather=/weather",
            "--prefix=git=/tools/git",
        ],
    );
    for (path, status) in [
        ("/weather/mcp", 200),
        ("/weather", 200),
        ("/tools/git/mcp", 200),
        ("/tools/git/other", 404),
        ("/tools", 404),
        ("/mcp", 404),
    ] {
        let response = proxy.ping(path, "");
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {response}"
        );
    }
    let path = "/.well-known/oauth-protected-resource/tools/git/mcp";
    assert!(proxy.get(path).starts_with("HTTP/1.1 200 "));
    proxy.stop();
    let rows = json(&db, &["logs"]);
    let count = |name: &str| rows.iter().filter(|row| row["proxy"] == name).count();
    assert_eq!((count("weather"), count("git")), (2, 2), "{rows:#?}");
}

#[test]
fn server_has_an_address_of_its_own() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let (weather, git) = (Upstream::start(answer), Upstream::start(answer));
    let upstreams = format!("weather={} git={}", weather.url(), git.url());
    let mut command = command(&db, &["proxy", "--listen", "git=127.0.0.1:0"]);
    command.env("MCP_STORE_UPSTREAM", upstreams);
    command.args(["--listen", "127.0.0.1:0"]);
    let mut proxy = Proxy::run(command);
    assert!(proxy.ping("/mcp", "").starts_with("HTTP/1.1 200 "));
    assert!(proxy.output.wait_for("ping").contains("ok"));
    let second = proxy.log.wait_for("forwarding http");
    let second = second.split("://").nth(1).unwrap();
    proxy.address = second.split('/').next().unwrap().to_owned();
    assert!(proxy.ping("/mcp", "").starts_with("HTTP/1.1 200 "));
    proxy.stop();
    let names: Vec<_> = json(&db, &["logs"])
        .iter()
        .map(|row| row["proxy"].clone())
        .collect();
    assert_eq!(names, ["weather", "git"]);
}

#[test]
fn settings_of_servers_that_do_not_fit_are_refused() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    for (arguments, reason) in [
        (
            "--upstream http://a --upstream http://b",
            "several servers need names",
        ),
        (
            "--upstream a=http://a --upstream http://b",
            "several servers need names",
        ),
        (
            "--upstream a=http://a --upstream a=http://b",
            "--upstream has two values for a",
        ),
        (
            "--upstream a=http://a --server b",
            "--server is for a server without a name",
        ),
        (
            "--upstream a=http://a --prefix b=/b",
            "--prefix names b, and no --upstream",
        ),
        (
            "--upstream a=http://a --prefix /b",
            "--prefix needs the name of a server",
        ),
        (
            "--upstream http://a --prefix b",
            "not a path prefix such as /weather",
        ),
        (
            "--upstream http://a --listen 1 --listen 2",
            "--listen has two values without a name",
        ),
        (
            "--upstream a=http://a --upstream b=http://b",
            "a and b share the address",
        ),
        (
            "--upstream a=http://a --upstream b=http://b --prefix a=/x --prefix b=/x/y",
            "the prefix /x of a covers the prefix /x/y of b at 127.0.0.1:3000",
        ),
        (
            "--upstream a=http://a --upstream b=http://b --prefix a=/x --prefix b=/x",
            "the prefix /x of a covers the prefix /x of b",
        ),
        (
            "--upstream a=http://u:p@a",
            "a: the upstream's URL holds a user name",
        ),
        (
            "--upstream a=nothing",
            "a: the upstream's URL has to start with http",
        ),
        (
            "--upstream http://a --listen 127.0.0.1",
            "expected an address such as",
        ),
    ] {
        let arguments = format!("proxy {arguments}");
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let error = failed(2, &db, &arguments);
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error = failed(
        2,
        &db,
        &["proxy", "--upstream", "http://a", "--listen", &port],
    );
    assert!(error.contains("is in use by another program"), "{error}");
    assert!(!db.exists());
}

#[test]
fn unreachable_upstream_is_a_warning_at_the_start() {
    let dir = TempDir::new().unwrap();
    let mut proxy = Proxy::start(&dir.path().join("mcp.db"), &["--upstream", &closed_url()]);
    let line = &proxy.log.read[0];
    assert!(
        line.contains(" WARN cannot connect to http://127.0.0.1:"),
        "{line}"
    );
    assert!(line.contains("refused"), "{line}");
    proxy.stop();
}

#[test]
fn first_stream_of_the_legacy_transport_under_a_prefix_is_a_warning() {
    fn answer(_: &Received) -> String {
        ok(
            "text/event-stream",
            "event: endpoint\ndata: /messages?sessionId=1\n\n",
        )
    }
    let dir = TempDir::new().unwrap();
    let upstream = Upstream::start(answer);
    let arguments = ["--upstream", &upstream.url(), "--prefix", "/old"];
    let mut proxy = Proxy::start(&dir.path().join("mcp.db"), &arguments);
    for _ in 0..2 {
        assert!(proxy.get("/old/sse").contains("sessionId=1"));
    }
    proxy.stop();
    let log = proxy.log.rest().iter();
    let warnings = log
        .filter(|line| line.contains("without the prefix /old"))
        .count();
    assert_eq!(warnings, 1);
}
