//! The pages over TLS: with a certificate of their own, and behind nginx.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use tower_mcp_store::{Store, StoreEvent};

use super::{Serve, recorded, token};
use crate::support::{LONG, request};

const HOST: &str = "mcp.example.com";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What a browser sends when a user opens a page.
const NAVIGATION: [&str; 3] = [
    "Sec-Fetch-Site: none",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
];

/// What a browser sends with a form of a page without a referrer.
const FORM: [&str; 4] = [
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
    "Origin: null",
];

/// Writes a certificate for [`HOST`] that signs itself, and its key.
fn certificate(dir: &Path) -> [PathBuf; 2] {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([HOST.to_owned()]).unwrap();
    let paths = [dir.join("cert.pem"), dir.join("key.pem")];
    fs::write(&paths[0], params.self_signed(&key).unwrap().pem()).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::write(&paths[1], key.serialize_pem()).unwrap();
    fs::set_permissions(&paths[1], mode).unwrap();
    paths
}

/// Returns whether a program can be started. In continuous integration it must be there.
fn has(program: &str, argument: &str) -> bool {
    let is_there = Command::new(program).arg(argument).output().is_ok();
    let is_ci = std::env::var_os("CI").is_some();
    assert!(is_there || !is_ci, "{program} is missing; install it");
    if !is_there {
        eprintln!("skipped, because {program} is missing");
    }
    is_there
}

/// A browser that keeps its cookies, played by curl.
struct Browser {
    dir: PathBuf,
    /// Such as `https://mcp.example.com:7070/records`.
    base: String,
    port: u16,
    version: &'static str,
}

impl Browser {
    fn new(dir: &Path, port: u16, path: &str, version: &'static str) -> Self {
        let _ = fs::remove_file(dir.join("cookies"));
        Self {
            dir: dir.to_owned(),
            base: format!("https://{HOST}:{port}{path}"),
            port,
            version,
        }
    }

    fn curl(&self, path: &str, fields: &[&str]) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--no-buffer"]);
        curl.args(["--max-time", "60", self.version, "--cacert"]);
        curl.arg(self.dir.join("cert.pem"));
        curl.arg("--cookie").arg(self.dir.join("cookies"));
        curl.arg("--cookie-jar").arg(self.dir.join("cookies"));
        curl.args(["--resolve", &format!("{HOST}:{}:127.0.0.1", self.port)]);
        for field in fields {
            curl.args(["--header", field]);
        }
        curl.arg(format!("{}{path}", self.base));
        curl
    }

    /// Returns the answer, with its head.
    fn get(&self, path: &str, fields: &[&str]) -> String {
        let output = self.curl(path, fields).output().unwrap();
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path}: {problem}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Opens a page, signs in with the form, and reads the page and new requests.
    fn signs_in_and_watches(&self, db: &Path) {
        let asked = self.get("/tools?since=7d", &NAVIGATION);
        assert_status(&asked, "401");
        assert!(asked.contains(r#"name="next" value="tools?since=7d""#));
        assert_status(&self.get("/overview", &["Host: evil.com"]), "403");

        let mut login = self.curl("/login", &FORM);
        login.args(["--data", &format!("token={TOKEN}&next=tools%3Fsince%3D7d")]);
        let signed_in = String::from_utf8(login.output().unwrap().stdout).unwrap();
        assert_status(&signed_in, "303");
        let lower = signed_in.to_lowercase();
        assert!(lower.contains("\nlocation: tools?since=7d\r"), "{lower}");
        let cookie = lower.lines().find(|line| line.starts_with("set-cookie: "));
        let cookie = cookie.expect("a cookie");
        assert!(
            cookie.contains("; secure") && cookie.contains("; httponly"),
            "{cookie}"
        );

        assert_status(&self.get("/tools?since=7d", &NAVIGATION), "200");
        self.watches(db);
    }

    /// Reads the stream of new requests while one is written.
    fn watches(&self, db: &Path) {
        let mut curl = self.curl("/events", &["Sec-Fetch-Site: same-origin"]);
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
        let mut until = |text: &str| {
            let found = lines
                .by_ref()
                .map(Result::unwrap)
                .find(|line| line.contains(text));
            assert!(found.is_some(), "the stream ended before {text}");
        };
        // It comes at once, or the proxy buffers.
        until("retry: 2000");
        let store = Store::open(db).unwrap();
        let mut event = request();
        event.tool = Some("new".into());
        store.record(StoreEvent::Request(event));
        store.shutdown(LONG).unwrap();
        until("<bdi>new</bdi>");
        curl.kill().unwrap();
        curl.wait().unwrap();
    }
}

#[track_caller]
fn assert_status(answer: &str, status: &str) {
    let found = answer.split(' ').nth(1);
    assert_eq!(found.map(str::trim), Some(status), "{answer}");
}

fn port_of(address: &str) -> u16 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn browser_signs_in_and_watches_over_tls() {
    if !has("curl", "--version") {
        return;
    }
    let (dir, db) = recorded();
    let [cert, key] = certificate(dir.path()).map(|path| path.display().to_string());
    let file = token(dir.path(), TOKEN, 0o600);
    let options = ["--allow-host", HOST, "--token-file", &file];
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let serve = Serve::start(&db, &[&options[..], &tls].concat());
    let port = port_of(&serve.address);
    for version in ["--http1.1", "--http2"] {
        Browser::new(dir.path(), port, "", version).signs_in_and_watches(&db);
    }
    // Without TLS there is no page.
    assert!(!serve.get("/overview", "").contains("HTTP/1.1 200"));

    // Clients that never finish the handshake do not keep others out.
    let record = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01];
    let half_open: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(&serve.address).unwrap();
            stream.write_all(&record).unwrap();
            stream
        })
        .collect();
    let browser = Browser::new(dir.path(), port, "", "--http2");
    assert_status(&browser.get("/overview", &NAVIGATION), "401");
    drop(half_open);
}

