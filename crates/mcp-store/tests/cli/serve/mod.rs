//! `mcp-store serve`: who may see the pages, and how it starts and ends.

#[cfg(target_os = "linux")]
mod live;
mod tls;

use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use tempfile::TempDir;
use tower_mcp_store::{Store, StoreEvent};

use crate::run::{command, failed};
use crate::support::{LONG, fixture, fresh, request};

fn recorded() -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    store.record(StoreEvent::Request(request()));
    store.shutdown(LONG).unwrap();
    (dir, path)
}

/// Writes a token into a file with this mode.
fn token(dir: &Path, text: &str, mode: u32) -> String {
    let path = dir.join(format!("token-{mode:o}-{}", text.len()));
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).mode(mode).open(&path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

struct Serve {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The host and port.
    address: String,
}

impl Serve {
    fn start(db: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = command(db, &arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut this = Self {
            child,
            lines,
            address: String::new(),
        };
        this.address = this.url("the pages are at").0;
        this
    }

    /// Reads up to the line that begins like this, and returns the address and the path of its
    /// URL.
    fn url(&mut self, begin: &str) -> (String, String) {
        let line = self.line(begin);
        let (_, url) = line.split_once("://").unwrap();
        let (address, path) = url.split_once('/').unwrap();
        (address.to_owned(), format!("/{path}"))
    }

    fn line(&mut self, begin: &str) -> String {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        let found = lines.find(|line| line.starts_with(begin));
        found.expect(begin)
    }

    /// Asks for a path with these fields, and returns the answer.
    fn get(&self, path: &str, fields: &str) -> String {
        let mut client = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{fields}\r\n");
        client.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    fn stop(&mut self, signal: &str) -> ExitStatus {
        let id = self.child.id().to_string();
        let signalled = Command::new("kill")
            .args([&format!("-{signal}"), &id])
            .status();
        assert!(signalled.unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn printed_link_signs_in_once_and_another_follows() {
    let (_dir, db) = recorded();
    let mut serve = Serve::start(&db, &[]);
    let (_, link) = serve.url("to sign in");
    assert!(serve.get("/overview", "").starts_with("HTTP/1.1 401"));
    let signed_in = serve.get(&link, "");
    assert!(signed_in.starts_with("HTTP/1.1 303"), "{signed_in}");
    let (_, set) = signed_in.split_once("set-cookie: ").unwrap();
    let cookie = format!("cookie: {}\r\n", set.split(';').next().unwrap());
    assert!(serve.get("/overview", &cookie).starts_with("HTTP/1.1 200"));

    let (_, another) = serve.url("for another browser");
    assert_ne!(another, link);
    assert!(serve.get(&link, "").starts_with("HTTP/1.1 401"));
    assert!(serve.get(&another, "").starts_with("HTTP/1.1 303"));
}

#[test]
fn signals_end_it_in_order() {
    let (_dir, db) = recorded();
    for signal in ["INT", "TERM"] {
        let mut serve = Serve::start(&db, &["--no-token"]);
        assert!(serve.get("/overview", "").starts_with("HTTP/1.1 200"));
        assert!(serve.stop(signal).success(), "{signal}");
    }
}

#[test]
fn token_of_a_file_opens_the_pages_and_is_not_printed() {
    let (dir, db) = recorded();
    let text = "0123456789abcdef0123456789abcdef";
    let file = token(dir.path(), &format!("{text}\n"), 0o600);
    let mut serve = Serve::start(&db, &["--token-file", &file]);
    let bearer = format!("authorization: Bearer {text}\r\n");
    assert!(serve.get("/overview", "").starts_with("HTTP/1.1 401"));
    assert!(serve.get("/overview", &bearer).starts_with("HTTP/1.1 200"));
    assert_eq!(serve.line(""), "press Ctrl-C to stop");
}

#[test]
fn address_beyond_loopback_needs_a_token_file_and_tls() {
    let (dir, db) = recorded();
    let file = token(dir.path(), "0123456789abcdef0123456789abcdef", 0o600);
    let all = ["serve", "--listen", "0.0.0.0:0"];
    for (options, expected) in [
        (vec![], "needs --token-file"),
        (vec!["--behind-tls-proxy"], "needs --token-file"),
        (vec!["--no-token"], "--no-token is for loopback only"),
        (vec!["--token-file", &file], "--behind-tls-proxy"),
    ] {
        let error = failed(2, &db, &[&all[..], &options].concat());
        assert!(error.contains(expected), "{options:?}: {error}");
    }
}

#[test]
fn errors_of_the_start_say_what_to_do() {
    let (dir, db) = recorded();
    let open = token(dir.path(), "0123456789abcdef0123456789abcdef", 0o644);
    let short = token(dir.path(), "secret", 0o600);
    let taken = Serve::start(&db, &["--no-token"]);
    for (options, expected) in [
        (vec!["--token-file", &*open], "chmod o="),
        (vec!["--token-file", &short], "openssl rand -hex 32"),
        (vec!["--token-file", "none"], "cannot read none"),
        (vec!["--tls-cert", "none"], "--tls-cert needs --tls-key"),
        (
            vec!["--no-token", "--token-file", &short],
            "cannot be used with",
        ),
        (
            vec!["--allow-host", "http://a"],
            "not a host without a port",
        ),
        (
            vec!["--listen", &taken.address],
            "is in use by another program",
        ),
        (vec!["--json"], "prints text"),
    ] {
        let arguments = [&["serve"], &options[..]].concat();
        let error = failed(2, &db, &arguments);
        assert!(error.contains(expected), "{options:?}: {error}");
        assert!(!error.contains("secret\n"), "{error}");
    }
    let error = failed(2, &dir.path().join("none.db"), &["serve"]);
    assert!(error.contains("no database at"), "{error}");
}

#[test]
fn allowed_host_is_answered() {
    let (_dir, db) = recorded();
    let serve = Serve::start(&db, &["--no-token", "--allow-host", "mcp.example.com"]);
    let ask = |host: &str| {
        let mut client = TcpStream::connect(&serve.address).unwrap();
        let head = format!("GET /overview HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("mcp.example.com").starts_with("HTTP/1.1 200"));
    let refused = ask("evil.com");
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    assert!(refused.contains("--allow-host evil.com"), "{refused}");
}

#[test]
fn only_files_with_records_are_served() {
    let (dir, _) = fresh();
    let empty = dir.path().join("empty.db");
    std::fs::write(&empty, "").unwrap();
    let text = dir.path().join("text.db");
    std::fs::write(&text, "not a database, but a text of some length").unwrap();
    let (_dir_of_3, older) = fixture(3);
    for (file, expected) in [
        (&empty, "it is empty"),
        (&text, "cannot open the store"),
        (&older, "cannot open the store"),
    ] {
        let error = failed(2, file, &["serve", "--no-token"]);
        assert!(error.contains(expected), "{error}");
    }
    let (_dir_of_4, db) = fixture(4);
    let serve = Serve::start(&db, &["--no-token"]);
    for page in [
        "overview", "tools", "errors", "clients", "sessions", "requests", "schema", "health",
    ] {
        let answer = serve.get(&format!("/{page}?since=2020-01-01"), "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{page}: {answer}");
    }
}
