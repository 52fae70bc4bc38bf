//! What a whole proxy costs in front of a server that does nothing: requests
//! per second and processor time with wrk at 32 connections, and how soon the
//! first byte of an event stream comes. Or what many path prefixes cost.
//! `benches/proxy.sh` runs it.

use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Defaults of the arguments `rounds=` and `seconds=`.
const ROUNDS: usize = 5;
const SECONDS: u64 = 3;
const CONNECTIONS: usize = 32;
/// The number of prefixes that one is compared with.
const PREFIXES: usize = 20;
/// The pause between the events of a stream, which has five.
const PAUSE: Duration = Duration::from_millis(200);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| {
        arguments
            .iter()
            .find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='))
    };
    let repeats = named("rounds").map_or(Ok(ROUNDS), str::parse)?;
    let seconds = named("seconds").map_or(Ok(SECONDS), str::parse)?;
    let dir = tempfile::tempdir()?;
    let upstream = serve().await?;
    let mut servers = vec![Server {
        name: "the server itself",
        addr: upstream,
        path: "/mcp".to_owned(),
        process: None,
    }];
    match (named("proxy"), named("prefixes")) {
        (Some(ours), _) => {
            servers.push(Server::ours(ours, upstream, dir.path()).await?);
            if let Some(mcpr) = named("mcpr") {
                servers.push(Server::mcpr(mcpr, upstream, dir.path()).await?);
            }
        }
        (None, Some(command)) => {
            for count in [1, PREFIXES] {
                servers.push(Server::prefixes(command, count, upstream, dir.path()).await?);
            }
        }
        (None, None) => {
            println!("skipped: benches/proxy.sh names the proxy to measure");
            return Ok(());
        }
    }
    for answer in ["small", "large"] {
        let script = dir.path().join(format!("{answer}.lua"));
        fs::write(&script, wrk_script(answer))?;
        let mut rounds = vec![Vec::new(); servers.len()];
        for _ in 0..repeats {
            for (server, rounds) in servers.iter().zip(&mut rounds) {
                rounds.push(server.wrk(&script, seconds).await?);
            }
        }
        println!(
            "\n{answer} answers, {CONNECTIONS} connections: requests/s, processor time of the proxy"
        );
        for (server, rounds) in servers.iter().zip(&rounds) {
            let rate = median(rounds.iter().map(|round| round.rate));
            let cpu_us = median(rounds.iter().map(|round| round.cpu_us));
            println!("{:<20} {rate:>9.0} /s {cpu_us:>8.1} µs", server.name);
        }
    }
    println!(
        "\nfirst byte of an event stream of {} ms",
        4 * PAUSE.as_millis()
    );
    for server in &servers {
        let mut times = Vec::new();
        for _ in 0..repeats {
            times.push(first_byte(server).await?.as_secs_f64() * 1e3);
        }
        println!("{:<20} {:>9.2} ms", server.name, median(times.into_iter()));
    }
    Ok(())
}

/// What clients connect to; a proxy's process ends with it.
struct Server {
    name: &'static str,
    addr: SocketAddr,
    path: String,
    process: Option<Process>,
}

struct Process {
    child: Option<Child>,
    pid: u32,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = match &mut self.child {
            Some(child) => child.kill().and_then(|()| child.wait()),
            None => Command::new("kill").arg(self.pid.to_string()).status(),
        };
    }
}

#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    cpu_us: f64,
}

impl Server {
    async fn ours(program: &str, upstream: SocketAddr, dir: &Path) -> Result<Self> {
        let addr = free_port().await?;
        let mut command = Command::new(program);
        command
            .arg("--upstream")
            .arg(format!("http://{upstream}/mcp"))
            .arg("--db")
            .arg(dir.join("ours.db"));
        Self::start("examples/proxy", "/mcp", command, addr).await
    }

    /// The command with this many servers, each behind a prefix. Clients use the last one, so that
    /// the others are compared with each path before it.
    async fn prefixes(
        program: &str,
        count: usize,
        upstream: SocketAddr,
        dir: &Path,
    ) -> Result<Self> {
        let addr = free_port().await?;
        let mut command = Command::new(program);
        command
            .arg("proxy")
            .arg("--db")
            .arg(dir.join(format!("prefixes-{count}.db")));
        for nth in 1..=count {
            command.arg(format!("--upstream=server{nth}=http://{upstream}/mcp"));
            command.arg(format!("--prefix=server{nth}=/servers/{nth}"));
        }
        let name = if count == 1 {
            "one prefix"
        } else {
            "twenty prefixes"
        };
        Self::start(name, &format!("/servers/{count}/mcp"), command, addr).await
    }

    async fn start(
        name: &'static str,
        path: &str,
        mut command: Command,
        addr: SocketAddr,
    ) -> Result<Self> {
        let child = command
            .arg("--listen")
            .arg(addr.to_string())
            .stdout(Stdio::null())
            .spawn()?;
        let pid = child.id();
        let child = Some(child);
        await_server(addr).await?;
        Ok(Self {
            name,
            addr,
            path: path.to_owned(),
            process: Some(Process { child, pid }),
        })
    }