/// nginx with the configuration of `contrib`, at a free port.
struct Nginx {
    child: Child,
    port: u16,
}

impl Nginx {
    fn program() -> &'static str {
        match Path::new("/usr/sbin/nginx").exists() {
            true => "/usr/sbin/nginx",
            false => "nginx",
        }
    }

    fn start(dir: &Path, pages: &str) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let example = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../contrib/nginx/mcp-store-serve.conf"
        );
        let server = fs::read_to_string(example)
            .unwrap()
            .replace("listen 443", &format!("listen 127.0.0.1:{port}"))
            .replace("/etc/mcp-store/", &format!("{}/", dir.display()))
            .replace("127.0.0.1:7070", pages);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|name| format!("{name}_temp_path {}/{name};", dir.display()));
        let config = format!(
            "daemon off; master_process off; pid {}/nginx.pid; error_log stderr;
             events {{}} http {{ access_log off; {} {server} }}",
            dir.display(),
            temporary.join(" ")
        );
        let path = dir.join("nginx.conf");
        fs::write(&path, config).unwrap();
        let mut nginx = Command::new(Self::program());
        nginx
            .args(["-e", "stderr", "-p"])
            .arg(dir)
            .arg("-c")
            .arg(path);
        let mut this = Self {
            child: nginx.spawn().unwrap(),
            port,
        };
        let deadline = Instant::now() + LONG;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(this.child.try_wait().unwrap().is_none(), "nginx has ended");
            assert!(Instant::now() < deadline, "nginx does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        this
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn browser_signs_in_and_watches_behind_nginx() {
    if !has("curl", "--version") || !has(Nginx::program(), "-v") {
        return;
    }
    let (dir, db) = recorded();
    certificate(dir.path());
    let file = token(dir.path(), TOKEN, 0o600);
    let options = [
        "--allow-host",
        HOST,
        "--behind-tls-proxy",
        "--token-file",
        &file,
    ];
    let serve = Serve::start(&db, &options);
    let nginx = Nginx::start(dir.path(), &serve.address);
    for version in ["--http1.1", "--http2"] {
        let browser = Browser::new(dir.path(), nginx.port, "/records", version);
        assert_status(&browser.get("", &NAVIGATION), "301");
        browser.signs_in_and_watches(&db);
        let first = browser.get("/", &NAVIGATION);
        assert_status(&first, "303");
        assert!(
            first.to_lowercase().contains("\nlocation: overview\r"),
            "{first}"
        );
    }
}
