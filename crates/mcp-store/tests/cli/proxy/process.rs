//! Running proxies.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::run::command;

/// No step of a test takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The lines that a program writes. Nothing is read before a line is waited for. Then a thread
/// reads, so that the program never waits.
pub(crate) struct Lines {
    output: Option<Box<dyn Read + Send>>,
    sender: Option<Sender<String>>,
    lines: Receiver<String>,
    /// The lines that were read so far.
    pub(crate) read: Vec<String>,
}

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        Self {
            output: Some(Box::new(output)),
            sender: Some(sender),
            lines,
            read: Vec::new(),
        }
    }

    fn start(&mut self) {
        if let (Some(output), Some(sender)) = (self.output.take(), self.sender.take()) {
            thread::spawn(move || {
                let mut lines = BufReader::new(output).lines().map_while(Result::ok);
                lines.try_for_each(|line| sender.send(line))
            });
        }
    }

    /// Reads up to the next line with this text, and returns the line.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        self.start();
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {text:?} in {:#?}", self.read);
            };
            self.read.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads the lines up to the end.
    pub(crate) fn rest(&mut self) -> &[String] {
        self.start();
        self.read.extend(self.lines.iter());
        &self.read
    }
}

pub(crate) struct Proxy {
    child: Child,
    /// Standard output.
    pub(crate) output: Lines,
    /// Standard error.
    pub(crate) log: Lines,
    pub(crate) address: String,
}

impl Proxy {
    /// Starts `mcp-store proxy` on a free port of 127.0.0.1.
    pub(crate) fn start(db: &Path, arguments: &[&str]) -> Self {
        let arguments = [&["proxy", "--listen", "127.0.0.1:0"], arguments].concat();
        Self::run(command(db, &arguments))
    }

    /// Starts a command that is a proxy, and waits until it listens.
    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Lines::of(child.stdout.take().unwrap());
        let mut log = Lines::of(child.stderr.take().unwrap());
        let line = log.wait_for("forwarding http");
        let address = line.split("://").nth(1).unwrap();
        let address = address.split(['/', ' ']).next().unwrap().to_owned();
        Self {
            child,
            output,
            log,
            address,
        }
    }

    /// Returns the id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let signalled = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(id)
            .status();
        assert!(signalled.unwrap().success());
    }

    /// Waits until the program has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert!(self.wait().success());
    }

    /// Sends a `ping` to a path, with more fields, and returns the answer.
    pub(crate) fn ping(&self, path: &str, fields: &str) -> String {
        self.post(path, fields, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)
    }

    /// Posts JSON to a path, with more fields, and returns the answer.
    pub(crate) fn post(&self, path: &str, fields: &str, body: &str) -> String {
        post(&self.address, path, fields, body)
    }

    /// Asks for a path, and returns the answer.
    pub(crate) fn get(&self, path: &str) -> String {
        let fields = "host: localhost\r\nconnection: close\r\n";
        send(
            &self.address,
            &format!("GET {path} HTTP/1.1\r\n{fields}\r\n"),
        )
    }
}

/// Posts JSON to a path at an address, with more fields, and returns the answer.
pub(crate) fn post(address: &str, path: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    send(address, &request)
}

/// Sends these bytes on a connection of their own, and returns the answer.
pub(crate) fn send(address: &str, request: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).unwrap();
    response
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a URL at which nothing listens. A proxy answers requests for it at once. The
/// port is fixed, because the system may give a free one to the proxy itself.
pub(crate) fn closed_url() -> String {
    "http://127.0.0.1:1/mcp".to_owned()
}