    /// It runs in the background by itself, under a daemon that ends with
    /// `mcpr stop`.
    async fn mcpr(program: &str, upstream: SocketAddr, dir: &Path) -> Result<Self> {
        let addr = free_port().await?;
        let config = dir.join("mcpr.toml");
        let text = format!(
            "name = \"bench\"\nport = {}\nmcp = \"http://{upstream}/mcp\"\n\n[tunnel]\nenabled = false\n",
            addr.port()
        );
        fs::write(&config, text)?;
        let config = config.to_string_lossy();
        for arguments in [&["start"][..], &["proxy", "run", "--config", &config]] {
            Command::new(program)
                .args(arguments)
                .env("HOME", dir)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
        }
        await_server(addr).await?;
        let pid = listening_on(addr.port()).ok_or("mcpr's process")?;
        Ok(Self {
            name: "mcpr 0.4.50",
            addr,
            path: "/mcp".to_owned(),
            process: Some(Process { child: None, pid }),
        })
    }

    async fn wrk(&self, script: &Path, seconds: u64) -> Result<Round> {
        let before = self.cpu_time();
        let output = tokio::process::Command::new("wrk")
            .arg("-t1")
            .arg(format!("-c{CONNECTIONS}"))
            .arg(format!("-d{seconds}s"))
            .arg("-s")
            .arg(script)
            .arg(format!("http://{}{}", self.addr, self.path))
            .output()
            .await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |label: &str| -> Option<f64> {
            let line = text
                .lines()
                .find_map(|line| line.trim().strip_prefix(label))?;
            line.split_whitespace().next()?.parse().ok()
        };
        if text.contains("Non-2xx") {
            return Err(format!("{}: {text}", self.name).into());
        }
        let rate = number("Requests/sec:").ok_or("requests per second")?;
        let count = number("requests:").ok_or("the number of requests")?;
        let cpu = self.cpu_time().saturating_sub(before);
        Ok(Round {
            rate,
            cpu_us: cpu.as_secs_f64() * 1e6 / count,
        })
    }

    /// Processor time of the process so far, to 10 ms.
    fn cpu_time(&self) -> Duration {
        let Some(process) = &self.process else {
            return Duration::ZERO;
        };
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
        // The name, in parentheses, may hold spaces; utime and stime are 14 and 15.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let fields = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }
}

/// The process that listens on a port of 127.0.0.1, by its open sockets.
fn listening_on(port: u16) -> Option<u32> {
    const LISTEN: &str = "0A";
    let ports = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let inode = ports
        .iter()
        .flatten()
        .flat_map(|text| text.lines())
        .find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let is_it =
                fields.get(1)?.ends_with(&format!(":{port:04X}")) && fields.get(3)? == &LISTEN;
            is_it.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]")))?
        })?;
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let mut sockets = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        let owns =
            sockets.any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == Path::new(&inode)));
        owns.then_some(pid)
    })
}

/// A server whose answer is named by the tool: some bytes, 100 kB, or a stream.
async fn serve() -> Result<SocketAddr> {
    let answer = |len: usize| -> Bytes {
        let text = "x".repeat(len);
        format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#)
            .into()
    };
    let (small, large) = (answer(100), answer(100_000));
    let handler = move |body: Bytes| async move {
        let json = |answer| ([(CONTENT_TYPE, "application/json")], answer).into_response();
        match memchr::memmem::find(&body, b"\"name\":\"").map(|at| body.get(at + 8)) {
            Some(Some(b's')) => json(small),
            Some(Some(b'l')) => json(large),
            _ => events(),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    let app = Router::new().route("/mcp", post(handler));
    tokio::spawn(async { axum::serve(listener.tap_io(at_once), app).await });
    Ok(addr)
}

/// Four notifications and the answer, with a pause before each but the first.
fn events() -> Response {
    let (sender, events) = tokio::sync::mpsc::channel::<std::result::Result<_, Infallible>>(1);
    tokio::spawn(async move {
        for index in 0..5 {
            if index > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let message = match index {
                4 => r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#,
                _ => {
                    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#
                }
            };
            // A client that is gone needs no more.
            if sender
                .send(Ok(format!("data: {message}\n\n")))
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(events));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn call(tool: &str) -> String {
    let query = "q".repeat(100);
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{"q":"{query}"}}}}}}"#
    )
}

fn wrk_script(tool: &str) -> String {
    format!(
        "wrk.method = 'POST'\nwrk.body = '{}'\n\
         wrk.headers['Content-Type'] = 'application/json'\n\
         wrk.headers['Accept'] = 'application/json, text/event-stream'\n\
         wrk.headers['Mcp-Protocol-Version'] = '2025-11-25'\n\
         done = function(summary) io.write('requests: ' .. summary.requests .. '\\n') end\n",
        call(tool)
    )
}

/// From sending a call to the first event of its answer.
async fn first_byte(server: &Server) -> Result<Duration> {
    let Server { addr, path, .. } = server;
    let mut connection = TcpStream::connect(addr).await?;
    connection.set_nodelay(true)?;
    let body = call("events");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-11-25\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let start = Instant::now();
    connection.write_all(request.as_bytes()).await?;
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while memchr::memmem::find(&seen, b"data: ").is_none() {
        match connection.read(&mut buffer).await? {
            0 => return Err("a stream without an event".into()),
            len => seen.extend_from_slice(&buffer[..len]),
        }
    }
    Ok(start.elapsed())
}

async fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
}

async fn await_server(addr: SocketAddr) -> Result<()> {
    for _ in 0..500 {
        if TcpStream::connect(addr).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("nothing listens on {addr}").into())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// An event does not wait for the acknowledgement of the head before it.
fn at_once(stream: &mut TcpStream) {
    stream.set_nodelay(true).expect("an open connection");
}
