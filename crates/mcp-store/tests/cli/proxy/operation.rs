//! Health, time limits, added fields and TLS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use super::process::{Proxy, closed_url};
use super::upstream::{Upstream, ok, result};
use crate::run::{failed, json};

/// Writes a file with this mode.
fn write(path: &Path, text: &str, mode: u32) -> String {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

/// Asks the admin address, and returns the status and the text.
fn ask(address: &str, path: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    let body = response.split("\r\n\r\n").nth(1).unwrap().trim_end();
    format!("{} {body}", &response[9..12])
}

fn admin(proxy: &Proxy) -> String {
    let mut lines = proxy.log.read.iter();
    let line = lines.find(|line| line.contains("health is at")).unwrap();
    let address = line.split("://").nth(1).unwrap();
    address.split('/').next().unwrap().to_owned()
}

#[test]
fn readiness_follows_the_store_only_if_asked_to() {
    for needs_store in [true, false] {
        let dir = TempDir::new().unwrap();
        let db = dir.path().join("mcp.db");
        let needs = format!("--ready-needs-store={needs_store}");
        let arguments = [
            "--upstream",
            &closed_url(),
            "--admin",
            "127.0.0.1:0",
            &needs,
        ];
        let mut proxy = Proxy::start(&db, &arguments);
        let admin = admin(&proxy);
        assert_eq!(ask(&admin, "/healthz"), "200 ok");
        assert_eq!(ask(&admin, "/readyz"), "200 ready");
        assert_eq!(&ask(&admin, "/mcp")[..3], "404");

        fs::rename(&db, dir.path().join("old.db")).unwrap();
        fs::create_dir(&db).unwrap();
        proxy.ping("/mcp", "");
        proxy.log.wait_for("cannot write to the store");
        let status = if needs_store {
            "503 not ready;"
        } else {
            "200 ready;"
        };
        let answer = ask(&admin, "/readyz").replacen("ready: the", "ready; the", 1);
        assert!(answer.starts_with(status), "{answer}");
        assert!(answer.contains("the store is failing: "), "{answer}");
        assert_eq!(ask(&admin, "/healthz"), "200 ok");

        fs::remove_dir(&db).unwrap();
        proxy.log.wait_for("the store is written to again");
        assert_eq!(ask(&admin, "/readyz"), "200 ready");
    }
}

#[test]
fn time_limits_of_an_answer_have_different_messages() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", silent.local_addr().unwrap());
    let arguments = [
        "--upstream",
        &url,
        "--answer-timeout",
        "50ms",
        "--idle-timeout",
        "70ms",
    ];
    let mut proxy = Proxy::start(&db, &arguments);
    let response = proxy.ping("/mcp", "");
    assert!(response.starts_with("HTTP/1.1 504 "), "{response}");
    assert!(response.ends_with(" within 50ms"), "{response}");
    proxy.stop();

    let half = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", half.local_addr().unwrap());
    let answering = thread::spawn(move || {
        // The proxy has tried to connect at its start.
        drop(half.accept().unwrap());
        let (mut stream, _) = half.accept().unwrap();
        let mut request = [0; 1024];
        let mut length = 0;
        while !request[..length].ends_with(b"}") {
            length += stream.read(&mut request[length..]).unwrap();
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9";
        stream
            .write_all(format!("{head}\r\n\r\n{{").as_bytes())
            .unwrap();
        // The connection stays open, until the proxy closes it.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut proxy = Proxy::start(&db, &["--upstream", &url, "--idle-timeout", "70ms"]);
    let response = proxy.ping("/mcp", "");
    assert!(response.ends_with("\r\n\r\n{"), "{response}");
    proxy.stop();
    answering.join().unwrap();
    let rows = json(&db, &["logs"]);
    assert_eq!(rows[0]["http_status"], 504, "{rows:#?}");
    assert_eq!(rows[1]["status"], "error", "{rows:#?}");
}

#[test]
fn fields_of_a_file_are_added_for_its_server() {
    let dir = TempDir::new().unwrap();
    let file = write(
        &dir.path().join("fields"),
        "Authorization: Bearer secret\n",
        0o640,
    );
    let upstream = Upstream::start(|request| {
        assert!(
            request
                .head
                .contains("\r\nauthorization: Bearer secret\r\n")
        );
        result()
    });
    let db = dir.path().join("mcp.db");
    let named = format!("a={}", upstream.url());
    let file = format!("a={file}");
    let mut proxy = Proxy::start(&db, &["--upstream", &named, "--headers-file", &file]);
    let response = proxy.ping("/mcp", "authorization: Bearer other\r\n");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    proxy.stop();
    assert!(!proxy.log.rest().join("\n").contains("secret"));
}

#[test]
fn file_with_a_secret_that_others_can_read_is_refused() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let key = write(&key, "secret", 0o644);
    let certificate = write(&certificate, "certificate", 0o644);
    let base = [
        "proxy",
        "--upstream",
        "http://127.0.0.1:9/mcp",
        "--listen",
        "0",
    ];
    for arguments in [
        &["--headers-file", &key][..],
        &["--tls-cert", &certificate, "--tls-key", &key],
    ] {
        let error = failed(2, &db, &[&base, arguments].concat());
        assert!(
            error.contains("other users have access to it (mode 644)"),
            "{error}"
        );
        assert!(error.contains("chmod o= "), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let error = failed(2, &db, &[&base[..], &["--headers-file", &key]].concat());
    assert!(error.contains("key.pem:1: expected a field"), "{error}");
    assert!(!error.contains("secret\n"), "{error}");
    let tls = ["--tls-cert", &certificate, "--tls-key", &key];
    let error = failed(2, &db, &[&base[..], &tls].concat());
    assert!(error.contains("cannot read the"), "{error}");
    let error = failed(2, &db, &[&base[..], &["--tls-key", &key]].concat());
    assert!(error.contains("--tls-key needs --tls-cert"), "{error}");
    assert!(!db.exists());
}

#[test]
fn shared_key_of_a_file_hashes_session_ids_and_finds_them() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let key = write(
        &dir.path().join("key"),
        &format!("{}\n", "5a".repeat(32)),
        0o600,
    );
    let option = ["--shared-key-file", &key];
    let upstream = Upstream::start(|_| {
        let body = r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}"#;
        let response = ok("application/json", body);
        response.replacen("\r\n\r\n", "\r\nmcp-session-id: secret-id\r\n\r\n", 1)
    });
    let url = upstream.url();
    let arguments = [&["--upstream", &url, "--hash-session-ids"], &option[..]].concat();
    let mut proxy = Proxy::start(&db, &arguments);
    let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
    proxy.post("/mcp", "", initialize);
    proxy.stop();
    let error = failed(2, &db, &["session", "secret-id"]);
    assert!(error.contains("key"), "{error}");
    for query in [
        &["session", "secret-id"][..],
        &["logs", "--session", "secret-id"],
    ] {
        let rows = json(&db, &[query, &option].concat());
        let id = rows[0]["session_id"].as_str().unwrap();
        assert!(id.starts_with("hashed:"), "{id}");
    }
    let short = write(&dir.path().join("short"), "5a5a", 0o600);
    let error = failed(2, &db, &["session", "a", "--shared-key-file", &short]);
    assert!(
        error.contains("short holds no key of 64 hexadecimal digits"),
        "{error}"
    );
    assert!(!error.contains("5a5a"), "{error}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o604)).unwrap();
    let arguments = [
        &["proxy", "--listen", "0", "--upstream", "http://127.0.0.1:9"],
        &option[..],
    ];
    let error = failed(2, &db, &arguments.concat());
    assert!(error.contains("other users have access"), "{error}");
}

/// Writes a certificate that signs itself, and its key.
fn certificate(dir: &Path) -> [PathBuf; 2] {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let paths = [dir.join("cert.pem"), dir.join("key.pem")];
    write(&paths[0], &certificate.pem(), 0o644);
    write(&paths[1], &key.serialize_pem(), 0o600);
    paths
}

/// Sends a ping by curl, which trusts the certificate in a file.
fn curl(address: &str, certificate: &Path) -> bool {
    let port = address.rsplit_once(':').unwrap().1;
    let mut curl = std::process::Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "10", "--cacert"])
        .arg(certificate);
    curl.args(["--resolve", &format!("localhost:{port}:127.0.0.1")]);
    curl.args(["--json", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#]);
    curl.arg(format!("https://localhost:{port}/mcp"));
    curl.output().unwrap().status.success()
}

#[test]
fn certificate_is_replaced_while_clients_come() {
    if std::process::Command::new("curl")
        .arg("--version")
        .output()
        .is_err()
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "curl is missing; install it"
        );
        eprintln!("skipped, because curl is missing");
        return;
    }
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let [cert, key] = certificate(dir.path());
    let upstream = Upstream::start(|request| {
        assert!(request.head.contains("\r\nx-forwarded-proto: https\r\n"));
        result()
    });
    let (cert_path, key_path) = (cert.display().to_string(), key.display().to_string());
    let tls = ["--tls-cert", &cert_path, "--tls-key", &key_path];
    let url = upstream.url();
    let arguments = [&["--upstream", &url], &tls[..]].concat();
    let mut proxy = Proxy::start(&db, &arguments);
    assert!(curl(&proxy.address, &cert));
    let old = dir.path().join("old.pem");
    fs::copy(&cert, &old).unwrap();
    certificate(dir.path());
    proxy
        .log
        .wait_for("the certificate has changed and is in use");
    assert!(curl(&proxy.address, &cert));
    assert!(!curl(&proxy.address, &old));

    // Other users can read the next key, until its mode is mended.
    fs::copy(&cert, &old).unwrap();
    let new = TempDir::new().unwrap();
    let [new_cert, new_key] = certificate(new.path());
    fs::set_permissions(&new_key, fs::Permissions::from_mode(0o644)).unwrap();
    fs::rename(&new_key, &key).unwrap();
    fs::rename(&new_cert, &cert).unwrap();
    let line = proxy
        .log
        .wait_for("other users have access to it (mode 644)");
    assert!(line.contains(" ERROR "), "{line}");
    assert!(curl(&proxy.address, &old));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    proxy
        .log
        .wait_for("the certificate has changed and is in use");
    assert!(curl(&proxy.address, &cert));
    proxy.stop();
    assert_eq!(json(&db, &["logs"]).len(), 4);
}
